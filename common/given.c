#include "common/given.h"

#include "common/pack.h"

#include <string.h>

enum { FIELDS = 7 };
static const char magic[] = "MRG1";
static const size_t bytes_max = (size_t)1 << 31;

const char *const mr_use_names[] = {"input", "features", "model", NULL};

mr_status mr_given_wrap(mr_span input, const mr_given *items, uint32_t count, mr_buf *out) {
    mr_pack_array(out, 3);
    mr_pack_text(out, magic);
    mr_pack_bin(out, input);
    mr_pack_array(out, count);
    for (uint32_t i = 0; i < count; i++) {
        const mr_given *g = &items[i];
        mr_pack_array(out, FIELDS);
        mr_pack_u64(out, (uint64_t)g->use);
        mr_pack_text(out, g->component);
        mr_pack_text(out, g->artifact);
        mr_pack_u64(out, g->run);
        mr_pack_u64(out, g->step);
        mr_pack_bin(out, mr_hash_span(&g->hash));
        mr_pack_bin(out, g->bytes);
    }
    return mr_buf_status(out);
}

/* Both kinds of bare inputs are arrays too, of something else. */
static bool is_wrapped(mr_span bytes) {
    mr_unpack u;
    uint32_t n;
    mr_span word;
    mr_unpack_init(&u, bytes);
    return mr_unpack_array(&u, 3, &n, NULL) == MR_OK && n == 3 &&
           mr_unpack_str(&u, sizeof magic - 1, &word, NULL) == MR_OK && mr_span_eq(word, mr_span_of(magic));
}

static mr_status read_name(mr_unpack *u, mr_arena *arena, const char **out, mr_error *err) {
    mr_span name;
    MR_TRY(mr_unpack_str(u, MR_GIVEN_NAME, &name, err));
    char *copy = mr_arena_alloc(arena, name.len + 1, 1);
    if (!copy) return mr_fail(err, MR_E_MEMORY, "no memory for what a step was given");
    if (name.len) memcpy(copy, name.data, name.len);
    *out = copy;
    return MR_OK;
}

static mr_status read_item(mr_unpack *u, mr_arena *arena, mr_given *g, mr_error *err) {
    uint32_t n;
    uint64_t use, step;
    mr_span hash;
    MR_TRY(mr_unpack_array(u, FIELDS, &n, err));
    if (n != FIELDS) return mr_fail(err, MR_E_CORRUPT, "what a step was given has %u fields, not %d", n, FIELDS);
    MR_TRY(mr_unpack_u64(u, MR_USES - 1, &use, err));
    MR_TRY(read_name(u, arena, &g->component, err));
    MR_TRY(read_name(u, arena, &g->artifact, err));
    MR_TRY(mr_unpack_u64(u, INT64_MAX, &g->run, err));
    MR_TRY(mr_unpack_u64(u, UINT32_MAX, &step, err));
    MR_TRY(mr_unpack_bin(u, MR_HASH_BYTES, &hash, err));
    MR_TRY(mr_unpack_bin(u, bytes_max, &g->bytes, err));
    g->use = (mr_use)use;
    g->step = (uint32_t)step;
    g->hash = mr_hash_of(g->bytes);
    if (mr_span_eq(hash, mr_hash_span(&g->hash))) return MR_OK;
    return mr_fail(err, MR_E_CORRUPT, "what %s gave does not match its hash", g->component);
}

mr_status mr_given_unwrap(mr_span bytes, mr_arena *arena, mr_span *input, mr_given *items, uint32_t *count, mr_error *err) {
    mr_unpack u;
    uint32_t n;
    mr_span word;
    *input = bytes;
    *count = 0;
    if (!is_wrapped(bytes)) return MR_OK;
    mr_unpack_init(&u, bytes);
    MR_TRY(mr_unpack_array(&u, 3, &n, err));
    MR_TRY(mr_unpack_str(&u, sizeof magic - 1, &word, err));
    MR_TRY(mr_unpack_bin(&u, bytes_max, input, err));
    MR_TRY(mr_unpack_array(&u, MR_GIVENS, &n, err));
    for (; *count < n; (*count)++) MR_TRY(read_item(&u, arena, &items[*count], err));
    return mr_unpack_done(&u) ? MR_OK : mr_fail(err, MR_E_CORRUPT, "bytes behind the end of what a step was given");
}

const mr_given *mr_given_find(const mr_given *items, uint32_t count, mr_use use, const char *component) {
    for (uint32_t i = 0; i < count; i++)
        if (items[i].use == use && (!component || !strcmp(items[i].component, component))) return &items[i];
    return NULL;
}
