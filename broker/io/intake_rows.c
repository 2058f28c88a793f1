#include "broker/io/intake_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define COLUMN(rows, field) ((rows)->field = mr_arena_alloc(arena, n, sizeof *(rows)->field))

/* ---- finding by bytes ---- */

static bool open_index(mr_intake_index *x, mr_arena *arena, size_t n) {
    for (x->slots = 16; x->slots < n * 2; x->slots *= 2) {
    }
    mr_random_bytes(&x->seed, sizeof x->seed); /* names are a stranger's: no chains on purpose */
    x->slot = mr_arena_alloc(arena, x->slots, sizeof *x->slot);
    return x->slot;
}

static uint32_t *slot_of(const mr_intake_index *x, const mr_span *items, mr_span what) {
    size_t i = (size_t)mr_xxh64(what, x->seed) & (x->slots - 1);
    while (x->slot[i] && !mr_span_eq(items[x->slot[i] - 1], what)) i = (i + 1) & (x->slots - 1);
    return &x->slot[i];
}

/* Places are given in order, from 0. */
static uint32_t find_or_add(mr_intake_index *x, const mr_span *items, mr_span what, uint32_t place) {
    uint32_t *slot = slot_of(x, items, what);
    if (!*slot) *slot = place + 1;
    return *slot - 1;
}

uint32_t mr_intake_find(const mr_intake_index *index, const mr_span *items, mr_span what) {
    return *slot_of(index, items, what) - 1;
}

/* ---- prompts ---- */

static bool allocate_prompts(mr_intake_rows *r, mr_arena *arena, size_t n) {
    return COLUMN(r, line) && COLUMN(r, reject) && COLUMN(r, hash) && COLUMN(r, prompt) && COLUMN(r, enhancement) &&
           COLUMN(r, source) && COLUMN(r, session) && COLUMN(r, labels) && COLUMN(r, metadata) && COLUMN(r, features) &&
           COLUMN(r, no_enhancement) && COLUMN(r, enhancement_json) && COLUMN(r, success) && COLUMN(r, no_success) &&
           COLUMN(r, no_session) && COLUMN(r, no_score) && COLUMN(r, no_labels) && COLUMN(r, no_metadata) &&
           COLUMN(r, no_time) && COLUMN(r, priority) && COLUMN(r, score) && COLUMN(r, time_ns) && COLUMN(r, first) &&
           COLUMN(r, names) && COLUMN(r, name) && open_index(&r->contents, arena, n) && open_index(&r->sessions, arena, n) &&
           (r->copy_at = mr_arena_alloc(arena, n + 1, sizeof *r->copy_at));
}

static bool allocate_table(mr_intake_rows *r, mr_arena *arena, size_t n) {
    return COLUMN(r, line) && COLUMN(r, reject) && COLUMN(r, hash) && COLUMN(r, key) && COLUMN(r, cells);
}

static mr_span copied(mr_arena *arena, const void *bytes, size_t n) {
    char *copy = mr_arena_copy(arena, bytes, n);
    return (mr_span){(const uint8_t *)copy, copy ? n : 0};
}

static void refuse(mr_intake_rows *r, uint64_t line, const mr_error *why) {
    mr_intake_reject *reject = &r->reject[r->rejects++];
    reject->line = line;
    snprintf(reject->reason, sizeof reject->reason, "%.255s", why->text);
}

static void add_session(mr_intake_rows *r, uint32_t row) {
    uint32_t n = r->name_count;
    r->names[n] = r->session[row];
    r->name[row] = find_or_add(&r->sessions, r->names, r->session[row], n);
    r->name_count += r->name[row] == n;
}

static mr_status add_prompt(mr_intake_rows *r, const mr_prompt *p, uint64_t line, mr_text *text, mr_arena *arena,
                            mr_error *err) {
    float features[MR_FEATURES];
    if (p->created_at_us != INT64_MIN && (p->created_at_us > INT64_MAX / 1000 || p->created_at_us < INT64_MIN / 1000))
        return mr_fail(err, MR_E_INVALID, "'created_at' is not within the years 1678 to 2261");
    MR_TRY(mr_features(text, p->prompt, features, err));
    uint32_t i = r->count;
    r->line[i] = line;
    r->hash[i] = copied(arena, p->hash, sizeof p->hash);
    r->features[i] = copied(arena, features, sizeof features);
    if (!r->hash[i].data || !r->features[i].data) return mr_fail(err, MR_E_MEMORY, "no memory for the rows of this call");
    r->prompt[i] = p->prompt;
    r->enhancement[i] = p->enhancement;
    r->no_enhancement[i] = !p->has_enhancement;
    r->enhancement_json[i] = p->enhancement_is_json;
    r->source[i] = mr_span_of(mr_prompt_sources[p->source]);
    r->priority[i] = (int32_t)p->priority;
    r->session[i] = p->session;
    r->no_session[i] = p->session.len == 0;
    if (p->session.len) add_session(r, i);
    r->score[i] = isnan(p->score) ? 0 : p->score;
    r->no_score[i] = isnan(p->score);
    r->success[i] = p->success == 1;
    r->no_success[i] = p->success < 0;
    r->labels[i] = p->labels;
    r->no_labels[i] = p->labels.len == 0;
    r->metadata[i] = p->metadata;
    r->no_metadata[i] = p->metadata.len == 0;
    r->no_time[i] = p->created_at_us == INT64_MIN;
    r->time_ns[i] = r->no_time[i] ? 0 : p->created_at_us * 1000;
    r->first[i] = find_or_add(&r->contents, r->hash, r->hash[i], i);
    r->count++;
    return MR_OK;
}

