#include "broker/cli/ingest.h"
#include "broker/cli/view.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/file.h"

#define AT(field) offsetof(mr_ingest_settings, field)

static const char *const sources[] = {"user", "synthetic", "api", NULL};
static const mr_option options[] = {
    {.name = "map", .type = MR_OPT_LIST, .offset = AT(map), .flag = 'm',
     .help = "other names for keys: prompt=text,labels.intent=intent"},
    {.name = "table", .type = MR_OPT_TEXT, .offset = AT(table), .flag = 't',
     .help = "read CSV, TSV or JSONL with typed columns into the data set of this name"},
    {.name = "types", .type = MR_OPT_LIST, .offset = AT(types),
     .help = "with --table: types of columns, a=number,b=text; the others are inferred"},
    {.name = "max_chars", .type = MR_OPT_INT, .offset = AT(max_chars), .def = "10000", .min = 1,
     .max = MR_PROMPT_CHARS_MAX, .unit = "characters", .help = "longest prompt; a longer row is refused"},
    {.name = "source", .type = MR_OPT_CHOICE, .offset = AT(source), .def = "user", .choices = sources,
     .help = "source of rows that do not say theirs"},
    {.name = "verbose", .type = MR_OPT_BOOL, .offset = AT(verbose), .flag = 'v',
     .help = "show every refused row, not only the first 20 of a file"},
    {.name = "duplicates", .type = MR_OPT_BOOL, .offset = AT(duplicates),
     .help = "show every row that is there already, not only the first 20"},
    {.name = "update", .type = MR_OPT_BOOL, .offset = AT(update), .flag = 'u',
     .help = "a known prompt with other fields (score, labels, ...) becomes a new revision, not a duplicate"},
    MR_GLOBAL_OPTIONS,
};

/* ---- where bytes come from ---- */

typedef struct input {
    int fd;
    mr_feed *feed;
} input;

/* Standard input may stay silent for long: heartbeats and Ctrl-C must go on meanwhile. */
static mr_status wait_for_input(const input *in, mr_error *err) {
    for (;;) {
        struct pollfd p[2] = {{.fd = in->fd, .events = POLLIN}, {.fd = in->feed->stop->fd, .events = POLLIN}};
        int n = poll(p, 2, 250);
        if (n < 0 && errno != EINTR)
            return mr_fail(err, MR_E_IO, "cannot wait for standard input: %s", strerror(errno));
        if (mr_stop_asked(in->feed->stop)) return mr_fail(err, MR_E_INTERRUPTED, "interrupted");
        if (n > 0 && p[0].revents) return MR_OK;
        MR_TRY(mr_client_alive(in->feed->client, err));
    }
}

