#include "broker/io/loader.h"
#include "broker/io/window.h"
#include "common/clock.h"
#include "common/pack.h"
#include "common/redis.h"
#include "tests/unit/io_rig.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const mr_loader_options plain = {.redis_url = "", .inline_max = 65536, .cache_bytes = 0, .ttl_s = 60};
static const uint32_t every_column = MR_COL_FEATURES | MR_COL_PROMPT | MR_COL_ENHANCEMENT | MR_COL_SESSION |
                                     MR_COL_LABEL | MR_COL_LABELS | MR_COL_SCORE | MR_COL_SUCCESS |
                                     MR_COL_TIME;

static void start_loader(rig *r, mr_desk *desk, const mr_loader_options *options) {
    mr_error err = {0};
    *desk = (mr_desk){0};
    rig_desk(r, desk);
    if (mr_loader_start(desk, options, &err) != MR_OK) fail_msg("%s", err.text);
}

static mr_load_job *load_many(rig *r, mr_desk *desk, mr_run_info *info, uint32_t level, uint32_t index, uint32_t count) {
    mr_load_job *job = mr_new(NULL, 1, sizeof *job);
    assert_non_null(job);
    job->head.work = mr_load_work;
    job->info = mr_run_info_share(info);
    job->key = (mr_work_key){info->run, 0, level, index};
    job->count = count;
    mr_desk_give(desk, &job->head);
    assert_ptr_equal(rig_next(r), job);
    return job;
}

static mr_load_job *load(rig *r, mr_desk *desk, mr_run_info *info, uint32_t level, uint32_t index) {
    return load_many(r, desk, info, level, index, 1);
}

static mr_bytes *load_bytes(rig *r, mr_desk *desk, mr_run_info *info, uint32_t level, uint32_t index) {
    mr_load_job *job = load(r, desk, info, level, index);
    if (job->head.status != MR_OK) fail_msg("%s", job->head.error.text);
    mr_bytes *bytes = mr_bytes_share(job->bytes[0]);
    mr_load_job_free(job);
    return bytes;
}

static void a_segment_is_the_same_bytes_wherever_the_window_stands(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk forward, alone;
    rig_prompts(r, 5000); /* two windows and a piece */
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 300, every_column);
    start_loader(r, &forward, &plain);
    for (uint32_t i = 0; i < info->plan[0].counts[0]; i++) {
        mr_bytes *a = load_bytes(r, &forward, info, 0, i);
        start_loader(r, &alone, &plain); /* its window begins at this batch */
        mr_bytes *b = load_bytes(r, &alone, info, 0, i);
        mr_desk_stop(&alone);
        assert_true(mr_span_eq(mr_bytes_span(a), mr_bytes_span(b)));
        mr_bytes_drop(a);
        mr_bytes_drop(b);
    }
    mr_bytes *back = load_bytes(r, &forward, info, 0, 0), *again = load_bytes(r, &forward, info, 0, 0);
    assert_true(mr_span_eq(mr_bytes_span(back), mr_bytes_span(again)));
    mr_bytes_drop(back);
    mr_bytes_drop(again);
    mr_desk_stop(&forward);
    mr_run_info_drop(info);
}

static mr_batch decode(mr_bytes *bytes, uint32_t columns, mr_arena *arena) {
    mr_batch batch;
    mr_error err = {0};
    if (mr_segment_decode(mr_bytes_span(bytes), columns, arena, &batch, &err) != MR_OK)
        fail_msg("%s", err.text);
    return batch;
}

static void check_prompt_row(const mr_batch *b, uint32_t i, int n) {
    char text[32];
    snprintf(text, sizeof text, "prompt %d", n);
    assert_true(mr_span_eq(b->text[MR_TEXT_PROMPT][i], mr_span_of(text)));
    snprintf(text, sizeof text, "better %d", n);
    assert_true(mr_span_eq(b->text[MR_TEXT_ENHANCEMENT][i], mr_span_of(n % 2 ? "" : text)));
    assert_true(mr_span_eq(b->text[MR_TEXT_SESSION][i], mr_span_of(n % 3 ? "" : "s1")));
    assert_true(mr_span_eq(b->text[MR_TEXT_LABEL][i], mr_span_of(n % 2 ? "b" : "a")));
    assert_true(b->number[MR_NUM_SUCCESS][i] == (n % 2 ? 0 : 1));
    assert_true(b->number[MR_NUM_TIME][i] == 1767225600.0 + n); /* 2026-01-01 */
}

