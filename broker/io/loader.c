#include "broker/io/loader.h"

#include "broker/io/chain.h"
#include "broker/io/task_block.h"
#include "broker/io/window.h"
#include "common/clock.h"
#include "common/pack.h"
#include "common/redis.h"
#include "common/rng.h"

#include <string.h>
#define HASH_NONFATAL_OOM 1 /* hh.tbl is NULL when there was no memory */
#define HASH_FUNCTION(key, length, out) ((out) = (unsigned)mr_xxh64((mr_span){(const uint8_t *)(key), (length)}, 0))
#include <uthash.h>
#include <utlist.h>

static const size_t input_max = (size_t)1 << 31;

/* All that the bytes of a segment depend on. */
typedef struct segment_key {
    uint64_t version, bindings, first;
    uint32_t rows, columns;
} segment_key;

/* A segment that is kept because other steps and runs will ask for it. */
typedef struct cached {
    struct cached *prev, *next; /* in the order they came */
    segment_key key;
    mr_bytes *bytes;
    UT_hash_handle hh;
} cached;

/* Where small segments lie one behind the other, also those of several jobs, so that they go in one message without a copy.
 * Whoever keeps one keeps it all, so it is no larger than the largest job. */
enum { TOGETHER_MAX = 16 * 1024, ROOM = MR_LOAD_MAX * TOGETHER_MAX };
typedef struct room {
    mr_bytes *whole;
    uint8_t *free;
    size_t left;
} room;

typedef struct loader {
    mr_loader_options options;
    mr_redis *redis;
    mr_window window;
    uint64_t settle_at_ns; /* when nothing is asked for until then, what is on its way is taken in */
    mr_task_blocks tasks;
    cached *by_key, *oldest, *found; /* found: by the last search */
    size_t kept; /* bytes */
    room room;
    mr_chain_cache given;
} loader;

static const mr_pg_statement read_partials = {
    "loader_partials",
    "select batch, body, body_hash from millrace.result"
    " where run_id = $1 and step = $2 and level = $3 and batch between $4 and $5 order by batch",
    5,
    {MR_PG_INT8, MR_PG_INT4, MR_PG_INT2, MR_PG_INT4, MR_PG_INT4}};

void mr_blob_key(const mr_hash *hash, char out[MR_BLOB_KEY]) {
    memcpy(out, "millrace:blob:", 14);
    mr_hash_hex(hash, out + 14);
}

/* ---- the cache of segments ---- */

/* What an entry takes: a small segment is not free of its surroundings. */
static size_t weight(const mr_bytes *bytes) { return sizeof(cached) + sizeof *bytes + mr_bytes_span(bytes).len; }

static bool is_of(const cached *c, const segment_key *key) { return c && !memcmp(&c->key, key, sizeof *key); }

/* What was built one behind the other is mostly asked for in that order. */
static mr_bytes *cache_find(loader *l, const segment_key *key) {
    cached *c = l->found ? l->found->next : NULL;
    if (!is_of(c, key)) HASH_FIND(hh, l->by_key, key, sizeof *key, c);
    l->found = c;
    return c ? mr_bytes_share(c->bytes) : NULL;
}

static void cache_forget(loader *l, cached *c) {
    if (l->found == c) l->found = NULL;
    HASH_DELETE(hh, l->by_key, c);
    DL_DELETE(l->oldest, c);
    l->kept -= weight(c->bytes);
    mr_bytes_drop(c->bytes);
    mr_free(NULL, c, 1, sizeof *c);
}

static void cache_keep(loader *l, const segment_key *key, mr_bytes *bytes) {
    size_t size = weight(bytes);
    if (size > l->options.cache_bytes) return;
    while (l->oldest && l->kept + size > l->options.cache_bytes) cache_forget(l, l->oldest);
    cached *c = mr_new(NULL, 1, sizeof *c);
    if (!c) return;
    c->key = *key;
    c->bytes = mr_bytes_share(bytes);
    HASH_ADD(hh, l->by_key, key, sizeof c->key, c);
    if (!c->hh.tbl) {
        mr_bytes_drop(bytes);
        mr_free(NULL, c, 1, sizeof *c);
        return;
    }
    DL_APPEND(l->oldest, c);
    l->kept += size;
}

/* ---- inputs ---- */

