#include "worker/kit/words.h"

#include "common/hash.h"

#include <stdlib.h>
#include <string.h>

mr_status mr_words_init(mr_words *w, mr_arena *arena, size_t most, mr_error *err) {
    *w = (mr_words){.most = most, .arena = arena, .slots = 4};
    while (w->slots < 2 * most) w->slots *= 2;
    w->items = mr_arena_alloc(arena, most, sizeof *w->items);
    w->slot = mr_arena_alloc(arena, w->slots, sizeof *w->slot);
    return w->items && w->slot ? MR_OK : mr_fail(err, MR_E_MEMORY, "no memory for %zu names", most);
}

static uint64_t hash_of(mr_span text) { return mr_xxh64(text, 0) >> 11; }

/* The place of the hash in the table, or the free place where it belongs. */
static size_t place_of(const mr_words *w, uint64_t hash) {
    size_t at = hash & (w->slots - 1);
    while (w->slot[at] && w->items[w->slot[at] - 1].hash != hash) at = (at + 1) & (w->slots - 1);
    return at;
}

size_t mr_words_find(const mr_words *w, uint64_t hash) {
    uint32_t found = w->slot[place_of(w, hash)];
    return found ? found - 1 : SIZE_MAX;
}

mr_status mr_words_add(mr_words *w, mr_span text, size_t *index, mr_error *err) {
    uint64_t hash = hash_of(text);
    size_t at = place_of(w, hash);
    if (w->slot[at]) {
        *index = w->slot[at] - 1;
        if (mr_span_eq(w->items[*index].text, text)) return MR_OK;
        return mr_fail(err, MR_E_INVALID, "the names '%.80s' and another have the same hash; rename one",
                       (const char *)w->items[*index].text.data);
    }
    if (text.len > MR_WORD_BYTES)
        return mr_fail(err, MR_E_INVALID, "a name of %zu bytes is too long; at most %d are allowed", text.len,
                       MR_WORD_BYTES);
    if (w->count == w->most)
        return mr_fail(err, MR_E_LIMIT, "there are more than %zu different names; is the right column bound?",
                       w->most);
    char *copy = mr_arena_copy(w->arena, text.data, text.len);
    if (!copy) return mr_fail(err, MR_E_MEMORY, "no memory for a name");
    *index = w->count;
    w->items[w->count++] = (mr_word){hash, {(const uint8_t *)copy, text.len}};
    w->slot[at] = (uint32_t)w->count;
    w->bytes += text.len;
    return MR_OK;
}

static bool is_number(mr_span text) {
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9') return false;
    return text.len > 0;
}

typedef struct entry {
    mr_span text;
    uint32_t index;
} entry;

static int by_text(const void *x, const void *y) {
    mr_span p = ((const entry *)x)->text, q = ((const entry *)y)->text;
    if (is_number(p) != is_number(q)) return is_number(p) ? -1 : 1;
    if (is_number(p) && p.len != q.len) return p.len < q.len ? -1 : 1;
    size_t least = p.len < q.len ? p.len : q.len;
    int order = least ? memcmp(p.data, q.data, least) : 0;
    return order ? order : (p.len > q.len) - (p.len < q.len);
}

uint32_t *mr_words_order(const mr_words *w, mr_arena *arena) {
    entry *v = mr_arena_alloc(arena, w->count + 1, sizeof *v);
    uint32_t *order = mr_arena_alloc(arena, w->count + 1, sizeof *order);
    if (!v || !order) return NULL;
    for (uint32_t i = 0; i < w->count; i++) v[i] = (entry){w->items[i].text, i};
    if (w->count) qsort(v, w->count, sizeof *v, by_text);
    for (size_t i = 0; i < w->count; i++) order[i] = v[i].index;
    return order;
}

mr_status mr_words_pack(const mr_words *w, mr_buf *out, mr_error *err) {
    uint32_t *order = mr_words_order(w, w->arena);
    if (!order) return mr_fail(err, MR_E_MEMORY, "no memory to sort %zu names", w->count);
    mr_pack_array(out, (uint32_t)w->count);
    for (size_t i = 0; i < w->count; i++) mr_pack_str(out, w->items[order[i]].text);
    return MR_OK;
}

mr_status mr_words_add_packed(mr_words *w, mr_unpack *in, mr_error *err) {
    uint32_t count;
    if (mr_unpack_array(in, (uint32_t)w->most, &count, err) != MR_OK)
        return mr_fail(err, MR_E_CORRUPT, "stored bytes: a set of names is broken or larger than %zu",
                       w->most);
    for (uint32_t i = 0; i < count; i++) {
        mr_span text;
        size_t index;
        if (mr_unpack_str(in, MR_WORD_BYTES, &text, err) != MR_OK)
            return mr_fail(err, MR_E_CORRUPT, "stored bytes: name %u is broken", i);
        MR_TRY(mr_words_add(w, text, &index, err));
    }
    return MR_OK;
}