/* The same rows, cut in pieces of 7 and of 300: each row is where it belongs. */
static void every_cut_holds_the_rows_in_their_order(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_prompts(r, 2100);
    for (int cut = 0; cut < 2; cut++) {
        uint32_t size = cut ? 7 : 300;
        mr_desk desk;
        mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, size, every_column);
        start_loader(r, &desk, &plain);
        for (uint32_t i = 0; i < info->plan[0].counts[0]; i++) {
            mr_arena *arena = mr_arena_new(NULL, 1 << 26);
            mr_bytes *bytes = load_bytes(r, &desk, info, 0, i);
            mr_batch b = decode(bytes, every_column, arena);
            assert_int_equal(b.first, i * size);
            assert_int_equal(b.width, 31);
            for (uint32_t k = 0; k < b.rows; k++) check_prompt_row(&b, k, (int)(b.first + k + 1));
            mr_bytes_drop(bytes);
            mr_arena_free(&arena);
        }
        mr_desk_stop(&desk);
        mr_run_info_drop(info);
    }
}

/* What is read by the primary key alone, beside what is read with all columns. */
static void assert_same_features(rig *r, mr_lease *lease, uint32_t size) {
    mr_desk desk, other;
    mr_run_info *all = rig_run(r, lease, "prompts", MR_STEP_MAP, size, every_column);
    mr_run_info *few = rig_run(r, lease, "prompts", MR_STEP_MAP, size, MR_COL_FEATURES);
    start_loader(r, &desk, &plain);
    start_loader(r, &other, &plain);
    assert_int_equal(all->version, few->version);
    for (uint32_t i = 0; i < few->plan[0].counts[0]; i++) {
        mr_arena *arena = mr_arena_new(NULL, 1 << 26);
        mr_bytes *a = load_bytes(r, &desk, all, 0, i), *b = load_bytes(r, &other, few, 0, i);
        mr_batch x = decode(a, MR_COL_FEATURES, arena), y = decode(b, MR_COL_FEATURES, arena);
        assert_int_equal(x.rows, y.rows);
        assert_memory_equal(x.features, y.features, (size_t)x.rows * x.width * sizeof *x.features);
        mr_bytes_drop(a);
        mr_bytes_drop(b);
        mr_arena_free(&arena);
    }
    mr_desk_stop(&desk);
    mr_desk_stop(&other);
    mr_run_info_drop(all);
    mr_run_info_drop(few);
}