/* Large inputs are named by their hash and put where workers look first. */
static mr_status finish(mr_desk *desk, mr_buf *buf, mr_bytes **out, mr_error *err) {
    loader *l = desk->state;
    mr_status s = mr_buf_status(buf);
    if (s != MR_OK) return mr_fail(err, s, "an input is larger than memory or the limit of %zu bytes allows", input_max);
    mr_bytes *bytes = mr_bytes_of_buf(buf);
    if (!bytes) return mr_fail(err, MR_E_MEMORY, "no memory for an input");
    *out = bytes;
    if (mr_bytes_span(bytes).len <= l->options.inline_max) return MR_OK;
    bytes->hash = mr_hash_of(mr_bytes_span(bytes));
    if (!l->redis) return MR_OK;
    char key[MR_BLOB_KEY];
    mr_error ignored; /* without the cache workers fetch from the broker */
    mr_blob_key(&bytes->hash, key);
    (void)!mr_redis_set(l->redis, mr_clock_monotonic_ns(), mr_span_of(key), mr_bytes_span(bytes), l->options.ttl_s, &ignored);
    return MR_OK;
}

/* ---- segments ---- */

/* Small segments that a job had built. */
typedef struct stretch {
    mr_arena *arena; /* of the rows of one */
    mr_buf buf;
    uint32_t count, place[MR_LOAD_MAX]; /* place: in the job */
    size_t end[MR_LOAD_MAX];
} stretch;

/* Of what is the same for all batches of a job. */
static uint64_t bindings_digest(const mr_bindings *b) {
    uint64_t digest = b->count;
    for (size_t i = 0; i < b->count; i++)
        digest = mr_xxh64(mr_span_of(b->items[i].column), mr_mix64(digest ^ (uint64_t)b->items[i].role));
    return digest;
}

static void set_range(segment_key *key, const mr_load_job *job, uint32_t place) {
    mr_plan_range(&job->info->plan[job->key.step], job->info->rows, job->key.index + place, &key->first, &key->rows);
}

/* Takes what was built last, from `begin` on, out of the stretch. */
static mr_status take_apart(mr_desk *desk, stretch *built, size_t begin, mr_bytes **out, mr_error *err) {
    mr_buf own;
    if (!begin) return finish(desk, &built->buf, out, err);
    mr_buf_init(&own, NULL, input_max);
    mr_buf_put(&own, built->buf.data + begin, built->buf.len - begin);
    built->buf.len = begin;
    mr_status s = finish(desk, &own, out, err);
    mr_buf_free(&own);
    return s;
}

static mr_status load_segment(mr_desk *desk, mr_pg *pg, mr_load_job *job, uint32_t place, const segment_key *want, stretch *built,
                              mr_error *err) {
    loader *l = desk->state;
    size_t begin = built->buf.len;
    job->bytes[place] = cache_find(l, want);
    if (job->bytes[place]) return MR_OK;
    mr_arena_reset(built->arena);
    MR_TRY(mr_window_segment(&l->window, pg, job->info, want->first, want->rows, want->columns, built->arena, &built->buf, err));
    if (built->buf.len - begin > TOGETHER_MAX || built->buf.len - begin > l->options.inline_max) {
        MR_TRY(take_apart(desk, built, begin, &job->bytes[place], err));
        cache_keep(l, want, job->bytes[place]);
        return MR_OK;
    }
    built->place[built->count] = place;
    built->end[built->count++] = built->buf.len;
    return MR_OK;
}

/* Only the first `n` are loaded. */
static void keep_first(mr_load_job *job, uint32_t n) {
    for (uint32_t i = n; i < job->count; i++) {
        mr_bytes_drop(job->bytes[i]);
        job->bytes[i] = NULL;
    }
    job->loaded = n;
}

/* NULL without memory. `size` is at most ROOM. */
static uint8_t *take_room(room *r, size_t size) {
    if (size > r->left) {
        mr_buf fresh;
        mr_buf_init(&fresh, NULL, ROOM);
        uint8_t *data = mr_buf_extend(&fresh, ROOM);
        mr_bytes *whole = data ? mr_bytes_of_buf(&fresh) : NULL;
        mr_buf_free(&fresh);
        if (!whole) return NULL;
        mr_bytes_drop(r->whole);
        *r = (room){whole, data, ROOM};
    }
    uint8_t *at = r->free;
    r->free += size;
    r->left -= size;
    return at;
}

