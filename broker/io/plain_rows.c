#include "broker/io/plain_rows.h"

#include "common/features.h"

#include <string.h>

/* GROUP: rows that the server joins; what it takes for so many it has again for the next. AHEAD_MAX: rows that are read ahead at
 * once. */
enum { GROUP = 128, AHEAD_MAX = 4096 };
static const size_t row_size = MR_FEATURES * sizeof(float);

/* ---- statements ---- */

/* Of the stretch from the $2nd to the $3rd row; a version's ids ascend (version.c). */
#define ENDS \
    "with ends as materialized (select a.row_ids[$2 % 4096 + 1] first, b.row_ids[$3 % 4096 + 1] last" \
    " from millrace.version_rows a, millrace.version_rows b" \
    " where a.version_id = $1 and a.chunk = $2 / 4096 and b.version_id = $1 and b.chunk = $3 / 4096)"

/* The ids of the table from one end to the other, in groups of $4: a row of the protocol costs as much as three of the table. */
#define GROUPS_IF(condition) \
    " from generate_series((select first from ends), (select last from ends where " condition "), $4) g (id) cross join lateral"

#define GROUP_ROWS \
    " from millrace.training_prompts where id between g.id and least(g.id + $4 - 1, (select last from ends)) order by id) p) r"

/* When no other id lies between the ends: each group with its place. */
static const mr_pg_statement read_dense = {
    "plain_dense",
    ENDS " select g.id - (select first from ends), r.features" GROUPS_IF("last - first = $3 - $2")
    " (select string_agg(features, '') features from (select features" GROUP_ROWS,
    4,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

/* When few others do: each group with all that there are. Both columns see the rows in the same order, whichever it is. */
static const mr_pg_statement read_close = {
    "plain_close",
    ENDS " select r.ids, r.features" GROUPS_IF("last - first < 2 * ($3 - $2 + 1)")
    " (select array_agg(id) ids, string_agg(features, '') features from (select id, features" GROUP_ROWS,
    4,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

/* And which of them are of the version. */
static const mr_pg_statement read_ids = {
    "plain_ids",
    "select row_ids[greatest($2 - chunk::bigint * 4096, 0) + 1 : least($3 - chunk::bigint * 4096, 4095) + 1]"
    " from millrace.version_rows where version_id = $1 and chunk between $2 / 4096 and $3 / 4096 order by chunk",
    3,
    {MR_PG_INT8, MR_PG_INT8, MR_PG_INT8}};

static void put_range(mr_pg_params *p, const mr_plain_stretch *s) {
    mr_pg_params_clear(p);
    mr_pg_put_int8(p, (int64_t)s->version);
    mr_pg_put_int8(p, (int64_t)s->first);
    mr_pg_put_int8(p, (int64_t)(s->first + s->rows - 1));
}

static mr_status send_rows(mr_pg *pg, const mr_plain_stretch *s, mr_pg_params *p, mr_error *err) {
    put_range(p, s);
    if (s->gaps) MR_TRY(mr_pg_pipeline_send(pg, &read_ids, p, err));
    mr_pg_put_int8(p, GROUP);
    MR_TRY(mr_pg_pipeline_send(pg, s->gaps ? &read_close : &read_dense, p, err));
    return mr_pg_pipeline_sync(pg, err);
}

/* Begins a pipeline, which take_rows ends; after a failure there is none. */
static mr_status ask_rows(mr_pg *pg, const mr_plain_stretch *s, mr_error *err) {
    mr_error ignored;
    mr_pg_params p;
    MR_TRY(mr_pg_prepare(pg, &read_ids, err));
    MR_TRY(mr_pg_prepare(pg, &read_close, err));
    MR_TRY(mr_pg_prepare(pg, &read_dense, err));
    MR_TRY(mr_pg_pipeline_begin(pg, err));
    mr_pg_params_init(&p, NULL, 256);
    mr_status status = send_rows(pg, s, &p, err);
    mr_pg_params_free(&p);
    if (status != MR_OK) (void)!mr_pg_pipeline_end(pg, &ignored);
    return status;
}

/* ---- what they answer ---- */

typedef struct taking {
    mr_plain_stretch *to;
    int64_t *ids;         /* with gaps: the version's, `known` of them */
    size_t known, placed; /* placed: rows */
} taking;

/* False when a row of the group is not there. */
static bool place_group(mr_plain_stretch *s, uint64_t at, mr_span features) {
    if (at >= s->rows || features.len != row_size * (s->rows - at < GROUP ? s->rows - at : GROUP)) return false;
    memcpy(s->features + (size_t)at * MR_FEATURES, features.data, features.len);
    return true;
}

static void take_dense(mr_plain_stretch *s, const mr_pg_result *r) {
    s->there = mr_pg_rows(r) == (s->rows + GROUP - 1) / GROUP;
    for (uint32_t i = 0; s->there && i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        uint64_t at = (uint64_t)mr_pg_int(&row, 0);
        s->there = place_group(s, at, mr_pg_bytea(&row, 1));
    }
}

static void take_ids(taking *t, const mr_pg_result *r) {
    for (uint32_t i = 0; i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        t->known += mr_pg_int8s(&row, 0, t->ids + t->known, t->to->rows - t->known);
    }
}

/* Of the rows that are there, those of this version. */
static void pick(taking *t, const int64_t *there, size_t count, mr_span features) {
    for (size_t i = 0; i < count && t->placed < t->known && features.len == count * row_size; i++)
        if (there[i] == t->ids[t->placed])
            memcpy(t->to->features + t->placed++ * MR_FEATURES, features.data + i * row_size, row_size);
}

static void take_close(taking *t, const mr_pg_result *r) {
    int64_t there[GROUP];
    for (uint32_t i = 0; i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        if (mr_pg_is_null(&row, 0)) continue;
        size_t count = mr_pg_int8s(&row, 0, there, GROUP);
        pick(t, there, count, mr_pg_bytea(&row, 1));
    }
    t->to->there = t->known == t->to->rows && t->placed == t->known;
    t->to->gaps = !t->to->there || (uint64_t)(t->ids[t->known - 1] - t->ids[0]) >= t->to->rows;
}

static void take_answer(void *context, size_t n, const mr_pg_result *r) {
    taking *t = context;
    if (!t->ids) take_dense(t->to, r);
    else if (n == 0) take_ids(t, r);
    else take_close(t, r);
}

static mr_status take_rows(mr_pg *pg, mr_plain_stretch *s, mr_error *err) {
    taking t = {.to = s, .ids = s->gaps ? mr_new(NULL, s->rows, sizeof *t.ids) : NULL};
    bool lacks = s->gaps && !t.ids;
    uint32_t rows = s->rows;
    mr_status status = mr_pg_pipeline_finish(pg, MR_OK, lacks ? NULL : take_answer, &t, err);
    mr_free(NULL, t.ids, rows, sizeof *t.ids);
    return status == MR_OK && lacks ? mr_fail(err, MR_E_MEMORY, "no memory for %u rows", rows) : status;
}

static mr_status read_now(mr_plain_stretch *s, mr_pg *pg, mr_error *err) {
    MR_TRY(ask_rows(pg, s, err));
    return take_rows(pg, s, err);
}

/* ---- a stretch ---- */

static void release(mr_plain_stretch *s) {
    mr_free(NULL, s->features, s->room, sizeof *s->features);
    *s = (mr_plain_stretch){0};
}

static bool is_large(const mr_plain_stretch *s) { return s->room > (size_t)AHEAD_MAX * MR_FEATURES; }

/* Names the rows, which are not there yet; keeps the memory, but for a lot of it. False without memory. */
static bool begin(mr_plain_stretch *s, uint64_t version, uint64_t first, uint32_t rows, bool gaps) {
    size_t need = (size_t)rows * MR_FEATURES;
    if (need > s->room || is_large(s)) {
        release(s);
        s->features = mr_new(NULL, need, sizeof *s->features);
        if (!s->features) return false;
        s->room = need;
    }
    s->version = version;
    s->first = first;
    s->rows = rows;
    s->there = false;
    s->gaps = gaps;
    return true;
}

static bool is_of(const mr_plain_stretch *s, uint64_t version, uint64_t first, uint32_t rows) {
    return s->rows && s->version == version && s->first == first && s->rows == rows;
}

/* The next is gone for without waiting. It is no matter when that fails: it is read when it is needed. */
static void ask(mr_plain_rows *f, mr_pg *pg, uint64_t end) {
    mr_error ignored;
    uint64_t first = f->now.first + f->now.rows;
    if (first >= end || f->now.rows > AHEAD_MAX) return;
    uint32_t rows = f->now.rows < end - first ? f->now.rows : (uint32_t)(end - first);
    if (!begin(&f->next, f->now.version, first, rows, f->now.gaps)) return;
    if (ask_rows(pg, &f->next, &ignored) == MR_OK) f->session = mr_pg_session(pg);
    else f->next.rows = 0;
}

void mr_plain_rows_settle(mr_plain_rows *f, mr_pg *pg) {
    mr_error ignored;
    bool lost = f->session != mr_pg_session(pg);
    if (!f->session) return;
    f->session = 0;
    if (lost || take_rows(pg, &f->next, &ignored) != MR_OK) f->next.rows = 0;
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
    if (is_large(&f->next)) release(&f->next); /* nothing is read ahead of it, and once is enough */
    if (!read && !begin(&f->now, version, first, rows, follows && old.gaps))
        return mr_fail(err, MR_E_MEMORY, "no memory for %u rows", rows);
    mr_status s = read ? MR_OK : read_now(&f->now, pg, err);
    if (s == MR_OK && !f->now.there && !f->now.gaps) {
        f->now.gaps = true;
        s = read_now(&f->now, pg, err);
    }
    if (s == MR_OK && f->now.there && follows) ask(f, pg, end);
    if (s != MR_OK) f->now.rows = 0;
    return s;
}

void mr_plain_rows_free(mr_plain_rows *f) {
    release(&f->now);
    release(&f->next);
    *f = (mr_plain_rows){0};
}
