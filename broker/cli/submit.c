#include "broker/cli/producer.h"
#include "broker/cli/task_json.h"
#include "broker/cli/view.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "common/jsonl.h"
#include "common/file.h"

typedef struct settings {
    mr_globals globals;
    char input[MR_OPTION_TEXT], matrix[MR_OPTION_TEXT], key[MR_OPTION_TEXT];
    int64_t window;
    bool wait, single, verbose;
} settings;

#define AT(field) offsetof(settings, field)

static const mr_option options[] = {
    {.name = "input", .type = MR_OPT_TEXT, .offset = AT(input), .def = "-", .flag = 'i',
     .help = "file with the tasks; - is standard input"},
    {.name = "matrix", .type = MR_OPT_TEXT, .offset = AT(matrix), .flag = 'm',
     .help = "the file holds matrices of float32 of this shape, ROWSxCOLUMNS, one behind the other (little-endian, row by row); "
             "a task each"},
    {.name = "wait", .type = MR_OPT_BOOL, .offset = AT(wait), .flag = 'w',
     .help = "wait for the results and print them as they are committed, a line of JSON each"},
    {.name = "single", .type = MR_OPT_BOOL, .offset = AT(single),
     .help = "send each task by itself at once, instead of gathering them: less waiting for each, more work for all"},
    {.name = "window", .type = MR_OPT_INT, .offset = AT(window), .def = "32", .min = 1, .max = 1024, .unit = "packets",
     .help = "packets that are under way at once"},
    {.name = "key", .type = MR_OPT_TEXT, .offset = AT(key),
     .help = "a name for this submission: the same tasks sent again under it are stored once"},
    {.name = "verbose", .type = MR_OPT_BOOL, .offset = AT(verbose), .flag = 'v', .help = "show every refused line, not only the first 20"},
    MR_GLOBAL_OPTIONS,
};

enum { SHOWN = 20, ARENA_MAX = 256 << 20, LINE_MAX_BYTES = MR_JSONL_LINE_MAX };

typedef struct submission {
    const settings *s;
    mr_stop stop;
    mr_producer_options options;
    mr_producer *producer;
    mr_arena *arena; /* of one line */
    mr_progress progress;
    uint64_t read, refused, stored, existed, failed, first, bytes;
    bool any;
} submission;

/* ---- what comes back ---- */

static void show_progress(submission *u) {
    if (!mr_progress_due(&u->progress)) return;
    mr_progress_show(&u->progress, "%llu tasks read, %llu stored, %llu there already, %llu refused", (unsigned long long)u->read,
                     (unsigned long long)u->stored, (unsigned long long)u->existed, (unsigned long long)u->refused);
}

static void accepted(void *self, uint64_t first, uint32_t tasks, bool existed) {
    submission *u = self;
    if (!u->any) u->first = first;
    u->any = true;
    if (existed) u->existed += tasks;
    else u->stored += tasks;
    show_progress(u);
}

/* {"task": 7, "status": "OK", "result": {...}} */
static void done(void *self, const mr_task_result *r) {
    submission *u = self;
    mr_buf line;
    mr_error ignored;
    mr_buf_init(&line, NULL, 64 << 20);
    mr_buf_printf(&line, "{\"task\":%llu,\"status\":\"%s\"", (unsigned long long)r->task, mr_status_of((int)r->status)->name);
    if (r->status != MR_OK) {
        u->failed++;
        mr_buf_text(&line, ",\"reason\":");
        mr_json_put_text(&line, r->text);
    } else {
        mr_buf_text(&line, ",\"result\":");
        if (mr_json_from_pack(r->body, &line, &ignored) != MR_OK) mr_buf_text(&line, "null");
    }
    mr_buf_text(&line, "}\n");
    mr_progress_clear(&u->progress);
    if (mr_buf_status(&line) == MR_OK) fwrite(line.data, 1, line.len, stdout);
    mr_buf_free(&line);
}

static void refuse(submission *u, uint64_t line, const mr_error *why) {
    if (++u->refused > SHOWN + 1 && !u->s->verbose) return;
    mr_progress_clear(&u->progress);
    if (u->refused == SHOWN + 1 && !u->s->verbose) fprintf(stderr, "%s: more lines are refused; --verbose shows them\n", u->s->input);
    else fprintf(stderr, "%s:%llu: %s\n", u->s->input, (unsigned long long)line, why->text);
}