/* What was built goes into the job, and into the cache. False without memory; then the job ends before it. */
static bool cut(loader *l, mr_load_job *job, segment_key *key, const stretch *built) {
    size_t size = built->buf.len;
    uint8_t *at = built->count ? take_room(&l->room, size) : NULL;
    if (at) memcpy(at, built->buf.data, size);
    uint32_t done = 0;
    for (size_t begin = 0; at && done < built->count; begin = built->end[done++]) {
        mr_bytes **out = &job->bytes[built->place[done]];
        *out = mr_bytes_part(l->room.whole, (mr_span){at + begin, built->end[done] - begin});
        if (!*out) break;
        set_range(key, job, built->place[done]);
        cache_keep(l, key, *out);
    }
    if (done < built->count) keep_first(job, built->place[done]);
    return done == built->count;
}

static mr_status load_segments(mr_desk *desk, mr_pg *pg, mr_load_job *job, mr_error *err) {
    stretch built = {.arena = mr_arena_new(NULL, input_max)};
    segment_key key = {.version = job->info->version, .bindings = bindings_digest(&job->info->bindings),
                       .columns = job->info->columns[job->key.step]};
    if (!built.arena) return mr_fail(err, MR_E_MEMORY, "no memory for a segment");
    mr_buf_init(&built.buf, NULL, input_max);
    mr_status s = MR_OK;
    while (job->loaded < job->count && s == MR_OK) {
        set_range(&key, job, job->loaded);
        s = load_segment(desk, pg, job, job->loaded, &key, &built, err);
        job->loaded += s == MR_OK;
    }
    if (!cut(desk->state, job, &key, &built)) s = mr_fail(err, MR_E_MEMORY, "no memory for an input");
    mr_buf_free(&built.buf);
    mr_arena_free(&built.arena);
    return s;
}

/* ---- partials ---- */

/* A partial that matches its hash is no longer in `*missing`. */
static mr_status put_partial(mr_buf *buf, mr_pg_row *row, uint32_t first, uint32_t *missing, mr_error *err) {
    mr_span body = mr_pg_bytea(row, 1), stored = mr_pg_bytea(row, 2);
    mr_hash hash = mr_hash_of(body);
    mr_pack_bin(buf, body);
    MR_TRY(mr_pg_row_status(row, err));
    if (mr_span_eq(stored, mr_hash_span(&hash))) *missing &= ~(UINT32_C(1) << (mr_pg_int(row, 0) - first));
    else (void)mr_fail(err, MR_E_CORRUPT, "the stored partial of batch %lld does not match its hash", (long long)mr_pg_int(row, 0));
    return MR_OK;
}

static mr_status put_partials(mr_buf *buf, const mr_pg_result *r, uint32_t first, uint32_t count, uint32_t *missing, mr_error *err) {
    *missing = (uint32_t)((UINT64_C(1) << count) - 1);
    mr_pack_array(buf, count);
    for (uint32_t i = 0; i < mr_pg_rows(r); i++) {
        mr_pg_row row = mr_pg_row_at(r, i);
        MR_TRY(put_partial(buf, &row, first, missing, err));
    }
    if (mr_pg_rows(r) != count)
        return mr_fail(err, MR_E_CORRUPT, "a merge needs %u partials, but %u are stored", count, mr_pg_rows(r));
    return *missing ? MR_E_CORRUPT : MR_OK;
}

