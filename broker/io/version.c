#include "broker/io/version.h"

#include "common/hash.h"

#include <string.h>

enum { CHUNK = 4096 }; /* row ids in one row of version_rows; window.c counts on it */

static const mr_pg_statement read_prompt_ids = {
    "version_prompts", "select id, content_hash, revision from millrace.training_prompts where active order by id", 0, {0}};
static const mr_pg_statement read_table_ids = {
    "version_table", "select id, content_hash, 1 from millrace.table_row where dataset_id = $1 order by id", 1, {MR_PG_INT8}};
static const mr_pg_statement find_same = {
    "version_same",
    "select id from millrace.dataset_version where dataset_id = $1 and content_hash = $2",
    2,
    {MR_PG_INT8, MR_PG_BYTEA}};
static const mr_pg_statement find_id = {
    "version_find",
    "select row_count from millrace.dataset_version where dataset_id = $1 and id = $2",
    2,
    {MR_PG_INT8, MR_PG_INT8}};
static const mr_pg_statement insert_version = {
    "version_insert",
    "insert into millrace.dataset_version (dataset_id, row_count, content_hash) values ($1, $2, $3)"
    " on conflict do nothing returning id",
    3,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_BYTEA}};
static const char copy_rows[] = "copy millrace.version_rows (version_id, chunk, row_ids) from stdin (format binary)";

/* The ids of all rows, in order, as they stream in. */
typedef struct ids {
    int64_t *v;
    size_t n, cap;
    mr_hash_state hash;
} ids;

/* A later revision has the content of the one before and other fields: it counts as other content. */
static mr_hash revised(mr_span content, int64_t revision) {
    mr_hash_state state;
    uint8_t number[8];
    for (int i = 0; i < 8; i++) number[i] = (uint8_t)((uint64_t)revision >> (8 * i));
    mr_hash_init(&state);
    mr_hash_update(&state, content);
    mr_hash_update(&state, (mr_span){number, sizeof number});
    return mr_hash_final(&state);
}

static void add_hash(ids *list, mr_span content, int64_t revision) {
    mr_hash other;
    if (revision > 1) {
        other = revised(content, revision);
        content = mr_hash_span(&other);
    }
    mr_hash_update(&list->hash, content);
}

static mr_status add(ids *list, mr_pg_row *row, mr_error *err) {
    if (list->n == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : CHUNK;
        int64_t *v = mr_grow(NULL, list->v, list->cap, cap, sizeof *v);
        if (!v) return mr_fail(err, MR_E_MEMORY, "no memory for the ids of %zu rows", list->n);
        list->v = v;
        list->cap = cap;
    }
    list->v[list->n++] = mr_pg_int(row, 0);
    add_hash(list, mr_pg_bytea(row, 1), mr_pg_int(row, 2));
    return mr_pg_row_status(row, err);
}

static mr_status read_ids(mr_pg *pg, int64_t dataset, bool is_table, ids *list, mr_error *err) {
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 256);
    if (is_table) mr_pg_put_int8(&p, dataset);
    mr_status s = mr_pg_stream(pg, is_table ? &read_table_ids : &read_prompt_ids, is_table ? &p : NULL, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    for (;;) {
        mr_pg_result *r = NULL;
        s = mr_pg_stream_next(pg, &r, err);
        if (s != MR_OK || !r) break;
        mr_pg_row row = mr_pg_row_at(r, 0);
        s = add(list, &row, err);
        mr_pg_result_free(&r);
        if (s != MR_OK) break;
    }
    mr_pg_stream_end(pg);
    return s;
}

/* One statement that gives an id or nothing. */
static mr_status one_number(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *p, int64_t *out, bool *found,
                            mr_error *err) {
    mr_pg_result *r = NULL;
    MR_TRY(mr_pg_exec(pg, st, p, &r, err));
    *found = mr_pg_rows(r) == 1;
    mr_status s = MR_OK;
    if (*found) {
        mr_pg_row row = mr_pg_row_at(r, 0);
        *out = mr_pg_int(&row, 0);
        s = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    return s;
}

static mr_status copy_ids(mr_pg *pg, mr_pg_params *p, int64_t version, const ids *list, mr_error *err) {
    MR_TRY(mr_pg_copy_begin(pg, copy_rows, err));
    for (size_t at = 0; at < list->n; at += CHUNK) {
        size_t n = list->n - at < CHUNK ? list->n - at : CHUNK;
        mr_pg_params_clear(p);
        mr_pg_put_int8(p, version);
        mr_pg_put_int4(p, (int32_t)(at / CHUNK));
        mr_pg_put_int8s(p, list->v + at, NULL, n);
        mr_status s = mr_pg_copy_row(pg, p, err);
        if (s != MR_OK) {
            mr_pg_copy_abort(pg);
            return s;
        }
    }
    return mr_pg_copy_end(pg, NULL, err);
}

static mr_status find(mr_pg *pg, mr_pg_params *p, int64_t dataset, const mr_hash *hash, int64_t *id, bool *found, mr_error *err) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, dataset);
    mr_pg_put_bytea(p, mr_hash_span(hash));
    return one_number(pg, &find_same, p, id, found, err);
}

static mr_status find_or_insert(mr_pg *pg, mr_pg_params *p, int64_t dataset, ids *list, mr_version *out, mr_error *err) {
    mr_hash hash = mr_hash_final(&list->hash);
    bool found;
    out->rows = list->n;
    for (int tries = 0; tries < 2; tries++) {
        MR_TRY(find(pg, p, dataset, &hash, &out->id, &found, err));
        if (found) return MR_OK;
        mr_pg_params_clear(p);
        mr_pg_put_int8(p, dataset);
        mr_pg_put_int8(p, (int64_t)list->n);
        mr_pg_put_bytea(p, mr_hash_span(&hash));
        MR_TRY(one_number(pg, &insert_version, p, &out->id, &found, err));
        if (found) return copy_ids(pg, p, out->id, list, err);
    } /* somebody was faster with the same rows: then it is found */
    return mr_fail(err, MR_E_UNAVAILABLE, "the version of the data set comes and goes; try again");
}

mr_status mr_version_make(mr_pg *pg, int64_t dataset, bool is_table, mr_version *out, mr_error *err) {
    ids list = {0};
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 1024 * 1024);
    mr_hash_init(&list.hash);
    mr_status s = read_ids(pg, dataset, is_table, &list, err);
    if (s == MR_OK && list.n == 0)
        s = mr_fail(err, MR_E_INVALID, "the data set has no rows: bring some in with 'millrace ingest'");
    if (s == MR_OK) s = find_or_insert(pg, &p, dataset, &list, out, err);
    mr_free(NULL, list.v, list.cap, sizeof *list.v);
    mr_pg_params_free(&p);
    return s;
}

mr_status mr_version_find(mr_pg *pg, int64_t dataset, int64_t id, mr_version *out, mr_error *err) {
    mr_pg_params p;
    bool found;
    int64_t rows = 0;
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_int8(&p, dataset);
    mr_pg_put_int8(&p, id);
    mr_status s = one_number(pg, &find_id, &p, &rows, &found, err);
    mr_pg_params_free(&p);
    if (s == MR_OK && !found)
        s = mr_fail(err, MR_E_NOT_FOUND, "the data set has no version %lld: 'millrace datasets' shows them", (long long)id);
    *out = (mr_version){.id = id, .rows = (uint64_t)rows};
    return s;
}
