#include "broker/cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/grammar.h"

typedef struct settings {
    mr_globals globals;
    int64_t rows, seed;
    char output[MR_OPTION_TEXT];
} settings;

static const mr_option options[] = {
    {.name = "rows",
     .type = MR_OPT_INT,
     .offset = offsetof(settings, rows),
     .def = "2000",
     .min = 1,
     .max = 10000000,
     .unit = "rows",
     .help = "how many",
     .flag = 'n'},
    {.name = "seed",
     .type = MR_OPT_INT,
     .offset = offsetof(settings, seed),
     .def = "1",
     .min = 0,
     .max = 9e15,
     .help = "the same seed gives the same rows"},
    {.name = "output",
     .type = MR_OPT_TEXT,
     .offset = offsetof(settings, output),
     .def = "-",
     .flag = 'o',
     .help = "file to write, - for stdout"},
    MR_GLOBAL_OPTIONS,
};

static mr_status write_rows(mr_grammar *g, int64_t rows, FILE *to, mr_buf *line, mr_error *err) {
    for (int64_t i = 0; i < rows; i++) {
        mr_prompt p;
        MR_TRY(mr_grammar_next(g, &p, err));
        mr_buf_clear(line);
        mr_prompt_to_json(&p, line);
        mr_buf_text(line, "\n");
        if (mr_buf_status(line) != MR_OK)
            return mr_fail(err, mr_buf_status(line), "a row does not fit into memory");
        if (fwrite(line->data, 1, line->len, to) != line->len)
            return mr_fail(err, MR_E_IO, "cannot write the rows: %s", strerror(errno));
    }
    return MR_OK;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    (void)cli;
    const settings *s = config;
    mr_grammar *g;
    bool is_file = strcmp(s->output, "-") != 0;
    FILE *to = is_file ? fopen(s->output, "we") : stdout;
    if (!to) return mr_file_fail(err, errno, "write", s->output);
    mr_buf line;
    mr_buf_init(&line, NULL, 1 << 20);
    mr_status status = mr_grammar_new(NULL, (uint64_t)s->seed, &g, err);
    if (status == MR_OK) {
        status = write_rows(g, s->rows, to, &line, err);
        mr_grammar_free(&g);
    }
    mr_buf_free(&line);
    int failed = is_file ? fclose(to) : fflush(to);
    if (status == MR_OK && failed) status = mr_file_fail(err, errno, "write", s->output);
    if (status == MR_OK && is_file) fprintf(stderr, "%lld rows in %s\n", (long long)s->rows, s->output);
    return status;
}

const mr_cli_command mr_cli_sample = {
    .name = "sample",
    .summary = "make synthetic training rows as JSONL",
    .detail = "The rows come from a template grammar with planted effects (examples and constraints raise "
              "the score, a\n"
              "cluster of rants fails), so that a first run has something to find.",
    .example = "millrace sample --rows 2000 --seed 7 --output rows.jsonl\n",
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
