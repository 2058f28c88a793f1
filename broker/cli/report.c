#include "broker/cli/html.h"
#include "broker/cli/run_pages.h"

#include "common/file.h"

#include <math.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>

typedef struct settings {
    mr_globals globals;
    char output[MR_OPTION_TEXT];
} settings;

static const mr_option options[] = {
    {.name = "output", .type = MR_OPT_TEXT, .offset = offsetof(settings, output), .flag = 'o',
     .help = "file to write, - for stdout; report-RUN.html when not given"},
    MR_GLOBAL_OPTIONS,
};

enum { PAGE_MAX = 1 << 28, RESULT_MAX = 1 << 28, DEPTH_MAX = 32, TABLE_ROWS = 50, TABLE_COLS = 12, ITEMS = 12, WORDS_MAX = 300, FINDINGS = 25 };

/* ---- values ---- */

static void put_value(mr_buf *out, const mr_json *v);

static void put_items(mr_buf *out, const mr_json *list) {
    size_t n = mr_json_count(list);
    mr_buf_text(out, "[");
    for (size_t i = 0; i < n && i < ITEMS; i++) {
        if (i) mr_buf_text(out, ", ");
        put_value(out, mr_json_item(list, i));
    }
    mr_buf_text(out, n > ITEMS ? ", ...]" : "]");
}

static void put_pairs(mr_buf *out, const mr_json *object) {
    void *at = NULL;
    const char *name;
    const mr_json *v;
    for (bool first = true; mr_json_next(object, &at, &name, &v); first = false) {
        mr_buf_text(out, first ? "" : "; ");
        mr_html_text(out, mr_span_of(name));
        mr_buf_text(out, " ");
        put_value(out, v);
    }
}

/* A value on one line. */
static void put_value(mr_buf *out, const mr_json *v) {
    mr_span text;
    double number;
    bool yes;
    char digits[32];
    if (mr_json_text(v, &text)) {
        mr_html_text(out, text);
    } else if (mr_json_number(v, &number)) {
        mr_text_number(number, digits);
        mr_buf_text(out, digits);
    } else if (mr_json_boolean(v, &yes)) {
        mr_buf_text(out, yes ? "yes" : "no");
    } else if (mr_json_kind(v) == MR_JSON_LIST) {
        put_items(out, v);
    } else {
        put_pairs(out, v);
    }
}

/* A list of texts, as words. */
static bool put_words(mr_buf *out, const mr_json *list) {
    mr_span text;
    if (!mr_json_text(mr_json_item(list, 0), &text)) return false;
    mr_buf_text(out, "<p>");
    for (size_t i = 0; i < mr_json_count(list) && i < WORDS_MAX; i++) {
        if (i) mr_buf_text(out, ", ");
        put_value(out, mr_json_item(list, i));
    }
    mr_buf_text(out, "</p>\n");
    return true;
}

static bool is_number(const mr_json *v) { return mr_json_kind(v) == MR_JSON_INTEGER || mr_json_kind(v) == MR_JSON_NUMBER; }

static void put_cell(mr_buf *out, const mr_json *v) {
    mr_buf_text(out, is_number(v) ? "<td class=\"num\">" : "<td>");
    put_value(out, v);
    mr_buf_text(out, "</td>");
}

/* The numbers of a list; how many there are that can be drawn, 0 when it holds anything else. */
static size_t numbers_of(const mr_json *list, double *out) {
    size_t n = 0;
    for (size_t i = 0; i < mr_json_count(list); i++) {
        const mr_json *item = mr_json_item(list, i);
        if (mr_json_kind(item) == MR_JSON_NULL) continue;
        if (!mr_json_number(item, &out[n])) return 0;
        n++;
    }
    return n;
}

static void put_numbers(mr_buf *out, const mr_json *list) {
    size_t n = mr_json_count(list);
    double *v = mr_new(NULL, n + 1, sizeof *v);
    size_t count = v ? numbers_of(list, v) : 0;
    if (count > 1) (count <= MR_HTML_BARS ? mr_html_columns : mr_html_histogram)(out, v, count);
    else put_value(out, list);
    mr_free(NULL, v, n + 1, sizeof *v);
}