static mr_status row_count(mr_unpack *u, uint32_t *n, mr_error *err) {
    if (mr_unpack_array(u, MR_INTAKE_ROWS, n, err) != MR_OK)
        return mr_fail_in(err, "the rows of a call are one array of at most %d", MR_INTAKE_ROWS);
    return MR_OK;
}

mr_status mr_intake_prompts(mr_span bytes, uint32_t max_chars, mr_text *text, mr_arena *arena, mr_intake_rows *out,
                            mr_error *err) {
    mr_unpack u;
    uint32_t n;
    mr_prompt_limits limits = {.max_chars = max_chars};
    *out = (mr_intake_rows){0};
    mr_unpack_init(&u, bytes);
    MR_TRY(row_count(&u, &n, err));
    if (!allocate_prompts(out, arena, n ? n : 1)) return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", n);
    for (uint32_t i = 0; i < n; i++) {
        mr_prompt p;
        uint64_t line = 0;
        mr_error why;
        mr_status s = mr_prompt_unpack(&u, &limits, arena, &p, &line, &why);
        if (s == MR_OK) s = add_prompt(out, &p, line, text, arena, &why);
        if (s == MR_E_INVALID || s == MR_E_LIMIT) {
            refuse(out, line, &why);
        } else if (s != MR_OK) {
            *err = why;
            return s;
        }
    }
    return MR_OK;
}

/* One place in one file: base name and line. */
static mr_hash row_key(mr_span file, uint64_t line) {
    mr_hash_state state;
    uint8_t number[8];
    for (int i = 0; i < 8; i++) number[i] = (uint8_t)(line >> (8 * i));
    mr_hash_init(&state);
    mr_hash_update(&state, mr_span_of("millrace table row"));
    mr_hash_update(&state, (mr_span){number, sizeof number});
    mr_hash_update(&state, file);
    return mr_hash_final(&state);
}

static mr_status add_table_row(mr_intake_rows *r, mr_table_schema schema, const mr_cell *cells, mr_span file, uint64_t line,
                               mr_arena *arena, mr_buf *scratch, mr_error *err) {
    mr_buf_clear(scratch);
    mr_table_row_pack(scratch, schema, cells);
    mr_status s = mr_buf_status(scratch);
    if (s == MR_E_MEMORY) return mr_fail(err, s, "no memory for the rows of this call");
    if (s != MR_OK) return mr_fail(err, s, "the row is larger than 16 MiB");
    mr_hash hash = mr_hash_of(mr_buf_span(scratch)), key = row_key(file, line);
    uint32_t i = r->count;
    r->line[i] = line;
    r->cells[i] = copied(arena, scratch->data, scratch->len);
    r->hash[i] = copied(arena, hash.bytes, sizeof hash.bytes);
    r->key[i] = copied(arena, key.bytes, sizeof key.bytes);
    if (!r->cells[i].data || !r->hash[i].data || !r->key[i].data)
        return mr_fail(err, MR_E_MEMORY, "no memory for the rows of this call");
    r->count++;
    return MR_OK;
}

static mr_status table_row(mr_unpack *u, mr_table_schema schema, mr_span file, mr_cell *cells, mr_arena *arena,
                           mr_buf *scratch, mr_intake_rows *out, mr_error *err) {
    uint32_t pair;
    uint64_t line;
    mr_error why;
    MR_TRY(mr_unpack_array(u, 2, &pair, err));
    if (pair != 2) return mr_fail(err, MR_E_PROTOCOL, "a row of a table is [line, [cells...]]");
    MR_TRY(mr_unpack_u64(u, INT64_MAX, &line, err));
    mr_unpack after = *u; /* a bad value leaves the cursor inside its row */
    MR_TRY(mr_unpack_skip(&after, err));
    mr_status s = mr_table_row_unpack(u, schema, cells, &why);
    *u = after;
    if (s == MR_OK) return add_table_row(out, schema, cells, file, line, arena, scratch, err);
    if (s != MR_E_INVALID && s != MR_E_PROTOCOL) return *err = why, s;
    refuse(out, line, &why);
    return MR_OK;
}