/* ---- lines of JSON ---- */

static bool of_the_line(mr_status s) { return s == MR_E_INVALID || s == MR_E_LIMIT; }

static mr_status submit_line(submission *u, const mr_line *line, mr_error *err) {
    mr_buf *body;
    mr_span id;
    mr_error why;
    mr_arena_reset(u->arena);
    u->read++;
    MR_TRY(mr_producer_body(u->producer, line->text.len, &body, err));
    size_t at = body->len;
    mr_status s = line->too_long ? mr_fail(&why, MR_E_LIMIT, "the line has more than %d bytes", LINE_MAX_BYTES)
                                 : mr_task_from_json(line->text, u->arena, body, &id, &why);
    if (s != MR_OK) {
        body->len = at;
        body->status = MR_OK;
    } else {
        s = mr_producer_add(u->producer, id, &why);
    }
    if (of_the_line(s)) refuse(u, line->number, &why);
    else if (s != MR_OK) return mr_fail(err, s, "%s", why.text);
    return MR_OK;
}

/* Nothing more comes for now: what is gathered need not wait for it. */
static bool is_quiet(const mr_lines *lines) {
    struct pollfd p = {.fd = lines->fd, .events = POLLIN};
    return lines->start == lines->end && poll(&p, 1, 0) == 0;
}

static mr_status submit_lines(submission *u, mr_error *err) {
    mr_lines lines;
    mr_line line;
    bool got = true;
    MR_TRY(mr_lines_open(&lines, u->s->input, LINE_MAX_BYTES, NULL, err));
    mr_status s = MR_OK;
    while (s == MR_OK) {
        if (is_quiet(&lines)) s = mr_producer_flush(u->producer, err);
        if (s == MR_OK) s = mr_lines_next(&lines, &line, &got, err);
        if (s == MR_OK && !got) break;
        if (s == MR_OK && (line.text.len || line.too_long)) s = submit_line(u, &line, err);
        if (s == MR_OK && mr_stop_asked(&u->stop)) s = mr_fail(err, MR_E_INTERRUPTED, "interrupted");
        show_progress(u);
    }
    mr_lines_close(&lines);
    return s;
}

/* ---- matrices ---- */

static mr_status read_shape(const char *text, uint32_t *rows, uint32_t *columns, mr_error *err) {
    char end;
    if (sscanf(text, "%9ux%9u%c", rows, columns, &end) != 2 || !*rows || !*columns)
        return mr_fail(err, MR_E_USAGE, "--matrix %.60s is not ROWSxCOLUMNS, such as 32x31", text);
    uint64_t size = (uint64_t)*rows * *columns * sizeof(float);
    if (size > MR_TASK_BYTES - 64) return mr_fail(err, MR_E_USAGE, "a matrix of %.60s is larger than a task can be, %d bytes", text, MR_TASK_BYTES);
    return MR_OK;
}

/* One matrix straight into the packet; *got is what there was of it. */
static mr_status read_matrix(submission *u, FILE *f, mr_span head, size_t size, size_t *got, mr_error *err) {
    mr_buf *body;
    MR_TRY(mr_producer_body(u->producer, head.len + size, &body, err));
    size_t at = body->len;
    mr_buf_put(body, head.data, head.len);
    uint8_t *to = mr_buf_extend(body, size);
    *got = to ? fread(to, 1, size, f) : 0;
    if (!to) return mr_fail(err, MR_E_MEMORY, "out of memory");
    if (*got == size) return mr_producer_add(u->producer, (mr_span){0}, err);
    body->len = at;
    return ferror(f) ? mr_fail(err, MR_E_IO, "%s cannot be read", u->s->input) : MR_OK;
}

static mr_status read_matrices(submission *u, FILE *f, mr_span head, size_t size, mr_error *err) {
    for (size_t got = size; got == size;) {
        MR_TRY(read_matrix(u, f, head, size, &got, err));
        if (got && got < size)
            return mr_fail(err, MR_E_INVALID, "%s ends %zu bytes into task %llu, which has %zu", u->s->input, got,
                           (unsigned long long)u->read, size);
        u->read += got == size;
        if (mr_stop_asked(&u->stop)) return mr_fail(err, MR_E_INTERRUPTED, "interrupted");
        show_progress(u);
    }
    return MR_OK;
}