static mr_status read_input(void *self, void *to, size_t room, size_t *got, mr_error *err) {
    input *in = self;
    ssize_t n;
    do {
        if (in->fd == STDIN_FILENO) MR_TRY(wait_for_input(in, err));
        n = read(in->fd, to, room);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return mr_file_fail(err, errno, "read", in->feed->file->name);
    in->feed->bytes += (uint64_t)n;
    *got = (size_t)n;
    return MR_OK;
}

/* ---- prompts ---- */

typedef struct reader {
    const mr_ingest_settings *s;
    mr_prompt_map map;
    mr_prompt_limits limits;
    const char *source_key; /* the key that tells a row's source */
    mr_arena *arena;
    mr_feed *feed;
} reader;

static mr_status reader_init(reader *r, const mr_ingest_settings *s, mr_error *err) {
    *r = (reader){.s = s, .limits = {.max_chars = (uint32_t)s->max_chars}, .source_key = "source"};
    for (size_t i = 0; i < s->map.count; i++) MR_TRY(mr_prompt_map_parse(&r->map, s->map.items[i], err));
    for (size_t i = 0; i < r->map.count; i++)
        if (!strcmp(r->map.items[i].target, "source")) r->source_key = r->map.items[i].key;
    r->arena = mr_arena_new(NULL, 256 << 20);
    return r->arena ? MR_OK : mr_fail(err, MR_E_MEMORY, "out of memory");
}

static mr_status prompt_line(reader *r, mr_span line, uint64_t number, mr_error *err) {
    mr_prompt p;
    mr_error why = {0};
    size_t column = 0;
    mr_arena_reset(r->arena);
    mr_status status =
        mr_prompt_from_json(line, r->map.count ? &r->map : NULL, &r->limits, r->arena, &p, &column, &why);
    if (status == MR_E_MEMORY)
        return mr_fail(err, status, "%s:%llu: out of memory", r->feed->file->name,
                       (unsigned long long)number);
    if (status != MR_OK) return mr_feed_reject(r->feed, number, column, status, why.text, err);
    if (r->s->source && !mr_jsonl_column_of(line, mr_span_of(r->source_key)))
        p.source = (mr_prompt_source)r->s->source;
    mr_buf *to;
    MR_TRY(mr_feed_row(r->feed, &number, &to, err));
    mr_prompt_pack(to, &p, number);
    return mr_feed_added(r->feed, err);
}

static mr_status prompt_lines(reader *r, mr_jsonl *lines, mr_error *err) {
    for (;;) {
        mr_span line;
        uint64_t number = 0;
        mr_error why = {0};
        mr_status status = mr_jsonl_next(lines, &line, &number, &why);
        if (status == MR_E_NOT_FOUND) return MR_OK;
        if (status == MR_OK)
            status = prompt_line(r, line, number, err);
        else if (status == MR_E_LIMIT)
            status = mr_feed_reject(r->feed, number, 0, status, why.text, err);
        else
            return mr_fail(err, status, "%s", why.text);
        MR_TRY(status);
    }
}

static mr_status prompt_file(reader *r, const char *path, mr_error *err) {
    input in = {.feed = r->feed};
    if (strcmp(path, "-")) in.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (in.fd < 0) return mr_file_fail(err, errno, "read", path);
    mr_jsonl *lines;
    mr_status status = mr_jsonl_new(NULL, (mr_source){read_input, &in}, 0, &lines);
    if (status == MR_OK) {
        status = prompt_lines(r, lines, err);
        mr_jsonl_free(&lines);
    } else {
        status = mr_fail(err, status, "out of memory");
    }
    if (in.fd != STDIN_FILENO) close(in.fd);
    return status;
}

static mr_status prompt_files(const mr_ingest_settings *s, const mr_paths *paths, mr_feed_file *files,
                              mr_feed *feed, mr_error *err) {
    reader r;
    mr_status status = reader_init(&r, s, err);
    r.feed = feed;
    for (size_t i = 0; status == MR_OK && i < paths->count; i++) {
        mr_feed_begin(feed, &files[i]);
        status = prompt_file(&r, paths->items[i], err);
        if (status == MR_OK) status = mr_feed_end(feed, err);
    }
    if (r.arena) mr_arena_free(&r.arena);
    return status;
}

/* ---- the ingest as a whole ---- */

static mr_status begin(mr_cli *cli, mr_client *c, const mr_ingest_settings *s, mr_table_schema schema,
                       uint64_t *ingest, mr_error *err) {
    mr_params p;
    mr_span body;
    mr_unpack map, v;
    mr_params_init(&p);
    if (s->table[0]) {
        mr_params_text(&p, "dataset", s->table);
        mr_params_text(&p, "kind", "table");
        mr_buf *to = mr_params_open(&p, "columns");
        mr_pack_map(to, schema.count);
        for (uint32_t i = 0; i < schema.count; i++) {
            mr_pack_text(to, schema.columns[i].name);
            mr_pack_text(to, mr_cell_types[schema.columns[i].type]);
        }
    }
    if (s->update) mr_params_bool(&p, "update", true);
    mr_buf *to = mr_params_open(&p, "paths");
    size_t at = mr_pack_open_array(to);
    uint32_t n = 0;
    for (; n < cli->args->count && n < 100; n++)
        mr_pack_str(to, (mr_span){(uint8_t *)cli->args->operands[n], strnlen(cli->args->operands[n], 512)});
    mr_pack_patch(to, at, n);
    mr_status status = mr_client_call(c, MR_CMD_INGEST_BEGIN, mr_params_span(&p),
                                      (unsigned)cli->globals->timeout_ms, &body, err);
    mr_params_free(&p);
    MR_TRY(status);
    mr_unpack_init(&map, body);
    if (mr_unpack_find(&map, "ingest", &v) != MR_OK || mr_unpack_u64(&v, UINT64_MAX, ingest, NULL) != MR_OK)
        return mr_fail(err, MR_E_PROTOCOL, "the broker's answer has no number of the ingest");
    return MR_OK;
}

static mr_status end(mr_cli *cli, const mr_feed *f, mr_error *err) {
    mr_params p;
    mr_span body;
    mr_params_init(&p);
    mr_params_u64(&p, "ingest", f->ingest);
    mr_params_u64(&p, "read", f->read);
    mr_params_u64(&p, "rejected", f->rejected);
    mr_status status = mr_client_call(f->client, MR_CMD_INGEST_END, mr_params_span(&p),
                                      (unsigned)cli->globals->timeout_ms, &body, err);
    mr_params_free(&p);
    return status;
}

static mr_status summary(mr_cli *cli, const mr_ingest_settings *s, const mr_feed *f, uint64_t ms,
                         mr_error *err) {
    mr_buf pack;
    mr_buf_init(&pack, NULL, 1 << 16);
    mr_pack_map(&pack, 10);
    mr_pack_text(&pack, "ingest");
    mr_pack_u64(&pack, f->ingest);
    mr_pack_text(&pack, "dataset");
    mr_pack_text(&pack, s->table[0] ? s->table : "prompts");
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"files", f->files},
                  {"read", f->read},
                  {"stored", f->stored},
                  {"updated", f->updated},
                  {"duplicate", f->duplicate},
                  {"rejected", f->rejected}};
    for (size_t i = 0; i < 6; i++) mr_pack_text(&pack, counts[i].name), mr_pack_u64(&pack, counts[i].value);
    mr_pack_text(&pack, "seconds");
    mr_pack_f64(&pack, (double)ms / 1000);
    mr_pack_text(&pack, "rows_per_s");
    mr_pack_u64(&pack, ms ? f->read * 1000 / ms : f->read * 1000);
    mr_status status = mr_view(cli, mr_buf_span(&pack), err);
    mr_buf_free(&pack);
    return status;
}

