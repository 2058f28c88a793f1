/* bench_submit: tasks into a stream by the C client (broker/cli/producer.h), with bodies of 32 x 31 float32.
 * usage: bench-submit BROKER RUN TASKS [single]
 * Tells how many tasks a second were accepted (that is, committed); with `single`, when each task is sent after the result
 * of the one before is committed, half and 99 of 100 of the times from one to the other, and checks every result. */
#include "broker/cli/producer.h"
#include "common/batch.h"
#include "common/hash.h"
#include "common/log.h"
#include "tests/bench/limit.h"

#include <stdlib.h>
#include <string.h>

typedef struct run {
    mr_globals globals;
    mr_producer_options options;
    mr_producer *producer;
    mr_buf head;   /* what stands before the numbers of a task */
    uint64_t next; /* the task that is asked for */
    uint64_t accepted, done;
} run;

static void must(mr_status s, const mr_error *err) {
    if (s != MR_OK) die("bench-submit: %s", err->text);
}

static void accepted(void *self, uint64_t first, uint32_t tasks, bool existed) {
    run *r = self;
    (void)first;
    (void)existed; /* sent again behind a packet that the broker could not take, and stored the first time */
    r->accepted += tasks;
}

/* The body holds "means" and 31 float64, big-endian behind a byte each. */
static void done(void *self, const mr_task_result *result) {
    static const char name[] = "\xa5means\xdc\x00\x1f";
    run *r = self;
    uint8_t body[BODY], answer[ANSWER];
    if (result->status != MR_OK)
        die("bench-submit: task %llu: %.*s", (unsigned long long)result->task, MR_SPAN_ARG(result->text));
    const uint8_t *at = memmem(result->body.data, result->body.len, name, sizeof name - 1);
    if (!at || result->body.len - (size_t)(at - result->body.data) < sizeof name - 1 + COLS * 9)
        die("bench-submit: no means");
    fill_body(r->next, body);
    answer_of(body, answer);
    at += sizeof name - 1;
    for (int i = 0; i < COLS; i++, at += 9) {
        uint64_t bits = get_u64(at + 1);
        if (*at != 0xcb || memcmp(&bits, answer + i * 8, 8) != 0) die("bench-submit: a wrong mean");
    }
    r->done++;
}

static void add(run *r) {
    mr_error err = {0};
    mr_buf *body;
    must(mr_producer_body(r->producer, r->head.len + BODY, &body, &err), &err);
    mr_buf_put(body, r->head.data, r->head.len);
    uint8_t *to = mr_buf_extend(body, BODY);
    if (!to) die("bench-submit: no memory");
    fill_body(r->next, to);
    must(mr_producer_add(r->producer, (mr_span){0}, &err), &err);
}

static void put_many(run *r, uint64_t tasks) {
    mr_error err = {0};
    double start = seconds();
    for (r->next = 0; r->next < tasks; r->next++) add(r);
    must(mr_producer_finish(r->producer, &err), &err);
    if (r->accepted != tasks)
        die("bench-submit: %llu tasks of %llu", (unsigned long long)r->accepted, (unsigned long long)tasks);
    printf("{\"rate\": %.1f}\n", (double)tasks / (seconds() - start));
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void put_one_by_one(run *r, uint64_t tasks) {
    mr_error err = {0};
    double *took = calloc(tasks, sizeof *took);
    if (!took) die("bench-submit: no memory");
    for (r->next = 0; r->next < tasks; r->next++) {
        double start = seconds();
        add(r);
        must(mr_producer_finish(r->producer, &err), &err);
        took[r->next] = (seconds() - start) * 1e3;
        if (r->done != r->next + 1) die("bench-submit: the result of task %llu is missing", (unsigned long long)r->next);
    }
    qsort(took, tasks, sizeof *took, by_size);
    printf("{\"p50\": %.4f, \"p99\": %.4f}\n", took[tasks / 2], took[tasks * 99 / 100]);
    free(took);
}

int main(int argc, char **argv) {
    mr_error err = {0};
    run r = {.globals = {.timeout_ms = 60000}};
    if (argc < 4 || argc > 5) die("usage: bench-submit BROKER RUN TASKS [single]");
    bool single = argc == 5 && !strcmp(argv[4], "single");
    uint64_t tasks = (uint64_t)number_of(argv[3], 1);
    snprintf(r.globals.broker, sizeof r.globals.broker, "%s", argv[1]);
    must(mr_crypto_init(&err), &err);
    mr_buf_init(&r.head, NULL, 4096);
    must(mr_segment_matrix(ROWS, COLS, &r.head), &err);
    r.options = (mr_producer_options){.globals = &r.globals,
                                      .run = (uint64_t)number_of(argv[2], 1),
                                      .single = single,
                                      .wait = single,
                                      .accepted = accepted,
                                      .done = done,
                                      .self = &r};
    must(mr_producer_open(&r.options, &r.producer, &err), &err);
    if (single)
        put_one_by_one(&r, tasks);
    else
        put_many(&r, tasks);
    mr_producer_close(&r.producer);
    mr_buf_free(&r.head);
}