static mr_status submit_matrices(submission *u, mr_error *err) {
    uint32_t rows, columns;
    mr_buf head;
    MR_TRY(read_shape(u->s->matrix, &rows, &columns, err));
    FILE *f = strcmp(u->s->input, "-") ? fopen(u->s->input, "rb") : stdin;
    if (!f) return mr_file_fail(err, errno, "read", u->s->input);
    mr_buf_init(&head, NULL, 256);
    mr_status s = mr_segment_matrix(rows, columns, &head);
    if (s == MR_OK) s = read_matrices(u, f, mr_buf_span(&head), (size_t)rows * columns * sizeof(float), err);
    else (void)mr_fail(err, s, "--matrix %.60s is more than a segment can hold", u->s->matrix);
    mr_buf_free(&head);
    if (f != stdin) fclose(f);
    return s;
}

/* ---- the command ---- */

static mr_status print_summary(mr_cli *cli, const submission *u, mr_error *err) {
    static const char *const names[] = {"run", "read", "stored", "existed", "refused", "failed"};
    const uint64_t values[] = {u->options.run, u->read, u->stored, u->existed, u->refused, u->failed};
    mr_buf out;
    mr_buf_init(&out, NULL, 1024);
    mr_pack_map(&out, u->any ? 7 : 6);
    for (int i = 0; i < 6; i++) {
        mr_pack_text(&out, names[i]);
        mr_pack_u64(&out, values[i]);
    }
    if (u->any) mr_pack_text(&out, "first");
    if (u->any) mr_pack_u64(&out, u->first);
    mr_status s = u->s->wait ? MR_OK : mr_view(cli, mr_buf_span(&out), err); /* results have the standard output to themselves */
    mr_buf_free(&out);
    return s;
}

/* The number that stands for a key; never 0, which stands for none. */
static uint64_t number_of(const char *key) {
    mr_hash h = mr_hash_of(mr_span_of(key));
    uint64_t n;
    memcpy(&n, h.bytes, sizeof n);
    return (n & INT64_MAX) | 1;
}

static mr_status submit(mr_cli *cli, submission *u, mr_error *err) {
    MR_TRY(mr_producer_open(&u->options, &u->producer, err));
    mr_status s = u->s->matrix[0] ? submit_matrices(u, err) : submit_lines(u, err);
    if (s == MR_OK) s = mr_producer_finish(u->producer, err);
    mr_producer_close(&u->producer);
    mr_progress_clear(&u->progress);
    if (s == MR_OK) s = print_summary(cli, u, err);
    if (s != MR_OK) return s;
    if (u->failed) return mr_fail(err, MR_E_CRASHED, "%llu of %llu tasks failed", (unsigned long long)u->failed, (unsigned long long)u->read);
    if (u->refused)
        return mr_fail(err, MR_E_PARTIAL, "%llu of %llu lines were refused", (unsigned long long)u->refused, (unsigned long long)u->read);
    return MR_OK;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    submission u = {.s = s};
    u.options = (mr_producer_options){.globals = cli->globals, .stop = &u.stop, .producer = s->key[0] ? number_of(s->key) : 0,
                                      .window = (unsigned)s->window, .single = s->single, .wait = s->wait, .accepted = accepted,
                                      .done = done, .self = &u};
    MR_TRY(mr_cli_number(cli, 0, "the number of a stream", &u.options.run, err));
    MR_TRY(mr_stop_init(&u.stop, err));
    mr_progress_init(&u.progress);
    u.arena = mr_arena_new(NULL, ARENA_MAX);
    mr_status status = u.arena ? submit(cli, &u, err) : mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_arena_free(&u.arena);
    mr_stop_close(&u.stop);
    return status;
}

const mr_cli_command mr_cli_submit = {
    .name = "submit",
    .summary = "submit tasks to a stream",
    .operands = "RUN",
    .detail = "A task is a line of JSON: \"features\", a list of rows of numbers, and other roles (prompt, label, score ...), "
              "each a list\n"
              "with a value for each row; \"names\" for the features and an \"id\" if it shall have one. Or, with --matrix, a "
              "record of\n"
              "float32 in a binary file. What is accepted is committed; a packet whose answer was lost is sent again, and "
              "stored once.",
    .example = "millrace submit 7 --input tasks.jsonl\n"
               "millrace submit 7 --input matrices.f32 --matrix 32x31\n"
               "echo '{\"prompt\": [\"Say it in one line.\"]}' | millrace submit 7 --wait\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
