#include "broker/cli/watch.h"

#include <stdio.h>
#include <string.h>

enum { POLL_MS = 200, AWAY_MS = 60000, BAR = 28, SHOW_MAX = 8 << 20 };

typedef struct screen {
    bool on;
    unsigned lines; /* drawn so far */
} screen;

static void draw(screen *s, const mr_list *steps) {
    mr_buf line;
    if (!s->on) return;
    if (s->lines) fprintf(stderr, "\033[%uA", s->lines);
    mr_buf_init(&line, NULL, 1 << 16);
    for (uint32_t i = 0; i < steps->rows; i++) {
        char bar[BAR + 3];
        uint64_t done = mr_list_u64(steps, i, "done"), total = mr_list_u64(steps, i, "total");
        mr_bar(done, total, bar, BAR);
        mr_buf_clear(&line);
        mr_list_text(steps, i, "id", &line);
        if (!line.len) mr_list_text(steps, i, "component", &line);
        fprintf(stderr, "\r\033[K  %-26.*s %s %llu/%llu", (int)line.len, (const char *)line.data, bar,
                (unsigned long long)done, (unsigned long long)total);
        mr_buf_clear(&line);
        mr_list_text(steps, i, "state", &line);
        uint64_t failures = mr_list_u64(steps, i, "failures");
        fprintf(stderr, " %.*s", (int)line.len, (const char *)line.data);
        if (failures) fprintf(stderr, ", %llu failed attempts", (unsigned long long)failures);
        fputc('\n', stderr);
    }
    fflush(stderr);
    s->lines = steps->rows;
    mr_buf_free(&line);
}

static mr_status ask(mr_cli *cli, mr_client *c, uint64_t run, mr_buf *show, mr_error *err) {
    mr_params p;
    mr_span body;
    mr_params_init(&p);
    mr_params_u64(&p, "id", run);
    mr_status status = mr_client_call(c, MR_CMD_RUN_SHOW, mr_params_span(&p),
                                      (unsigned)cli->globals->timeout_ms, &body, err);
    mr_params_free(&p);
    MR_TRY(status);
    mr_buf_clear(show);
    mr_buf_put(show, body.data, body.len);
    return mr_buf_status(show) == MR_OK
               ? MR_OK
               : mr_fail(err, mr_buf_status(show), "the broker's answer is too large");
}

/* The broker may be starting again: the run is in the database and goes on. */
static mr_status look_again(mr_cli *cli, mr_client **c, mr_stop *stop, uint64_t run, mr_buf *show,
                            mr_error *err) {
    uint64_t until = mr_now_ms() + AWAY_MS;
    mr_status status;
    do {
        mr_client_close(c);
        if (mr_stop_wait(stop, POLL_MS)) return mr_fail(err, MR_E_INTERRUPTED, "interrupted");
        status = mr_client_connect(cli, c, err);
        if (status == MR_OK) status = ask(cli, *c, run, show, err);
    } while (status != MR_OK && mr_status_of((int)status)->retryable && mr_now_ms() < until);
    return status;
}

static mr_status state_of(const mr_buf *show, char out[32], mr_error *err) {
    mr_unpack map, v;
    mr_span state;
    mr_unpack_init(&map, mr_buf_span(show));
    if (mr_unpack_find(&map, "state", &v) != MR_OK || mr_unpack_str(&v, 31, &state, NULL) != MR_OK)
        return mr_fail(err, MR_E_PROTOCOL, "the broker does not tell the run's state");
    snprintf(out, 32, "%.*s", MR_SPAN_ARG(state));
    return MR_OK;
}

static mr_status draw_show(screen *s, const mr_buf *show, mr_arena *arena, mr_error *err) {
    mr_unpack map, v;
    mr_list steps;
    mr_arena_reset(arena);
    mr_unpack_init(&map, mr_buf_span(show));
    if (mr_unpack_find(&map, "steps", &v) != MR_OK) return MR_OK;
    MR_TRY(mr_list_read((mr_span){v.at, (size_t)(v.end - v.at)}, arena, &steps, err));
    draw(s, &steps);
    return MR_OK;
}

static mr_status interrupted(uint64_t run, mr_error *err) {
    return mr_fail(err, MR_E_INTERRUPTED,
                   "stopped waiting; run %llu goes on: 'millrace runs show %llu' follows it, 'millrace "
                   "cancel %llu' ends it",
                   (unsigned long long)run, (unsigned long long)run, (unsigned long long)run);
}

static mr_status ended(mr_cli *cli, uint64_t run, const char *state, const mr_buf *show, mr_error *err) {
    MR_TRY(mr_view(cli, mr_buf_span(show), err));
    unsigned long long id = run;
    if (!strcmp(state, "succeeded")) {
        fprintf(stderr, "run %llu succeeded; 'millrace results %llu' shows what it found\n", id, id);
        return MR_OK;
    }
    if (!strcmp(state, "cancelled")) return mr_fail(err, MR_E_CANCELLED, "run %llu was cancelled", id);
    return mr_fail(
        err, MR_E_CRASHED,
        "run %llu failed; 'millrace failures %llu' tells why, 'millrace results %llu' shows the rest", id, id,
        id);
}

mr_status mr_watch_run(mr_cli *cli, mr_client **client, mr_stop *stop, uint64_t run, mr_error *err) {
    screen s = {.on = mr_term_width(2) > 60};
    mr_buf show;
    char state[32] = "running";
    mr_buf_init(&show, NULL, SHOW_MAX);
    mr_arena *arena = mr_arena_new(NULL, SHOW_MAX);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    fprintf(stderr, "run %llu\n", (unsigned long long)run);
    mr_status status = MR_OK;
    while (status == MR_OK && !strcmp(state, "running")) {
        status = ask(cli, *client, run, &show, err);
        if (status != MR_OK && mr_status_of((int)status)->retryable)
            status = look_again(cli, client, stop, run, &show, err);
        if (status == MR_OK) status = state_of(&show, state, err);
        if (status == MR_OK) status = draw_show(&s, &show, arena, err);
        if (status == MR_OK && !strcmp(state, "running") && mr_stop_wait(stop, POLL_MS))
            status = MR_E_INTERRUPTED;
    }
    if (status == MR_E_INTERRUPTED)
        status = interrupted(run, err);
    else if (status == MR_OK)
        status = ended(cli, run, state, &show, err);
    mr_arena_free(&arena);
    mr_buf_free(&show);
    return status;
}