static mr_status interrupted(mr_feed *f, mr_error *err) {
    mr_error ignored;
    mr_status status = mr_feed_finish(f, &ignored); /* what is on its way is still counted */
    return mr_fail(
        err, MR_E_INTERRUPTED,
        "interrupted after %llu rows were stored%s; run the same command again, nothing is stored twice",
        (unsigned long long)f->stored, status == MR_OK ? "" : " (some may be on their way)");
}

static mr_status feed_all(mr_cli *cli, const mr_ingest_settings *s, const mr_paths *paths,
                          mr_feed_file *files, const mr_table_plan *plan, mr_feed *f, mr_error *err) {
    uint64_t start = mr_now_ms();
    mr_status status =
        s->table[0] ? mr_ingest_tables(plan, paths, files, f, err) : prompt_files(s, paths, files, f, err);
    if (status == MR_OK) status = mr_feed_finish(f, err);
    mr_progress_clear(&f->progress);
    if (status == MR_E_INTERRUPTED) return interrupted(f, err);
    if (status == MR_OK) status = end(cli, f, err);
    if (status != MR_OK)
        fprintf(stderr,
                "%llu rows were stored; when the cause is gone, run the same command again: nothing is "
                "stored twice\n",
                (unsigned long long)f->stored);
    MR_TRY(status);
    MR_TRY(summary(cli, s, f, mr_now_ms() - start, err));
    if (!f->rejected) return MR_OK;
    err->text[0] = 0; /* all was told already */
    return MR_E_PARTIAL;
}