static void put_table(mr_buf *out, const mr_json *list) {
    const char *names[TABLE_COLS];
    size_t cols = 0, rows = mr_json_count(list);
    const mr_json *v;
    void *at = NULL;
    while (cols < TABLE_COLS && mr_json_next(mr_json_item(list, 0), &at, &names[cols], &v)) cols++;
    mr_buf_text(out, "<div class=\"wide\"><table><tr>");
    for (size_t c = 0; c < cols; c++) {
        mr_buf_text(out, "<th>");
        mr_html_text(out, mr_span_of(names[c]));
        mr_buf_text(out, "</th>");
    }
    mr_buf_text(out, "</tr>\n");
    for (size_t i = 0; i < rows && i < TABLE_ROWS; i++) {
        mr_buf_text(out, "<tr>");
        for (size_t c = 0; c < cols; c++) put_cell(out, mr_json_member(mr_json_item(list, i), names[c]));
        mr_buf_text(out, "</tr>\n");
    }
    mr_buf_text(out, "</table></div>\n");
    if (rows > TABLE_ROWS) mr_buf_printf(out, "<p class=\"sub\">the first %d of %zu</p>\n", TABLE_ROWS, rows);
}

static bool put_matrix(mr_buf *out, const mr_json *v) {
    int64_t rows, cols;
    const mr_json *data = mr_json_member(v, "data");
    if (!mr_json_integer(mr_json_member(v, "rows"), &rows) || !mr_json_integer(mr_json_member(v, "cols"), &cols) || !data)
        return false;
    size_t n = mr_json_count(data);
    double *x = mr_new(NULL, n + 1, sizeof *x);
    bool whole = x && n > 0 && rows > 0 && cols > 0 && n == (size_t)rows * (size_t)cols && numbers_of(data, x) == n;
    mr_buf_printf(out, "<p class=\"sub\">%lld x %lld</p>\n", (long long)rows, (long long)cols);
    if (whole && n <= MR_HTML_CELLS) mr_html_heat(out, x, (size_t)rows, (size_t)cols);
    mr_free(NULL, x, n + 1, sizeof *x);
    return true;
}

static void put_members(mr_buf *out, const mr_json *v) {
    void *at = NULL;
    const char *name;
    const mr_json *member;
    mr_buf_text(out, "<table>");
    while (mr_json_next(v, &at, &name, &member)) {
        mr_buf_text(out, "<tr><td>");
        mr_html_text(out, mr_span_of(name));
        mr_buf_text(out, "</td>");
        put_cell(out, member);
        mr_buf_text(out, "</tr>\n");
    }
    mr_buf_text(out, "</table>\n");
}

static void put_large(mr_buf *out, const mr_show_field *field, const mr_json *v) {
    mr_buf_text(out, "<h3>");
    mr_html_text(out, mr_span_of(field->name));
    mr_buf_text(out, " <small>");
    mr_html_text(out, mr_span_of(field->meaning));
    if (field->unit) mr_buf_text(out, ", ");
    mr_html_text(out, mr_span_of(field->unit));
    mr_buf_text(out, "</small></h3>\n");
    if (mr_json_kind(v) == MR_JSON_LIST && mr_json_kind(mr_json_item(v, 0)) == MR_JSON_OBJECT) put_table(out, v);
    else if (mr_json_kind(v) == MR_JSON_LIST && !put_words(out, v)) put_numbers(out, v);
    else if (mr_json_kind(v) == MR_JSON_OBJECT && !put_matrix(out, v)) put_members(out, v);
}

/* ---- one component ---- */

static void put_scalar(mr_buf *out, const mr_show_field *field, const mr_json *v, const double *folded) {
    char digits[32];
    mr_buf_text(out, "<tr><td>");
    mr_html_text(out, mr_span_of(field->name));
    mr_buf_text(out, "</td><td class=\"num\">");
    if (folded) {
        mr_text_number(*folded, digits);
        mr_buf_text(out, digits);
    } else {
        put_value(out, v);
    }
    mr_buf_text(out, "</td><td>");
    mr_html_text(out, mr_span_of(field->unit));
    mr_buf_text(out, "</td><td>");
    if (folded && field->unit && !strncmp(field->unit, "share", 5)) mr_html_share(out, *folded);
    mr_buf_text(out, "</td><td class=\"sub\">");
    mr_html_text(out, mr_span_of(field->meaning));
    mr_buf_text(out, "</td></tr>\n");
}

static bool is_large(const mr_json *v) {
    return (mr_json_kind(v) == MR_JSON_LIST || mr_json_kind(v) == MR_JSON_OBJECT) && mr_json_count(v) > 0;
}

