#include "broker/io/plain_rows.h"

#include "common/features.h"

#include <string.h>

/* GROUP: rows that the server joins; what it takes for so many it has again for the next. AHEAD_MAX: rows that are read ahead at
 * once. */
enum { GROUP = 128, AHEAD_MAX = 4096 };
static const size_t row_size = MR_FEATURES * sizeof(float);

/* ---- rows whose ids follow one another ---- */

/* When no other id lies between the first row, $2, and the last, $3: groups of $4 rows, each with its place, joined, since a row
 * of the protocol costs as much as three of the table. A version's ids ascend (version.c). */
static const mr_pg_statement read_dense = {
    "features_dense",
    "with ends as materialized (select a.row_ids[$2 % 4096 + 1] first, b.row_ids[$3 % 4096 + 1] last"
    " from millrace.version_rows a, millrace.version_rows b"
    " where a.version_id = $1 and a.chunk = $2 / 4096 and b.version_id = $1 and b.chunk = $3 / 4096)"
    " select g.id - (select first from ends), r.features from generate_series((select first from ends),"
    " (select last from ends where last - first = $3 - $2), $4) g (id) cross join lateral"
    " (select string_agg(features, '') features from (select features from millrace.training_prompts"
    " where id between g.id and least(g.id + $4 - 1, (select last from ends)) order by id) p) r",
    4,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

static void put_range(mr_pg_params *p, const mr_plain_stretch *s) {
    mr_pg_put_int8(p, (int64_t)s->version);
    mr_pg_put_int8(p, (int64_t)s->first);
    mr_pg_put_int8(p, (int64_t)(s->first + s->rows - 1));
}

static void put_dense(mr_pg_params *p, const mr_plain_stretch *s) {
    put_range(p, s);
    mr_pg_put_int8(p, GROUP);
}

/* False when a row of the group is not there. */
static bool place_group(mr_plain_stretch *s, uint64_t at, mr_span features) {
    if (at >= s->rows || features.len != row_size * (s->rows - at < GROUP ? s->rows - at : GROUP)) return false;
    memcpy(s->features + (size_t)at * MR_FEATURES, features.data, features.len);
    return true;
}

static void take_dense(void *context, size_t n, const mr_pg_result *r) {
    mr_plain_stretch *s = context;
    (void)n;
    s->there = mr_pg_rows(r) == (s->rows + GROUP - 1) / GROUP;
    for (uint32_t i = 0; s->there && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        uint64_t at = (uint64_t)mr_pg_int(&row, 0);
        s->there = place_group(s, at, mr_pg_bytea(&row, 1));
    }
}

/* ---- rows between which few others lie ---- */

static const mr_pg_statement read_ids = {
    "features_ids",
    "select row_ids[greatest($2 - chunk::bigint * 4096, 0) + 1 : least($3 - chunk::bigint * 4096, 4095) + 1]"
    " from millrace.version_rows where version_id = $1 and chunk between $2 / 4096 and $3 / 4096 order by chunk",
    3,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

/* All that there are as one row; both columns see the rows in the same order, whichever it is. */
static const mr_pg_statement read_close = {
    "features_close",
    "select array_agg(id), string_agg(features, '') from (select id, features from millrace.training_prompts"
    " where id between $1 and $2 order by id) r",
    2,
    {MR_PG_INT8, MR_PG_INT8}};

static mr_status take_ids(const mr_plain_stretch *s, mr_pg *pg, int64_t *ids, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    size_t n = 0;
    mr_pg_params_init(&p, NULL, 256);
    put_range(&p, s);
    mr_status status = mr_pg_exec(pg, &read_ids, &p, &r, err);
    mr_pg_params_free(&p);
    for (uint32_t i = 0; status == MR_OK && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        n += mr_pg_int8s(&row, 0, ids + n, s->rows - n);
        status = mr_pg_row_status(&row, err);
    }
    mr_pg_result_free(&r);
    if (status == MR_OK && n < s->rows) ids[0] = 0; /* the long way says what is missing */
    return status;
}

static bool lie_close(const int64_t *ids, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (ids[i] < 1 || (i && ids[i] <= ids[i - 1])) return false;
    return ids[n - 1] - ids[0] < 2 * (int64_t)n;
}

/* Of the rows that are there, those of this version. False when not all are. */
static bool pick(mr_plain_stretch *s, const int64_t *ids, const int64_t *there, size_t count, const uint8_t *features) {
    uint32_t n = 0;
    for (size_t i = 0; n < s->rows && i < count; i++)
        if (there[i] == ids[n]) memcpy(s->features + (size_t)n++ * MR_FEATURES, features + i * row_size, row_size);
    return n == s->rows;
}

/* `there`: room for `most` ids. */
static mr_status take_close(mr_plain_stretch *s, mr_pg *pg, const int64_t *ids, int64_t *there, size_t most, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_int8(&p, ids[0]);
    mr_pg_put_int8(&p, ids[s->rows - 1]);
    mr_status status = mr_pg_exec(pg, &read_close, &p, &r, err);
    mr_pg_params_free(&p);
    if (status != MR_OK) return status;
    mr_pg_row row = mr_pg_row_at(r, 0);
    if (!mr_pg_is_null(&row, 0)) {
        size_t count = mr_pg_int8s(&row, 0, there, most);
        mr_span features = mr_pg_bytea(&row, 1);
        s->there = mr_pg_row_status(&row, err) == MR_OK && features.len == count * row_size &&
                   pick(s, ids, there, count, features.data);
    }
    mr_pg_result_free(&r);
    return MR_OK;
}

static mr_status read_scattered(mr_plain_stretch *s, mr_pg *pg, mr_error *err) {
    size_t most = 3 * (size_t)s->rows; /* the ids, and those that lie_close allows between them */
    int64_t *ids = mr_new(NULL, most, sizeof *ids);
    if (!ids) return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", s->rows);
    mr_status status = take_ids(s, pg, ids, err);
    if (status == MR_OK && lie_close(ids, s->rows)) status = take_close(s, pg, ids, ids + s->rows, most - s->rows, err);
    mr_free(NULL, ids, most, sizeof *ids);
    return status;
}

/* ---- a stretch ---- */

static void release(mr_plain_stretch *s) {
    mr_free(NULL, s->features, s->room, sizeof *s->features);
    *s = (mr_plain_stretch){0};
}

/* Names the rows, which are not there yet; keeps the memory. False without memory. */
static bool begin(mr_plain_stretch *s, uint64_t version, uint64_t first, uint32_t rows) {
    size_t need = (size_t)rows * MR_FEATURES;
    if (need > s->room) {
        release(s);
        s->features = mr_new(NULL, need, sizeof *s->features);
        if (!s->features) return false;
        s->room = need;
    }
    s->version = version;
    s->first = first;
    s->rows = rows;
    s->there = false;
    return true;
}

static bool is_of(const mr_plain_stretch *s, uint64_t version, uint64_t first, uint32_t rows) {
    return s->rows && s->version == version && s->first == first && s->rows == rows;
}

/* The next is gone for without waiting. It is no matter when that fails: it is read when it is needed. */
static void ask(mr_plain_rows *f, mr_pg *pg, uint64_t end) {
    mr_error ignored;
    mr_pg_params p;
    uint64_t first = f->now.first + f->now.rows;
    if (first >= end || f->now.rows > AHEAD_MAX) return;
    uint32_t rows = f->now.rows < end - first ? f->now.rows : (uint32_t)(end - first);
    if (!begin(&f->next, f->now.version, first, rows)) return;
    mr_pg_params_init(&p, NULL, 256);
    put_dense(&p, &f->next);
    mr_status s = mr_pg_prepare(pg, &read_dense, &ignored);
    if (s == MR_OK) s = mr_pg_pipeline_begin(pg, &ignored);
    if (s == MR_OK) {
        f->session = mr_pg_session(pg);
        s = mr_pg_pipeline_send(pg, &read_dense, &p, &ignored);
        if (s == MR_OK) s = mr_pg_pipeline_sync(pg, &ignored);
        if (s != MR_OK) {
            (void)!mr_pg_pipeline_finish(pg, s, NULL, NULL, &ignored);
            f->session = 0;
        }
    }
    mr_pg_params_free(&p);
    if (!f->session) f->next.rows = 0;
}

void mr_plain_rows_settle(mr_plain_rows *f, mr_pg *pg) {
    mr_error ignored;
    bool lost = f->session != mr_pg_session(pg);
    if (!f->session) return;
    f->session = 0;
    if (lost || mr_pg_pipeline_finish(pg, MR_OK, take_dense, &f->next, &ignored) != MR_OK) f->next.rows = 0;
}

static mr_status read_now(mr_plain_stretch *s, mr_pg *pg, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 256);
    put_dense(&p, s);
    mr_status status = mr_pg_exec(pg, &read_dense, &p, &r, err);
    mr_pg_params_free(&p);
    if (status == MR_OK) take_dense(s, 0, r);
    mr_pg_result_free(&r);
    return status;
}

const float *mr_plain_rows_find(const mr_plain_rows *f, uint64_t version, uint64_t first, uint32_t rows) {
    const mr_plain_stretch *s = &f->now;
    if (!s->there || s->version != version || first < s->first || first + rows > s->first + s->rows) return NULL;
    return s->features + (first - s->first) * MR_FEATURES;
}

mr_status mr_plain_rows_move(mr_plain_rows *f, mr_pg *pg, uint64_t version, uint64_t first, uint32_t rows, uint64_t end,
                               mr_error *err) {
    mr_plain_rows_settle(f, pg);
    bool follows = f->now.rows && f->now.version == version && f->now.first + f->now.rows == first;
    bool read = is_of(&f->next, version, first, rows);
    mr_plain_stretch old = f->now;
    f->now = f->next;
    f->next = old;
    f->next.rows = 0;
    mr_status s = MR_OK;
    if (!read) {
        if (!begin(&f->now, version, first, rows)) return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", rows);
        s = read_now(&f->now, pg, err);
    }
    if (s == MR_OK && !f->now.there) s = read_scattered(&f->now, pg, err);
    else if (s == MR_OK && follows) ask(f, pg, end);
    if (s != MR_OK) f->now.rows = 0;
    return s;
}

void mr_plain_rows_free(mr_plain_rows *f) {
    release(&f->now);
    release(&f->next);
    *f = (mr_plain_rows){0};
}
