#include "broker/cli/page.h"

#include <stdio.h>
#include <string.h>

#include "common/file.h"
#include "common/hash.h"

typedef struct settings {
    mr_page page;
    int64_t run;
    char output[MR_OPTION_TEXT];
} settings;

static const mr_option options[] = {
    {.name = "run", .type = MR_OPT_INT, .offset = offsetof(settings, run), .min = 0, .max = 9e15,
     .help = "list: only those of this run"},
    {.name = "output", .type = MR_OPT_TEXT, .offset = offsetof(settings, output), .def = "-", .flag = 'o',
     .help = "get: file to write, - for stdout"},
    MR_PAGE_OPTIONS,
    MR_GLOBAL_OPTIONS,
};
static const char *const verbs[] = {"list", "get", NULL};
enum { PART = 4 << 20, WHOLE = 1 << 30 };

/* One part: appended to `out`; the artifact's size in *total. */
static mr_status get_part(mr_client *c, const mr_cli *cli, const char *hash, mr_buf *out, uint64_t *total,
                          mr_error *err) {
    mr_params p;
    mr_params_init(&p);
    mr_params_text(&p, "hash", hash);
    mr_params_u64(&p, "offset", out->len);
    mr_params_u64(&p, "length", PART);
    mr_span body, bytes = {0};
    mr_unpack map, v;
    mr_status status = mr_client_call(c, MR_CMD_ARTIFACT, mr_params_span(&p),
                                      (unsigned)cli->globals->timeout_ms, &body, err);
    mr_params_free(&p);
    MR_TRY(status);
    mr_unpack_init(&map, body);
    if (mr_unpack_find(&map, "total", &v) != MR_OK || mr_unpack_u64(&v, UINT64_MAX, total, NULL) != MR_OK ||
        mr_unpack_find(&map, "bytes", &v) != MR_OK || mr_unpack_bin(&v, PART, &bytes, NULL) != MR_OK)
        return mr_fail(err, MR_E_PROTOCOL, "the broker's answer holds no bytes of artifact %s", hash);
    if (bytes.len == 0 && out->len < *total)
        return mr_fail(err, MR_E_PROTOCOL, "the broker sent no more of artifact %s after %zu bytes", hash,
                       out->len);
    mr_buf_put(out, bytes.data, bytes.len);
    return mr_buf_status(out) == MR_OK
               ? MR_OK
               : mr_fail(err, mr_buf_status(out), "artifact %s is too large to hold", hash);
}

static mr_status download(mr_cli *cli, const char *hash, mr_buf *out, mr_error *err) {
    mr_client *c;
    MR_TRY(mr_client_connect(cli, &c, err));
    uint64_t total = 0;
    mr_status status;
    do status = get_part(c, cli, hash, out, &total, err);
    while (status == MR_OK && out->len < total);
    mr_client_close(&c);
    return status;
}

static mr_status get(mr_cli *cli, const settings *s, mr_error *err) {
    const char *text = mr_cli_operand(cli, 1);
    mr_hash wanted, have;
    if (!text || !mr_hash_parse(mr_span_of(text), &wanted))
        return mr_fail(
            err, MR_E_USAGE,
            "millrace artifacts get needs a hash of 64 hex digits; 'millrace artifacts' lists them");
    mr_buf bytes;
    mr_buf_init(&bytes, NULL, WHOLE);
    mr_status status = download(cli, text, &bytes, err);
    have = mr_hash_of(mr_buf_span(&bytes));
    if (status == MR_OK && !mr_hash_eq(&wanted, &have))
        status = mr_fail(err, MR_E_CORRUPT, "the bytes of artifact %s do not match its hash", text);
    if (status == MR_OK)
        status = strcmp(s->output, "-") ? mr_file_write(s->output, mr_buf_span(&bytes), 0644, err)
                                        : mr_program_print(&bytes, err);
    if (status == MR_OK && strcmp(s->output, "-")) fprintf(stderr, "%zu bytes in %s\n", bytes.len, s->output);
    mr_buf_free(&bytes);
    return status;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    size_t verb;
    MR_TRY(mr_cli_verb(cli, &verb, err));
    if (verb) return get(cli, s, err);
    MR_TRY(mr_cli_at_most(cli, 1, err));
    mr_params p;
    mr_params_init(&p);
    if (s->run) mr_params_u64(&p, "run", (uint64_t)s->run);
    mr_page_params(&p, &s->page);
    return mr_view_call(cli, MR_CMD_ARTIFACTS, &p, err);
}

const mr_cli_command mr_cli_artifacts = {
    .name = "artifacts",
    .summary = "list artifacts, or get the bytes of one (its hash is checked)",
    .operands = "[list | get HASH]",
    .example = "millrace artifacts --run 7\n"
               "millrace artifacts get 9f2c...e1 --output model.bin\n",
    .verbs = verbs,
    .max_operands = 2,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
