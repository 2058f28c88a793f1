/* limit_queue: a queue in PostgreSQL alone, as fast as C makes it. Tasks are put by COPY BINARY; each of four workers
 * takes N rows with FOR UPDATE SKIP LOCKED and deletes them, computes, writes the answers and commits, all in one
 * transaction. What makes it fast: bodies lie in the row (no TOAST), results come in binary, a worker looks on behind the
 * last id that it took instead of walking over what is deleted, and with one task a transaction the answer, COMMIT, BEGIN
 * and the next fetch travel in one pipeline, so that a task is one round trip.
 * usage: limit_queue DATABASE_URL TASKS TASKS_A_TRANSACTION */
#include "tests/bench/limit_pg.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PUT_GROUP = 1000, BYTEA = 17, INT8 = 20 };

static void make_tables(PGconn *c) {
    pg_do(c, "drop table if exists bench_queue, bench_answer");
    pg_do(c, "create table bench_queue (id bigint primary key, body bytea not null)");
    pg_do(c, "alter table bench_queue alter body set storage plain");
    pg_do(c, "create table bench_answer (id bigint primary key, body bytea not null)");
}

static void put_tasks(PGconn *c, long tasks) {
    copy_rows block;
    copy_init(&block, PUT_GROUP, BODY);
    for (long at = 0; at < tasks; at += PUT_GROUP) {
        copy_begin(&block);
        for (long i = at + 1; i <= at + PUT_GROUP && i <= tasks; i++)
            fill_body((uint64_t)i, copy_row(&block, (uint64_t)i, BODY));
        copy_send(c, "copy bench_queue from stdin (format binary)", &block);
    }
    free(block.bytes);
}

/* ---- a worker ---- */

typedef struct worker {
    PGconn *c;
    long group;
    uint64_t last; /* the largest id that it took */
    PGresult *tasks;
    copy_rows answers;
} worker;

static void send_statement(worker *w, const char *name, int n, const char *const *values, const int *lengths) {
    static const int binary[2] = {1, 1};
    if (!PQsendQueryPrepared(w->c, name, n, values, lengths, binary, 1)) die("%s: %s", name, PQerrorMessage(w->c));
}

static void send_take(worker *w) {
    uint8_t last[8], limit[8];
    put_u64(last, w->last);
    put_u64(limit, (uint64_t)w->group);
    send_statement(w, "begin", 0, NULL, NULL);
    send_statement(w, "take", 2, (const char *const[]){(char *)last, (char *)limit}, (const int[]){8, 8});
    if (!PQpipelineSync(w->c)) die("sync: %s", PQerrorMessage(w->c));
}

static int receive_tasks(worker *w) {
    pg_pass(w->c, PGRES_COMMAND_OK);
    w->tasks = pg_next(w->c, PGRES_TUPLES_OK);
    if (PQgetResult(w->c)) die("a fetch gave two results");
    pg_pass(w->c, PGRES_PIPELINE_SYNC);
    for (int i = 0; i < PQntuples(w->tasks); i++) {
        uint64_t id = get_u64((uint8_t *)PQgetvalue(w->tasks, i, 0));
        if (id > w->last) w->last = id;
    }
    return PQntuples(w->tasks);
}

/* One task: its answer, COMMIT and the next fetch in one round trip. */
static int finish_one(worker *w) {
    uint8_t answer[ANSWER];
    answer_of((uint8_t *)PQgetvalue(w->tasks, 0, 1), answer);
    send_statement(w, "give", 2, (const char *const[]){PQgetvalue(w->tasks, 0, 0), (char *)answer},
                   (const int[]){8, ANSWER});
    send_statement(w, "commit", 0, NULL, NULL);
    send_take(w);
    PQclear(w->tasks);
    pg_pass(w->c, PGRES_COMMAND_OK);
    pg_pass(w->c, PGRES_COMMAND_OK);
    return receive_tasks(w);
}

static int finish_many(worker *w) {
    copy_begin(&w->answers);
    for (int i = 0; i < PQntuples(w->tasks); i++)
        answer_of((uint8_t *)PQgetvalue(w->tasks, i, 1),
                  copy_row(&w->answers, get_u64((uint8_t *)PQgetvalue(w->tasks, i, 0)), ANSWER));
    PQclear(w->tasks);
    if (!PQexitPipelineMode(w->c)) die("pipeline: %s", PQerrorMessage(w->c));
    copy_send(w->c, "copy bench_answer from stdin (format binary); commit", &w->answers);
    if (!PQenterPipelineMode(w->c)) die("pipeline: %s", PQerrorMessage(w->c));
    send_take(w);
    return receive_tasks(w);
}