static void put_result(mr_buf *out, const mr_show *show, const mr_json *result) {
    const mr_json *findings = mr_json_member(result, "findings");
    mr_buf_text(out, "<ul>\n");
    for (size_t i = 0; i < mr_json_count(findings) && i < FINDINGS; i++) {
        mr_buf_text(out, "<li>");
        put_value(out, mr_json_member(mr_json_item(findings, i), "text"));
        mr_buf_text(out, "</li>\n");
    }
    mr_buf_text(out, "</ul>\n<table>\n");
    for (uint32_t i = 0; i < show->count; i++) {
        const mr_json *v = mr_json_member(result, show->fields[i].name);
        if (v && mr_json_kind(v) != MR_JSON_NULL && mr_json_kind(v) != MR_JSON_LIST && mr_json_kind(v) != MR_JSON_OBJECT)
            put_scalar(out, &show->fields[i], v, NULL);
    }
    mr_buf_text(out, "</table>\n");
    for (uint32_t i = 0; i < show->count; i++) {
        const mr_json *v = mr_json_member(result, show->fields[i].name);
        if (is_large(v)) put_large(out, &show->fields[i], v);
    }
}

static mr_status put_whole(mr_run_pages *p, const mr_show *show, mr_buf *out, mr_error *err) {
    MR_TRY(mr_run_pages_next(p, show->name, err));
    if (!p->list.rows) mr_buf_text(out, "<p>There is no result.</p>\n");
    for (uint32_t i = 0; i < p->list.rows; i++) {
        mr_buf text;
        mr_json *result = NULL;
        mr_buf_init(&text, NULL, RESULT_MAX);
        mr_status s = mr_json_from_pack(mr_run_pages_body(p, i), &text, err);
        if (s == MR_OK) s = mr_json_parse(mr_buf_span(&text), RESULT_MAX, DEPTH_MAX, &result, err);
        if (s == MR_OK) put_result(out, show, result);
        mr_json_free(&result);
        mr_buf_free(&text);
        MR_TRY(s);
    }
    return MR_OK;
}

static mr_status put_folded(mr_run_pages *p, const mr_show *show, mr_arena *arena, mr_buf *out, mr_error *err) {
    mr_folding f;
    double v;
    MR_TRY(mr_run_pages_fold(p, show, arena, &f, err));
    mr_buf_printf(out, "<p class=\"sub\">summed up over %llu rows in %llu batches</p>\n<ul>\n", (unsigned long long)f.rows,
                  (unsigned long long)f.results);
    mr_buf sentence;
    mr_buf_init(&sentence, NULL, 1 << 16);
    for (size_t i = 0; i < mr_folding_findings(&f); i++) {
        mr_buf_clear(&sentence);
        mr_folding_finding(&f, i, &sentence);
        mr_buf_text(out, "<li>");
        mr_html_text(out, mr_buf_span(&sentence));
        mr_buf_text(out, "</li>\n");
    }
    mr_buf_free(&sentence);
    mr_buf_text(out, "</ul>\n<table>\n");
    for (uint32_t i = 0; i < show->count; i++)
        if (show->fields[i].fold != MR_SHOW_NONE && mr_folding_value(&f, i, &v)) put_scalar(out, &show->fields[i], NULL, &v);
    mr_buf_text(out, "</table>\n");
    return MR_OK;
}

/* A link to the step is its id; what may not stand in one is left out of it. */
static void put_heading(const mr_run_step *step, mr_buf *out) {
    mr_buf_text(out, "<h2 id=\"");
    for (const char *c = step->id; *c; c++)
        if (isalnum((unsigned char)*c) || *c == '_' || *c == '-') mr_buf_put(out, c, 1);
    mr_buf_text(out, "\">");
    mr_html_text(out, mr_span_of(step->id));
    if (strcmp(step->id, step->component)) {
        mr_buf_text(out, " (");
        mr_html_text(out, mr_span_of(step->component));
        mr_buf_text(out, ")");
    }
    mr_buf_text(out, "</h2>\n");
}

static mr_status put_step(mr_run_pages *p, const mr_run_step *step, uint32_t place, const mr_json *catalogue, mr_buf *out, mr_error *err) {
    mr_arena *arena = mr_arena_new(NULL, MR_RUN_ARENA);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_show show = mr_run_pages_describe(catalogue, step->component, arena);
    put_heading(step, out);
    mr_buf_text(out, "<p class=\"sub\">");
    mr_html_text(out, mr_span_of(show.summary));
    mr_buf_text(out, "</p>\n");
    for (uint32_t i = 0; i < step->inputs; i++) {
        mr_buf_text(out, "<p class=\"sub\">");
        mr_html_text(out, mr_span_of(step->input[i]));
        mr_buf_text(out, "</p>\n");
    }
    mr_run_pages_rewind(p, place);
    if (strcmp(step->state, "succeeded"))
        mr_buf_printf(out, "<p><b>%s</b>; %llu batches were given up</p>\n", step->state, (unsigned long long)step->dead);
    mr_status s = strcmp(step->shape, "map") ? put_whole(p, &show, out, err) : put_folded(p, &show, arena, out, err);
    mr_arena_free(&arena);
    return s;
}

