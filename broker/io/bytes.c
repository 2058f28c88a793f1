#include "broker/io/bytes.h"

mr_bytes *mr_bytes_of_body(mr_net_body *body) {
    mr_bytes *b = mr_new(NULL, 1, sizeof *b);
    if (!b) return NULL;
    atomic_init(&b->owners, 1);
    b->body = *body;
    *body = (mr_net_body){0};
    return b;
}

mr_bytes *mr_bytes_of_buf(mr_buf *buf) {
    mr_net_body body;
    if (mr_net_body_of_buf(buf, &body) != MR_OK) return NULL;
    mr_bytes *b = mr_bytes_of_body(&body);
    if (!b) mr_net_body_free(&body);
    return b;
}

mr_bytes *mr_bytes_share(mr_bytes *b) {
    atomic_fetch_add_explicit(&b->owners, 1, memory_order_relaxed);
    return b;
}

void mr_bytes_drop(mr_bytes *b) {
    if (!b || atomic_fetch_sub_explicit(&b->owners, 1, memory_order_acq_rel) > 1) return;
    mr_net_body_free(&b->body);
    mr_free(NULL, b, 1, sizeof *b);
}

mr_span mr_bytes_span(const mr_bytes *b) { return (mr_span){b->body.data, b->body.len}; }

static void release(void *data, void *hint) {
    (void)data;
    mr_bytes_drop(hint);
}

mr_net_body mr_bytes_body(mr_bytes *b) {
    return (mr_net_body){.data = b->body.data, .len = b->body.len, .release = release, .hint = mr_bytes_share(b)};
}

mr_bytes *mr_bytes_part(mr_bytes *b, mr_span part) {
    mr_net_body body = mr_bytes_body(b);
    body.data = part.data;
    body.len = part.len;
    mr_bytes *out = mr_bytes_of_body(&body);
    if (!out) mr_net_body_free(&body);
    return out;
}

static mr_bytes *whole_of(mr_bytes *b) { return b->body.release == release ? b->body.hint : b; }

uint32_t mr_bytes_append(mr_bytes *b, mr_net_body *piece, uint32_t pieces) {
    mr_bytes *whole = whole_of(b);
    mr_span span = mr_bytes_span(b);
    mr_net_body *last = pieces ? &piece[pieces - 1] : NULL;
    if (last && last->hint == whole && last->data + last->len == span.data) {
        last->len += span.len;
        return pieces;
    }
    piece[pieces] = (mr_net_body){.data = span.data, .len = span.len, .release = release, .hint = mr_bytes_share(whole)};
    return pieces + 1;
}