static void prepare(PGconn *c) {
    static const struct {
        const char *name, *sql;
    } statements[] = {
        {"begin", "begin"},
        {"commit", "commit"},
        {"take",
         "delete from bench_queue where ctid = any (array(select ctid from bench_queue where id > $1::bigint order by id"
         " limit $2::bigint for update skip locked)) returning id, body"},
        {"give", "insert into bench_answer values ($1::bigint, $2::bytea)"},
    };
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        PGresult *r = PQprepare(c, statements[i].name, statements[i].sql, 0, NULL);
        if (PQresultStatus(r) != PGRES_COMMAND_OK) die("prepare: %s", PQerrorMessage(c));
        PQclear(r);
    }
    pg_do(c, "set plan_cache_mode = force_generic_plan");
    pg_do(c, "set enable_seqscan = off"); /* the table's statistics are of when it was empty */
}

/* From the front; behind the last id until nothing is left there. */
static int walk(worker *w) {
    w->last = 0;
    PQclear(w->tasks);
    send_statement(w, "commit", 0, NULL, NULL);
    send_take(w);
    pg_pass(w->c, PGRES_COMMAND_OK);
    int first = receive_tasks(w);
    for (int n = first; n;) n = w->group == 1 ? finish_one(w) : finish_many(w);
    return first;
}

/* Waits for `go` to be closed, then works until a walk from the front finds nothing. */
static void work(const char *url, long group, int ready, int go) {
    worker w = {.c = pg_open(url), .group = group, .last = UINT64_MAX >> 1};
    char none;
    prepare(w.c);
    copy_init(&w.answers, (size_t)group, ANSWER);
    PQenterPipelineMode(w.c);
    send_take(&w); /* plans and caches are warm before the clock starts */
    receive_tasks(&w);
    if (write(ready, "r", 1) != 1 || read(go, &none, 1) != 0) die("the start was lost");
    double used = seconds_of(PQbackendPID(w.c));
    while (walk(&w)) {
    }
    used = seconds_of(PQbackendPID(w.c)) - used;
    if (write(ready, &used, sizeof used) != sizeof used) die("the end was lost");
    exit(0);
}

typedef struct drained {
    double took, used; /* seconds; `used` of the processor, by the workers and their backends */
} drained;

static drained drain(const char *url, long group) {
    int ready[2], go[2], status;
    char byte;
    double used;
    if (pipe(ready) || pipe(go)) die("no pipe");
    for (int i = 0; i < WORKERS; i++) {
        if (fork()) continue;
        close(go[1]);
        work(url, group, ready[1], go[0]);
    }
    close(ready[1]); /* a worker that dies shows as an end of file */
    for (int i = 0; i < WORKERS; i++)
        if (read(ready[0], &byte, 1) != 1) die("a worker did not start");
    double start = seconds();
    close(go[1]);
    drained d = {.used = -children_seconds()};
    for (int i = 0; i < WORKERS; i++) {
        if (read(ready[0], &used, sizeof used) != sizeof used) die("a worker failed");
        d.used += used;
    }
    d.took = seconds() - start;
    for (int i = 0; i < WORKERS; i++)
        if (wait(&status) < 0 || status) die("a worker failed");
    d.used += children_seconds();
    return d;
}

static void check(PGconn *c, long tasks) {
    PGresult *r = PQexecParams(c, "select id, body from bench_answer order by id", 0, NULL, NULL, NULL, NULL, 1);
    if (PQntuples(r) != tasks) die("%d answers of %ld: %s", PQntuples(r), tasks, PQerrorMessage(c));
    for (int i = 0; i < tasks; i++) {
        if (get_u64((uint8_t *)PQgetvalue(r, i, 0)) != (uint64_t)i + 1) die("the answer of task %d is missing", i + 1);
        check_answer((uint64_t)i + 1, (uint8_t *)PQgetvalue(r, i, 1));
    }
    PQclear(r);
}

int main(int argc, char **argv) {
    if (argc != 4) die("usage: limit_queue DATABASE_URL TASKS TASKS_A_TRANSACTION");
    long tasks = number_of(argv[2], 1), group = number_of(argv[3], 1);
    PGconn *c = pg_open(argv[1]);
    make_tables(c);
    pg_do(c, "checkpoint");
    double start = seconds();
    put_tasks(c, tasks);
    double put = seconds() - start;
    drained d = drain(argv[1], group);
    check(c, tasks);
    pg_do(c, "drop table bench_queue, bench_answer");
    printf("{\"put\": %.1f, \"rate\": %.1f, \"us\": %.2f}\n", (double)tasks / put, (double)tasks / d.took,
           d.used * 1e6 / (double)tasks);
    PQfinish(c);
}
