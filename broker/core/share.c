/* share.c: which step is next. Priorities come first: of those that can go, the highest. So that nobody
 * starves, a share ages: its effective priority is its own plus one point for each `age_ms` since it last
 * sent something. A share of priority p therefore waits at most (q - p) * age_ms longer than any of priority
 * q does, and then goes once.
 *
 * Among equals there are fair shares in a tree by virtual time (stride scheduling: Waldspurger and Weihl
 * 1995, here with equal tickets): components under the core, clients under a component, steps under a client.
 * Each node counts what it has sent, and of the children that could go the one with the least count is next.
 */
#include "broker/core/state.h"

#include <string.h>

/* What had work but could not go for a while may catch up by this many works, not by all that it missed. */
enum { CATCH_UP = 16 };

mr_status mr_share_get(mr_core *core, mr_lane *lane, const char *client, uint32_t priority, mr_share **out) {
    for (uint32_t i = 0; i < lane->shares; i++) {
        if (lane->share[i]->priority != priority || strcmp(lane->share[i]->client, client)) continue;
        *out = lane->share[i];
        return MR_OK;
    }
    void *grown = mr_room(core, lane->share, &lane->share_cap, lane->shares + 1);
    if (!grown) return MR_E_MEMORY;
    lane->share = grown;
    mr_share *share = mr_new(core->config.mem, 1, sizeof *share);
    if (!share) return MR_E_MEMORY;
    mr_sentence(share->client, sizeof share->client, client);
    share->priority = priority;
    lane->share[lane->shares++] = *out = share;
    return MR_OK;
}

void mr_share_leave(mr_core *core, mr_step *step) {
    mr_lane *lane = step->lane;
    mr_share *share = step->share;
    step->share = NULL;
    if (!share || --share->steps) return;
    for (uint32_t i = 0; i < lane->shares; i++)
        if (lane->share[i] == share) lane->share[i--] = lane->share[--lane->shares];
    mr_free(core->config.mem, share, 1, sizeof *share);
}

/* Whoever had nothing to send has saved nothing up. */
static void begin_at(uint64_t *pass, uint64_t parent_vtime) {
    if (*pass < parent_vtime) *pass = parent_vtime;
}

void mr_share_open(mr_core *core, mr_step *step) {
    bool lane_lives = false, share_lives = false;
    for (uint32_t i = 0; i < core->lives; i++) {
        lane_lives |= core->live[i]->lane == step->lane;
        share_lives |= core->live[i]->share == step->share;
    }
    if (!lane_lives) begin_at(&step->lane->pass, core->vtime);
    if (!share_lives) begin_at(&step->share->pass, step->lane->vtime);
    if (!share_lives) step->share->served_ms = core->now_ms;
    step->pass = step->share->vtime;
}

void mr_share_wake(mr_core *core, const mr_step *step) {
    for (uint32_t i = 0; i < core->lives; i++)
        if (core->live[i]->share == step->share && mr_step_has_more(core->live[i])) return;
    if (!step->share->coming) step->share->served_ms = core->now_ms;
}

/* ---- virtual time ---- */

static uint64_t at(uint64_t pass, uint64_t parent_vtime) {
    uint64_t least = parent_vtime > CATCH_UP ? parent_vtime - CATCH_UP : 0;
    return pass > least ? pass : least;
}

/* As `n` turns, one after the other. */
static void advance(uint64_t *pass, uint64_t *parent_vtime, uint32_t n) {
    uint64_t now = at(*pass, *parent_vtime) + n - 1;
    if (now > *parent_vtime) *parent_vtime = now;
    *pass = now + 1;
}

void mr_share_sent(mr_core *core, mr_step *step, uint32_t n) {
    advance(&step->lane->pass, &core->vtime, n);
    advance(&step->share->pass, &step->lane->vtime, n);
    advance(&step->pass, &step->share->vtime, n);
    step->share->served_ms = core->now_ms;
}

/* ---- order ---- */

static uint64_t effective(const mr_core *core, const mr_share *share, bool loading) {
    uint64_t waited = core->now_ms - share->served_ms;
    if (!core->config.age_ms || (loading && share->coming)) waited = 0; /* its turn is on the way */
    return share->priority + (waited ? waited / core->config.age_ms : 0);
}

typedef struct rank {
    uint64_t lane, share, step;
} rank;

static uint64_t coming(const uint32_t count[MR_W_LISTS]) {
    return (uint64_t)count[MR_W_LOADING] + count[MR_W_READY];
}

static rank rank_of(const mr_core *core, const mr_step *s, bool loading) {
    rank r = {at(s->lane->pass, core->vtime), at(s->share->pass, s->lane->vtime),
              at(s->pass, s->share->vtime)};
    if (!loading) return r;
    r.lane += coming(s->lane->count);
    r.share += s->share->coming;
    r.step += (uint64_t)s->list[MR_W_LOADING].count + s->list[MR_W_READY].count;
    return r;
}

static bool before(const rank *a, const rank *b) {
    if (a->lane != b->lane) return a->lane < b->lane;
    if (a->share != b->share) return a->share < b->share;
    return a->step < b->step;
}

mr_step *mr_share_next(const mr_core *core, bool loading,
                       bool (*may)(const mr_core *, const mr_step *, const void *), const void *context) {
    uint64_t highest = 0;
    uint32_t priority = 0;
    for (uint32_t i = 0; i < core->lives; i++) {
        const mr_share *share = core->live[i]->share;
        uint64_t here = effective(core, share, loading);
        if (here < highest || (here == highest && share->priority <= priority)) continue;
        if (!may(core, core->live[i], context)) continue;
        highest = here;
        priority = share->priority;
    }
    mr_step *best = NULL;
    rank least = {0};
    for (uint32_t i = 0; priority && i < core->lives; i++) {
        if (core->live[i]->share->priority != priority || !may(core, core->live[i], context)) continue;
        rank r = rank_of(core, core->live[i], loading);
        if (best && !before(&r, &least)) continue;
        best = core->live[i];
        least = r;
    }
    return best;
}

uint32_t mr_share_turn(const mr_core *core, const mr_step *step,
                       bool (*may)(const mr_core *, const mr_step *, const void *), const void *context) {
    uint32_t turn = UINT32_MAX;
    for (uint32_t i = 0; i < core->lives; i++) {
        const mr_step *other = core->live[i];
        if (other == step || !may(core, other, context)) continue;
        if (other->share->priority > step->share->priority) return 1; /* age alone let it go */
        turn = core->config.turn ? core->config.turn : 1;
    }
    return turn;
}