static mr_status check_kinds(const mr_ingest_settings *s, const mr_paths *paths, mr_error *err) {
    for (size_t i = 0; i < paths->count; i++) {
        if (!s->table[0] && mr_path_is_table(paths->items[i]))
            return mr_fail(err, MR_E_USAGE, "%s is a table: name its data set with --table NAME",
                           paths->items[i]);
        if (s->table[0] && !strcmp(paths->items[i], "-"))
            return mr_fail(
                err, MR_E_USAGE,
                "a table is read twice, so it cannot come from standard input: write it to a file first");
    }
    return MR_OK;
}

static mr_status with_client(mr_cli *cli, const mr_ingest_settings *s, const mr_paths *paths,
                             const mr_table_plan *plan, mr_error *err) {
    mr_client *c = NULL;
    mr_stop stop;
    uint64_t ingest;
    mr_feed *f = mr_new(NULL, 1, sizeof *f);
    mr_feed_file *files = mr_arena_alloc(paths->arena, paths->count, sizeof *files);
    if (!f || !files) {
        mr_free(NULL, f, 1, sizeof *f);
        return mr_fail(err, MR_E_MEMORY, "out of memory");
    }
    for (size_t i = 0; i < paths->count; i++) files[i].name = paths->items[i];
    mr_status status = mr_stop_init(&stop, err);
    if (status == MR_OK) status = mr_client_connect(cli, &c, err);
    if (status == MR_OK) status = begin(cli, c, s, plan->schema, &ingest, err);
    if (status == MR_OK) {
        mr_feed_init(f, c, cli->globals->broker, &stop, ingest, (unsigned)cli->globals->timeout_ms);
        f->verbose = s->verbose;
        f->duplicates = s->duplicates;
        f->join = !s->table[0]; /* a table's row is known by its file */
        status = feed_all(cli, s, paths, files, plan, f, err);
        c = f->client;
    }
    mr_client_close(&c);
    mr_feed_free(f);
    mr_stop_close(&stop);
    mr_free(NULL, f, 1, sizeof *f);
    return status;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const mr_ingest_settings *s = config;
    mr_paths paths;
    mr_table_plan plan = {0};
    mr_prompt_map map = {0};
    for (size_t i = 0; i < s->map.count; i++) MR_TRY(mr_prompt_map_parse(&map, s->map.items[i], err));
    mr_status status = mr_paths_find(cli->args->operands, cli->args->count, s->table[0] != 0, &paths, err);
    if (status == MR_OK) status = check_kinds(s, &paths, err);
    if (status == MR_OK && s->table[0]) status = mr_ingest_plan(s, &paths, &plan, err);
    if (status == MR_OK) status = with_client(cli, s, &paths, &plan, err);
    mr_paths_free(&paths);
    return status;
}

const mr_cli_command mr_cli_ingest = {
    .name = "ingest",
    .summary = "read prompts or tables from files into a data set",
    .operands = "PATH...",
    .detail =
        "PATH is a JSONL file, a folder (its .jsonl files, recursively), a glob, or - for standard input. A "
        "row is\n"
        "{\"prompt\": TEXT, \"enhancement\": TEXT or OBJECT} with optional source, priority, session, score, "
        "success,\n"
        "labels and created_at; other keys are kept as metadata. Equal rows are stored once, so an ingest "
        "that was\n"
        "interrupted is simply run again. A bad row is refused alone, with file, line, column and reason.\n"
        "Exit codes: 0 all rows are stored, 19 some were refused, 130 interrupted, others: it failed.",
    .example = "millrace ingest prompts/\n"
               "millrace ingest banking.jsonl --map prompt=text,labels.intent=intent\n"
               "millrace ingest wine.csv --table wine\n",
    .min_operands = 1,
    .max_operands = MR_CLI_OPERANDS,
    .options = options,
    .config_size = sizeof(mr_ingest_settings),
    .run = run,
};
