/* bytes.h: immutable bytes that several owners share: an input that goes to a worker, a cached segment, a received body
 * whose parts are committed one by one. Counted; safe to share between threads. */
#ifndef MR_BROKER_IO_BYTES_H
#define MR_BROKER_IO_BYTES_H

#include "common/hash.h"
#include "common/net.h"

#include <stdatomic.h>

typedef struct mr_bytes {
    atomic_uint owners;
    mr_net_body body;
    mr_hash hash; /* zero until somebody fills it in, before it is shared */
} mr_bytes;

/* Take the bytes; the caller is the first owner. NULL when there is no memory (the source is left alone then). */
mr_bytes *mr_bytes_of_buf(mr_buf *buf);
mr_bytes *mr_bytes_of_body(mr_net_body *body);
/* A part of them as bytes of its own, which keeps the whole. NULL when there is no memory. */
mr_bytes *mr_bytes_part(mr_bytes *b, mr_span part);
mr_bytes *mr_bytes_share(mr_bytes *b);
void mr_bytes_drop(mr_bytes *b);
mr_span mr_bytes_span(const mr_bytes *b);
/* A body to send, which is one more owner until it is sent. */
mr_net_body mr_bytes_body(mr_bytes *b);
/* Puts them behind what is in `piece` already, to be sent together: as more of the last piece, when both are parts of the same
 * whole and lie one behind the other, else as one more, for which there is room. Gives how many pieces there are then; each is
 * one more owner of its whole. */
uint32_t mr_bytes_append(mr_bytes *b, mr_net_body *piece, uint32_t pieces);

#endif