/* ---- the page ---- */

/* The run itself, as `millrace runs show` has it. */
static mr_status put_facts(mr_run_pages *p, mr_buf *out, mr_error *err) {
    mr_span body;
    mr_buf text;
    mr_json *run = NULL;
    MR_TRY(mr_run_pages_show(p, &body, err));
    mr_buf_init(&text, NULL, RESULT_MAX);
    mr_status s = mr_view_json(body, &text, err);
    if (s == MR_OK) s = mr_json_parse(mr_buf_span(&text), RESULT_MAX, DEPTH_MAX, &run, err);
    void *at = NULL;
    const char *name;
    const mr_json *v;
    mr_buf_text(out, "<table>\n");
    while (s == MR_OK && mr_json_next(run, &at, &name, &v)) {
        mr_span word = {.len = 1};
        if (mr_json_text(v, &word) && !word.len) continue;
        if (is_large(v) || mr_json_kind(v) == MR_JSON_OBJECT || mr_json_kind(v) == MR_JSON_NULL) continue;
        mr_buf_text(out, "<tr><td>");
        mr_html_text(out, mr_span_of(name));
        mr_buf_text(out, "</td><td>");
        put_value(out, v);
        mr_buf_text(out, "</td></tr>\n");
    }
    mr_buf_text(out, "</table>\n");
    mr_json_free(&run);
    mr_buf_free(&text);
    return s;
}

static mr_status put_all(mr_run_pages *p, mr_arena *arena, mr_buf *out, mr_error *err) {
    mr_json *catalogue = NULL;
    mr_run_step *steps;
    uint32_t count;
    char title[64];
    snprintf(title, sizeof title, "Millrace, run %llu", (unsigned long long)p->run);
    mr_html_begin(out, title);
    MR_TRY(put_facts(p, out, err));
    MR_TRY(mr_run_pages_steps(p, &steps, &count, arena, err));
    MR_TRY(mr_run_pages_catalogue(p, &catalogue, err));
    mr_status s = MR_OK;
    for (uint32_t i = 0; s == MR_OK && i < count; i++) s = put_step(p, &steps[i], i, catalogue, out, err);
    mr_json_free(&catalogue);
    mr_html_end(out);
    return s;
}

static mr_status save(const mr_buf *page, const char *output, uint64_t run, mr_error *err) {
    char name[64];
    snprintf(name, sizeof name, "report-%llu.html", (unsigned long long)run);
    if (mr_buf_status(page) != MR_OK)
        return mr_fail(err, mr_buf_status(page), "the report is over %d MiB: see 'millrace results' instead", PAGE_MAX >> 20);
    if (!strcmp(output, "-")) return mr_program_print(page, err);
    if (!*output) output = name;
    MR_TRY(mr_file_write(output, mr_buf_span(page), 0644, err));
    fprintf(stderr, "%s\n", output);
    return MR_OK;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    mr_run_pages p;
    uint64_t id;
    mr_buf page;
    MR_TRY(mr_cli_number(cli, 0, "the number of a run", &id, err));
    mr_arena *arena = mr_arena_new(NULL, MR_RUN_ARENA);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_buf_init(&page, NULL, PAGE_MAX);
    mr_status status = mr_run_pages_open(&p, cli, id, err);
    if (status == MR_OK) status = put_all(&p, arena, &page, err);
    mr_run_pages_close(&p);
    if (status == MR_OK) status = save(&page, s->output, id, err);
    mr_buf_free(&page);
    mr_arena_free(&arena);
    return status;
}

const mr_cli_command mr_cli_report = {
    .name = "report",
    .summary = "write what a run found as one HTML page with plots",
    .operands = "RUN",
    .detail = "The page stands alone: no script, no network, plots as SVG. It can be mailed and kept.",
    .example = "millrace report 7\n"
               "millrace report 7 --output - > page.html\n",
    .min_operands = 1,
    .max_operands = 1,
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