mr_status mr_intake_table(mr_span bytes, mr_table_schema schema, mr_span file, mr_arena *arena, mr_intake_rows *out,
                          mr_error *err) {
    mr_unpack u;
    uint32_t n;
    *out = (mr_intake_rows){0};
    mr_unpack_init(&u, bytes);
    MR_TRY(row_count(&u, &n, err));
    mr_cell *cells = mr_arena_alloc(arena, schema.count + 1, sizeof *cells);
    if (!cells || !allocate_table(out, arena, n ? n : 1)) return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", n);
    mr_buf scratch;
    mr_buf_init(&scratch, NULL, 16 * 1024 * 1024);
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < n; i++) s = table_row(&u, schema, file, cells, arena, &scratch, out, err);
    mr_buf_free(&scratch);
    return s;
}

/* ---- as rows of a COPY ---- */

static void put_text(mr_buf *to, mr_span text, bool null) {
    if (null) mr_pg_cell_null(to);
    else mr_pg_cell_bytes(to, text);
}

static void put_object(mr_buf *to, mr_span json, bool null) {
    if (null) mr_pg_cell_null(to);
    else mr_pg_cell_jsonb(to, json);
}

static void put_verdicts(mr_buf *to, const mr_intake_rows *r, uint32_t i) {
    if (r->no_score[i]) mr_pg_cell_null(to);
    else mr_pg_cell_float8(to, r->score[i]);
    if (r->no_success[i]) mr_pg_cell_null(to);
    else mr_pg_cell_bool(to, r->success[i]);
}

static void put_row(mr_buf *to, const mr_intake_rows *r, uint32_t i, int64_t ingest) {
    enum { COLUMNS = 15 };
    mr_pg_cells(to, COLUMNS);
    mr_pg_cell_time(to, r->time_ns[i]);
    if (r->no_session[i]) mr_pg_cell_null(to);
    else mr_pg_cell_int8(to, 0);
    mr_pg_cell_bytes(to, r->hash[i]);
    mr_pg_cell_bytes(to, r->prompt[i]);
    put_text(to, r->enhancement[i], r->no_enhancement[i]);
    mr_pg_cell_bool(to, r->enhancement_json[i]);
    mr_pg_cell_bytes(to, r->source[i]);
    mr_pg_cell_int4(to, r->priority[i]);
    put_verdicts(to, r, i);
    put_object(to, r->labels[i], r->no_labels[i]);
    put_object(to, r->metadata[i], r->no_metadata[i]);
    mr_pg_cell_bytes(to, r->features[i]);
    mr_pg_cell_int4(to, MR_FEATURES_VERSION);
    mr_pg_cell_int8(to, ingest);
}

mr_status mr_intake_encode(mr_intake_rows *rows, int64_t ingest, mr_buf *copy, mr_error *err) {
    mr_buf_clear(copy);
    for (uint32_t i = 0; i < rows->count; i++) {
        rows->copy_at[i] = copy->len;
        put_row(copy, rows, i, ingest);
    }
    rows->copy_at[rows->count] = copy->len;
    mr_status s = mr_buf_status(copy);
    return s == MR_OK ? s : mr_fail(err, s, "the rows of this call do not fit into memory");
}

void mr_intake_put_prompts(mr_pg_params *p, const mr_intake_rows *r) {
    mr_pg_put_byteas(p, r->hash, NULL, r->count);
    mr_pg_put_texts(p, r->prompt, NULL, r->count);
    mr_pg_put_texts(p, r->enhancement, r->no_enhancement, r->count);
    mr_pg_put_bools(p, r->enhancement_json, NULL, r->count);
    mr_pg_put_texts(p, r->source, NULL, r->count);
    mr_pg_put_int4s(p, r->priority, NULL, r->count);
    mr_pg_put_texts(p, r->session, r->no_session, r->count);
    mr_pg_put_float8s(p, r->score, r->no_score, r->count);
    mr_pg_put_bools(p, r->success, r->no_success, r->count);
    mr_pg_put_jsonbs(p, r->labels, r->no_labels, r->count);
    mr_pg_put_jsonbs(p, r->metadata, r->no_metadata, r->count);
    mr_pg_put_times(p, r->time_ns, r->no_time, r->count);
    mr_pg_put_byteas(p, r->features, NULL, r->count);
}