static mr_status load_partials(mr_desk *desk, mr_pg *pg, mr_load_job *job, uint32_t index, mr_bytes **out,
                               mr_error *err) {
    uint32_t first, count;
    mr_plan_children(&job->info->plan[job->key.step], job->key.level, index, &first, &count);
    mr_pg_params p;
    mr_pg_params_init(&p, NULL, 256);
    mr_pg_put_int8(&p, (int64_t)job->key.run);
    mr_pg_put_int4(&p, (int32_t)job->key.step);
    mr_pg_put_int2(&p, (int16_t)(job->key.level - 1));
    mr_pg_put_int4(&p, (int32_t)first);
    mr_pg_put_int4(&p, (int32_t)(first + count - 1));
    mr_pg_result *r = NULL;
    mr_status s = mr_pg_exec(pg, &read_partials, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_buf buf;
    mr_buf_init(&buf, NULL, input_max);
    s = put_partials(&buf, r, first, count, &job->damaged, err);
    mr_pg_result_free(&r);
    if (s == MR_OK) s = finish(desk, &buf, out, err);
    mr_buf_free(&buf);
    return s;
}

static mr_status load_task(mr_desk *desk, mr_pg *pg, mr_load_job *job, uint32_t index, mr_bytes **out, mr_error *err) {
    loader *l = desk->state;
    return mr_task_read(pg, &l->tasks, job->key.run, index, l->options.inline_max, out, err);
}

/* ---- a job ---- */

static mr_status load_each(mr_desk *desk, mr_pg *pg, mr_load_job *job, mr_error *err) {
    mr_status s = MR_OK;
    while (job->loaded < job->count && s == MR_OK) {
        uint32_t i = job->loaded;
        s = (job->info->stream ? load_task : load_partials)(desk, pg, job, job->key.index + i, &job->bytes[i], err);
        job->loaded += s == MR_OK;
    }
    return s;
}

/* The input with what other steps give to it. */
static mr_status add_given(mr_desk *desk, mr_pg *pg, const mr_load_job *load, mr_bytes **input, mr_error *err) {
    loader *l = desk->state;
    mr_bytes *bare = *input;
    mr_buf buf;
    *input = NULL;
    mr_buf_init(&buf, NULL, input_max);
    mr_status s = mr_chain_wrap(pg, load->info, &load->key, mr_bytes_span(bare), &l->given, &buf, err);
    if (s == MR_OK) s = finish(desk, &buf, input, err);
    mr_buf_free(&buf);
    mr_bytes_drop(bare);
    return s;
}

static mr_status give_to_all(mr_desk *desk, mr_pg *pg, mr_load_job *job, mr_error *err) {
    for (uint32_t i = 0; i < job->loaded; i++) {
        mr_status s = add_given(desk, pg, job, &job->bytes[i], err);
        if (s == MR_OK) continue;
        keep_first(job, i);
        return s;
    }
    return MR_OK;
}

/* Rows that are on their way while nobody asks for inputs are taken in after a while: the database holds on to old rows as long
 * as it has not sent them. Not at once, as most are fetched by fewer reads when they have come. */
static void note_awaited(mr_desk *desk) {
    enum { SETTLE_MS = 20 };
    loader *l = desk->state;
    desk->idle_ms = mr_window_awaits(&l->window) ? SETTLE_MS : -1;
    l->settle_at_ns = mr_clock_monotonic_ns() + SETTLE_MS * UINT64_C(1000000);
}

static void settle(mr_desk *desk) {
    loader *l = desk->state;
    if (mr_window_awaits(&l->window)) {
        if (mr_clock_monotonic_ns() < l->settle_at_ns) return;
        mr_window_settle(&l->window, desk->pg);
    }
    desk->idle_ms = -1;
}

void mr_load_work(mr_desk *desk, mr_job *head) {
    mr_load_job *job = (mr_load_job *)head;
    mr_pg *pg;
    head->status = mr_desk_database(desk, &pg, &head->error);
    if (head->status != MR_OK) return;
    bool segments = !job->info->stream && !job->key.level, gives = mr_chain_gives(job->info, &job->key);
    loader *l = desk->state;
    if (!segments) mr_window_settle(&l->window, pg);
    head->status = segments ? load_segments(desk, pg, job, &head->error) : load_each(desk, pg, job, &head->error);
    note_awaited(desk);
    if (!gives) return;
    mr_error err;
    mr_window_settle(&l->window, pg);
    mr_status given = give_to_all(desk, pg, job, &err);
    if (given == MR_OK) return;
    head->status = given;
    head->error = err;
}

void mr_load_job_free(mr_load_job *job) {
    mr_run_info_drop(job->info);
    for (uint32_t i = 0; i < job->count; i++) mr_bytes_drop(job->bytes[i]);
    mr_free(NULL, job, 1, sizeof *job);
}

/* ---- the desk ---- */

static void stop(mr_desk *desk) {
    loader *l = desk->state;
    while (l->oldest) cache_forget(l, l->oldest);
    mr_chain_cache_free(&l->given);
    mr_bytes_drop(l->room.whole);
    mr_window_free(&l->window);
    mr_task_blocks_free(&l->tasks);
    mr_redis_free(&l->redis);
    mr_free(NULL, l, 1, sizeof *l);
}

mr_status mr_loader_start(mr_desk *desk, const mr_loader_options *options, mr_error *err) {
    loader *l = mr_new(NULL, 1, sizeof *l);
    if (!l) return mr_fail(err, MR_E_MEMORY, "no memory for the loader");
    l->options = *options;
    l->window.seen = options->seen;
    mr_status s = options->redis_url[0] ? mr_redis_new(options->redis_url, NULL, NULL, &l->redis, err) : MR_OK;
    desk->name = "loader";
    desk->state = l;
    desk->stop = stop;
    desk->idle = settle;
    desk->idle_ms = -1;
    desk->in_order = true;
    if (s == MR_OK) s = mr_desk_start(desk, err);
    if (s != MR_OK) {
        mr_redis_free(&l->redis);
        mr_free(NULL, l, 1, sizeof *l);
    }
    return s;
}
