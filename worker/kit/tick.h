/* tick.h: how a long loop of the kit asks whether to go on. The kit knows no mr_ctx, so that it can be tested
 * alone; a component hands in its own mr_tick. */
#ifndef MR_KIT_TICK_H
#define MR_KIT_TICK_H

#include "common/status.h"

typedef struct mr_ticker {
    mr_status (*call)(void *self); /* MR_OK to go on; anything else is returned by the loop at once */
    void *self;
} mr_ticker;

/* `t` may be NULL: never stop. */
static inline mr_status mr_ticker_call(const mr_ticker *t) { return t ? t->call(t->self) : MR_OK; }

#endif