/* A row of the version, the last or the first of those that are active, is deleted behind its back. */
static void assert_missed(rig *r, mr_lease *lease, uint32_t size, uint32_t batch, const char *which) {
    mr_desk desk;
    mr_run_info *info = rig_run(r, lease, "prompts", MR_STEP_MAP, size, MR_COL_FEATURES);
    rig_sql(r, "delete from millrace.training_prompts where id = (select %s(id) from millrace.training_prompts where active)", which);
    start_loader(r, &desk, &plain);
    mr_load_job *job = load(r, &desk, info, 0, batch);
    assert_int_equal(job->head.status, MR_E_CORRUPT);
    mr_load_job_free(job);
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

static void features_alone_are_those_of_the_same_rows(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    rig_prompts(r, 9000);
    assert_same_features(r, &lease, 700); /* one id behind the other */
    assert_missed(r, &lease, 700, 12, "max");
    rig_sql(r, "update millrace.training_prompts set active = false where id between 3000 and 3100"); /* but for a gap */
    assert_same_features(r, &lease, 700);
    rig_sql(r, "update millrace.training_prompts set active = false where id %% 7 = 0"); /* close still */
    assert_same_features(r, &lease, 700);
    rig_sql(r, "update millrace.training_prompts set active = false where id %% 9 <> 1 or id < 50"); /* not close */
    assert_same_features(r, &lease, 100);
    assert_missed(r, &lease, 100, 0, "min");
}

/* Two runs in turn, so that each stretch is asked for while the other's is on its way, and merges between them. */
static void what_is_on_its_way_does_not_mix_with_what_is_asked_meanwhile(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk together, one, other;
    rig_prompts(r, 9000);
    mr_run_info *small = rig_run(r, &lease, "prompts", MR_STEP_MAP, 512, MR_COL_FEATURES);
    mr_run_info *large = rig_run(r, &lease, "prompts", MR_STEP_MERGE, 1024, MR_COL_FEATURES);
    start_loader(r, &together, &plain);
    start_loader(r, &one, &plain);
    start_loader(r, &other, &plain);
    for (uint32_t i = 0; i < 17; i++) {
        mr_run_info *info = i % 4 == 3 ? large : small;
        uint32_t at = info == large ? i / 4 : i;
        mr_bytes *a = load_bytes(r, &together, info, 0, at), *b = load_bytes(r, info == large ? &other : &one, info, 0, at);
        assert_true(mr_span_eq(mr_bytes_span(a), mr_bytes_span(b)));
        mr_bytes_drop(a);
        mr_bytes_drop(b);
        mr_load_job *merge = load(r, &together, large, 1, 0);
        assert_int_equal(merge->head.status, MR_E_CORRUPT); /* it was asked, and its answer was read */
        mr_load_job_free(merge);
    }
    mr_desk_stop(&together);
    mr_desk_stop(&one);
    mr_desk_stop(&other);
    mr_run_info_drop(small);
    mr_run_info_drop(large);
}

static void loader_is_idle(rig *r) {
    while (!rig_true(r, "select count(*) = 1 from pg_stat_activity where application_name = 'loader' and state = 'idle'"
                        " and datname = current_database() and query like '%%generate_series%%'"))
        continue;
}

/* More than a socket holds, so that the server would be left in mid-answer, and hold on to old rows, if nobody took it in. */
static void what_is_read_ahead_is_taken_in_when_nobody_asks(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    rig_prompts(r, 12000);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 4000, MR_COL_FEATURES);
    start_loader(r, &desk, &plain);
    for (uint32_t i = 0; i < 2; i++) mr_bytes_drop(load_bytes(r, &desk, info, 0, i));
    loader_is_idle(r);
    mr_bytes_drop(load_bytes(r, &desk, info, 0, 2));
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

static void a_stretch_that_was_on_its_way_when_the_connection_was_cut_is_read_again(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    rig_prompts(r, 12000);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 3000, MR_COL_FEATURES);
    start_loader(r, &desk, &plain);
    for (uint32_t i = 0; i < 2; i++) mr_bytes_drop(load_bytes(r, &desk, info, 0, i));
    rig_cut_connections(r);
    mr_load_job *job = load(r, &desk, info, 0, 2);
    if (job->head.status != MR_OK) assert_true(mr_status_of((int)job->head.status)->retryable);
    mr_load_job_free(job);
    for (uint32_t i = 2; i < 4; i++) mr_bytes_drop(load_bytes(r, &desk, info, 0, i));
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

static void missing_cells_of_a_table_are_nan(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    rig_table(r, 23);
    mr_run_info *info = rig_run(r, &lease, "t", MR_STEP_MAP, 10, MR_COL_FEATURES | MR_COL_SCORE);
    start_loader(r, &desk, &plain);
    for (uint32_t i = 0; i < 3; i++) {
        mr_arena *arena = mr_arena_new(NULL, 1 << 20);
        mr_bytes *bytes = load_bytes(r, &desk, info, 0, i);
        mr_batch b = decode(bytes, MR_COL_FEATURES | MR_COL_SCORE, arena);
        assert_int_equal(b.rows, i < 2 ? 10 : 3);
        assert_int_equal(b.width, 2); /* x and k; score is a role */
        assert_string_equal(b.feature_names[0], "x");
        for (uint32_t k = 0; k < b.rows; k++) {
            int n = (int)(b.first + k + 1);
            if (n % 5)
                assert_true(b.features[k * 2] == n * 0.5);
            else
                assert_true(isnan(b.features[k * 2]));
            assert_true(b.features[k * 2 + 1] == n);
            assert_true(b.number[MR_NUM_SCORE][k] == n / 1000.0);
        }
        mr_bytes_drop(bytes);
        mr_arena_free(&arena);
    }
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

static void a_deleted_row_is_missed_and_a_broken_one_is_named(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    rig_table(r, 10);
    mr_run_info *info = rig_run(r, &lease, "t", MR_STEP_MAP, 5, MR_COL_FEATURES);
    start_loader(r, &desk, &plain);
    rig_sql(r, "update millrace.table_row set cells = '\\x93c0' where id = (select max(id) from "
               "millrace.table_row)");
    mr_load_job *job = load(r, &desk, info, 0, 1);
    assert_int_not_equal(job->head.status, MR_OK);
    assert_non_null(strstr(job->head.error.text, "row 9 of version"));
    mr_load_job_free(job);
    rig_sql(r, "delete from millrace.table_row where id = (select max(id) from millrace.table_row)");
    job = load(r, &desk, info, 0, 1);
    assert_int_equal(job->head.status, MR_E_CORRUPT);
    assert_non_null(strstr(job->head.error.text, "deleted"));
    assert_int_equal(job->loaded, 0);
    assert_null(job->bytes[0]);
    mr_load_job_free(job);
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

static void batches_are_loaded_together_up_to_one_that_fails(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    rig_table(r, 4000);
    mr_run_info *info = rig_run(r, &lease, "t", MR_STEP_MAP, 1000, MR_COL_FEATURES);
    start_loader(r, &desk, &plain);
    mr_load_job *job = load_many(r, &desk, info, 0, 0, 4);
    assert_int_equal(job->head.status, MR_OK);
    assert_int_equal(job->loaded, 4);
    for (uint32_t i = 0; i < 4; i++) {
        mr_bytes *alone = load_bytes(r, &desk, info, 0, i);
        assert_true(mr_span_eq(mr_bytes_span(job->bytes[i]), mr_bytes_span(alone)));
        mr_bytes_drop(alone);
    }
    mr_load_job_free(job);
    mr_bytes_drop(load_bytes(r, &desk, info, 0, 0)); /* the window is back on the first rows */
    rig_sql(r, "update millrace.table_row set cells = '\\x93c0' where id = (select max(id) from millrace.table_row)");
    job = load_many(r, &desk, info, 0, 0, 4);
    assert_int_not_equal(job->head.status, MR_OK);
    assert_int_equal(job->loaded, 2); /* the window of the third holds the broken row */
    assert_null(job->bytes[2]);
    mr_load_job_free(job);
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

/* How many pieces of memory they lie in; the first one in `piece`. */
static uint32_t pieces_of(mr_bytes *const *bytes, uint32_t n, mr_net_body *piece) {
    mr_net_body all[16];
    uint32_t pieces = 0;
    for (uint32_t i = 0; i < n; i++) pieces = mr_bytes_append(bytes[i], all, pieces);
    *piece = all[0];
    for (uint32_t i = 1; i < pieces; i++) mr_net_body_free(&all[i]);
    return pieces;
}

/* Small ones are parts of one whole, also those that another job finds in the cache; a large one is whole by itself. */
static void what_is_loaded_together_lies_together_and_goes_without_a_copy(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    mr_net_body body;
    mr_loader_options options = plain;
    options.cache_bytes = 1 << 20;
    rig_prompts(r, 320);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 32, MR_COL_FEATURES);
    start_loader(r, &desk, &options);
    mr_load_job *first = load_many(r, &desk, info, 0, 0, 4), *second = load_many(r, &desk, info, 0, 2, 6);
    assert_int_equal(pieces_of(first->bytes, 4, &body), 1);
    mr_net_body_free(&body);
    assert_int_equal(pieces_of(second->bytes, 6, &body), 1); /* two of them the first job's */
    const uint8_t *at = body.data;
    for (uint32_t i = 0; i < 6; i++) {
        mr_span one = mr_bytes_span(second->bytes[i]);
        assert_memory_equal(at, one.data, one.len);
        at += one.len;
    }
    assert_int_equal(at - (const uint8_t *)body.data, body.len);
    mr_net_body_free(&body);
    mr_load_job_free(first);
    mr_load_job_free(second);
    mr_desk_stop(&desk);
    options = plain;
    options.inline_max = 100;
    start_loader(r, &desk, &options);
    first = load_many(r, &desk, info, 0, 0, 3);
    assert_int_equal(first->loaded, 3);
    assert_int_equal(pieces_of(first->bytes, 2, &body), 2);
    mr_net_body_free(&body);
    for (uint32_t i = 0; i < 3; i++) {
        mr_hash hash = mr_hash_of(mr_bytes_span(first->bytes[i]));
        assert_true(mr_hash_eq(&first->bytes[i]->hash, &hash));
    }
    mr_load_job_free(first);
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

static void a_kept_segment_is_shared_and_the_oldest_goes_first(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    rig_prompts(r, 40);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 10, MR_COL_PROMPT);
    mr_loader_options options = plain;
    start_loader(r, &desk, &options);
    mr_bytes *first = load_bytes(r, &desk, info, 0, 0);
    size_t size = mr_bytes_span(first).len;
    mr_bytes_drop(first);
    mr_desk_stop(&desk);
    options.cache_bytes = size * 2 + size / 2 + 500; /* two fit, three do not */
    start_loader(r, &desk, &options);
    mr_bytes *a = load_bytes(r, &desk, info, 0, 0), *b = load_bytes(r, &desk, info, 0, 0);
    assert_ptr_equal(a, b);
    mr_bytes *others[] = {load_bytes(r, &desk, info, 0, 1), load_bytes(r, &desk, info, 0, 2)};
    mr_bytes *c = load_bytes(r, &desk, info, 0, 0);
    assert_ptr_not_equal(a, c); /* built again */
    assert_true(mr_span_eq(mr_bytes_span(a), mr_bytes_span(c)));
    mr_bytes_drop(a);
    mr_bytes_drop(b);
    mr_bytes_drop(c);
    mr_bytes_drop(others[0]);
    mr_bytes_drop(others[1]);
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

/* ---- partials ---- */

static void put_partials(rig *r, const mr_run_info *info, uint32_t n) {
    rig_sql(r,
            "insert into millrace.result (run_id, step, level, batch, last, first_row, row_count, attempt, "
            "worker, compute_us,"
            " body_hash, body) select %llu, 0, 0, i, false, i, 1, 1, 'w', 1, sha256('x'), "
            "convert_to('partial ' || i, 'UTF8')"
            " from generate_series(0, %u) i",
            (unsigned long long)info->run, n - 1);
    for (uint32_t i = 0; i < n; i++) {
        char text[32], hex[MR_HASH_HEX];
        snprintf(text, sizeof text, "partial %u", i);
        mr_hash hash = mr_hash_of(mr_span_of(text));
        mr_hash_hex(&hash, hex);
        rig_sql(r, "update millrace.result set body_hash = '\\x%s' where batch = %u", hex, i);
    }
}

static void a_merge_gets_its_partials_in_order(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    mr_error err;
    rig_prompts(r, 40);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MERGE, 1, MR_COL_PROMPT);
    put_partials(r, info, 40);
    start_loader(r, &desk, &plain);
    mr_bytes *bytes = load_bytes(r, &desk, info, 1, 1); /* the second node: partials 32 to 39 */
    mr_unpack u;
    uint32_t n;
    mr_unpack_init(&u, mr_bytes_span(bytes));
    assert_int_equal(mr_unpack_array(&u, 100, &n, &err), MR_OK);
    assert_int_equal(n, 8);
    for (uint32_t i = 0; i < n; i++) {
        char text[32];
        mr_span body;
        snprintf(text, sizeof text, "partial %u", 32 + i);
        assert_int_equal(mr_unpack_bin(&u, 100, &body, &err), MR_OK);
        assert_true(mr_span_eq(body, mr_span_of(text)));
    }
    assert_true(mr_unpack_done(&u));
    mr_bytes_drop(bytes);
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

static void a_partial_that_does_not_match_its_hash_or_is_missing_is_corrupt(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    rig_prompts(r, 40);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MERGE, 1, MR_COL_PROMPT);
    put_partials(r, info, 40);
    rig_sql(r, "update millrace.result set body_hash = sha256('other') where batch = 35");
    start_loader(r, &desk, &plain);
    mr_load_job *job = load(r, &desk, info, 1, 1);
    assert_int_equal(job->head.status, MR_E_CORRUPT);
    assert_non_null(strstr(job->head.error.text, "batch 35"));
    assert_int_equal(job->damaged, 1 << 3);
    mr_load_job_free(job);
    rig_sql(r, "delete from millrace.result where batch = 35");
    job = load(r, &desk, info, 1, 1);
    assert_int_equal(job->head.status, MR_E_CORRUPT);
    assert_non_null(strstr(job->head.error.text, "needs 8 partials, but 7"));
    assert_int_equal(job->damaged, 1 << 3);
    mr_load_job_free(job);
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

/* ---- the cache ---- */

static void large_inputs_are_put_into_redis_under_their_hash(void **state) {
    rig *r = rig_of(state);
    if (!services_redis_url()) skip();
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    mr_redis *redis = NULL;
    mr_error err = {0};
    mr_buf found;
    char key[MR_BLOB_KEY];
    rig_prompts(r, 20);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 19, MR_COL_PROMPT);
    mr_loader_options options = {
        .redis_url = services_redis_url(), .inline_max = 150, .cache_bytes = 0, .ttl_s = 60};
    start_loader(r, &desk, &options);
    mr_bytes *large = load_bytes(r, &desk, info, 0, 0), *small = load_bytes(r, &desk, info, 0, 1);
    assert_true(mr_bytes_span(large).len > 150 && mr_bytes_span(small).len <= 150);
    assert_int_equal(mr_redis_new(services_redis_url(), NULL, NULL, &redis, &err), MR_OK);
    mr_buf_init(&found, NULL, 1 << 20);
    mr_blob_key(&large->hash, key);
    assert_int_equal(strlen(key), MR_BLOB_KEY - 1);
    assert_int_equal(mr_redis_get(redis, mr_clock_monotonic_ns(), mr_span_of(key), &found, &err), MR_OK);
    assert_true(mr_span_eq(mr_buf_span(&found), mr_bytes_span(large)));
    assert_int_equal(mr_redis_del(redis, mr_clock_monotonic_ns(), mr_span_of(key), &err), MR_OK);
    mr_blob_key(&small->hash, key);
    assert_int_equal(mr_redis_get(redis, mr_clock_monotonic_ns(), mr_span_of(key), &found, &err),
                     MR_E_NOT_FOUND);
    mr_buf_free(&found);
    mr_redis_free(&redis);
    mr_bytes_drop(large);
    mr_bytes_drop(small);
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

static void without_redis_inputs_are_loaded_all_the_same(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    rig_prompts(r, 20);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 2, MR_COL_PROMPT);
    mr_loader_options options = {
        .redis_url = "unix:///nowhere/redis.sock", .inline_max = 1, .cache_bytes = 0, .ttl_s = 60};
    start_loader(r, &desk, &options);
    for (uint32_t i = 0; i < 10; i++) mr_bytes_drop(load_bytes(r, &desk, info, 0, i));
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

static void a_loader_goes_on_after_its_connection_was_cut(void **state) {
    rig *r = rig_of(state);
    mr_lease lease = rig_lease(r, "one");
    mr_desk desk;
    rig_prompts(r, 5000);
    mr_run_info *info = rig_run(r, &lease, "prompts", MR_STEP_MAP, 2500, MR_COL_PROMPT);
    start_loader(r, &desk, &plain);
    mr_bytes_drop(load_bytes(r, &desk, info, 0, 0));
    rig_cut_connections(r);
    mr_load_job *job = load(r, &desk, info, 0, 1);
    if (job->head.status != MR_OK) assert_true(mr_status_of((int)job->head.status)->retryable);
    mr_load_job_free(job);
    mr_bytes_drop(load_bytes(r, &desk, info, 0, 1));
    mr_desk_stop(&desk);
    mr_run_info_drop(info);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_is_the_same_bytes_wherever_the_window_stands),
        cmocka_unit_test(every_cut_holds_the_rows_in_their_order),
        cmocka_unit_test(features_alone_are_those_of_the_same_rows),
        cmocka_unit_test(what_is_on_its_way_does_not_mix_with_what_is_asked_meanwhile),
        cmocka_unit_test(what_is_read_ahead_is_taken_in_when_nobody_asks),
        cmocka_unit_test(a_stretch_that_was_on_its_way_when_the_connection_was_cut_is_read_again),
        cmocka_unit_test(missing_cells_of_a_table_are_nan),
        cmocka_unit_test(a_deleted_row_is_missed_and_a_broken_one_is_named),
        cmocka_unit_test(batches_are_loaded_together_up_to_one_that_fails),
        cmocka_unit_test(what_is_loaded_together_lies_together_and_goes_without_a_copy),
        cmocka_unit_test(a_kept_segment_is_shared_and_the_oldest_goes_first),
        cmocka_unit_test(a_merge_gets_its_partials_in_order),
        cmocka_unit_test(a_partial_that_does_not_match_its_hash_or_is_missing_is_corrupt),
        cmocka_unit_test(large_inputs_are_put_into_redis_under_their_hash),
        cmocka_unit_test(without_redis_inputs_are_loaded_all_the_same),
        cmocka_unit_test(a_loader_goes_on_after_its_connection_was_cut),
    };
    return cmocka_run_group_tests(tests, rig_start, rig_stop);
}
