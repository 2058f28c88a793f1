#include "common/features.h"
#include "common/file.h"
#include "common/rows_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

enum { ROWS_MAX = 10000000 };
#define BYTES_MAX ((size_t)4 << 30)

struct mr_rows {
    const mr_mem *mem;
    mr_rows_options options;
    mr_arena *arena; /* text, and the copied schema */
    bool are_prompts;
    uint32_t count, cap;
    uint64_t refused;
    mr_table_schema schema;
    mr_cell *cells;     /* count x schema.count */
    mr_prompt *prompts; /* count */
    float *features;    /* count x MR_FEATURES */
    mr_text *text;
};

static mr_status no_memory(mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "out of memory while reading rows");
}

static mr_status rows_new(const mr_mem *mem, const mr_rows_options *o, mr_rows **out, mr_error *err) {
    mr_rows *r = mr_new(mem, 1, sizeof *r);
    if (!r) return no_memory(err);
    r->mem = mem;
    if (o) r->options = *o;
    if (!r->options.max_rows) r->options.max_rows = ROWS_MAX;
    if (!r->options.max_bytes) r->options.max_bytes = BYTES_MAX;
    r->arena = mr_arena_new(mem, r->options.max_bytes);
    if (r->arena) {
        *out = r;
        return MR_OK;
    }
    mr_rows_free(&r);
    return no_memory(err);
}

void mr_rows_free(mr_rows **r) {
    if (!*r) return;
    mr_rows *p = *r;
    mr_free(p->mem, p->cells, p->cap, sizeof *p->cells * p->schema.count);
    mr_free(p->mem, p->prompts, p->cap, sizeof *p->prompts);
    mr_free(p->mem, p->features, p->cap, sizeof *p->features * MR_FEATURES);
    mr_text_free(&p->text);
    mr_arena_free(&p->arena);
    mr_free(p->mem, p, 1, sizeof *p);
    *r = NULL;
}

static void tell_refused(mr_rows *r, mr_where where, const mr_error *why) {
    r->refused++;
    if (r->options.refused) r->options.refused(r->options.self, &where, why);
}

static bool is_refusal(mr_status s) { return s == MR_E_INVALID || s == MR_E_LIMIT; }

/* Makes `*list` hold `cap` items; `r->cap` is set by the caller once all lists have grown. */
static bool grow_to(const mr_rows *r, void **list, uint32_t cap, size_t item) {
    void *fresh = mr_grow(r->mem, *list, r->cap, cap, item);
    if (fresh) *list = fresh;
    return fresh != NULL;
}

static mr_status make_room(mr_rows *r, mr_error *err) {
    if (r->count == r->options.max_rows)
        return mr_fail(err, MR_E_LIMIT, "more than %u rows; that is the limit in memory",
                       r->options.max_rows);
    if (r->count < r->cap) return MR_OK;
    uint32_t cap = r->cap ? r->cap * 2 : 64;
    size_t item =
        r->are_prompts ? sizeof(mr_prompt) + sizeof(float) * MR_FEATURES : sizeof(mr_cell) * r->schema.count;
    if (cap > r->options.max_bytes / item)
        return mr_fail(err, MR_E_MEMORY, "the rows need more memory than is allowed");
    void *cells = r->cells, *prompts = r->prompts, *features = r->features;
    bool grown =
        r->are_prompts ? grow_to(r, &prompts, cap, sizeof(mr_prompt)) : grow_to(r, &cells, cap, item);
    r->cells = cells;
    r->prompts = prompts;
    if (grown && r->are_prompts) grown = grow_to(r, &features, cap, sizeof(float) * MR_FEATURES);
    r->features = features;
    if (!grown) return no_memory(err);
    r->cap = cap;
    return MR_OK;
}

/* ---- tables ---- */

static mr_status copy_schema(mr_rows *r, mr_table_schema s, mr_error *err) {
    mr_table_column *columns = mr_arena_alloc(r->arena, s.count, sizeof *columns);
    if (!columns) return no_memory(err);
    memcpy(columns, s.columns, s.count * sizeof *columns);
    r->schema = (mr_table_schema){s.count, columns};
    return MR_OK;
}

static mr_status keep_cells(mr_rows *r, const mr_cell *cells, mr_error *err) {
    MR_TRY(make_room(r, err));
    mr_cell *to = r->cells + (size_t)r->count * r->schema.count;
    for (uint32_t i = 0; i < r->schema.count; i++) {
        to[i] = cells[i];
        if (cells[i].missing || r->schema.columns[i].type != MR_CELL_TEXT) continue;
        char *copy = mr_arena_copy(r->arena, cells[i].as.text.data, cells[i].as.text.len);
        if (!copy) return no_memory(err);
        to[i].as.text.data = (uint8_t *)copy;
    }
    r->count++;
    return MR_OK;
}

static mr_status read_table(mr_rows *r, mr_table *t, mr_error *err) {
    MR_TRY(copy_schema(r, mr_table_schema_of(t), err));
    for (;;) {
        const mr_cell *cells;
        mr_where where;
        mr_error why;
        mr_status status = mr_table_next(t, &cells, &where, &why);
        if (status == MR_E_NOT_FOUND) return MR_OK;
        if (is_refusal(status)) {
            tell_refused(r, where, &why);
            continue;
        }
        if (status != MR_OK) return mr_fail(err, status, "%s", why.text);
        MR_TRY(keep_cells(r, cells, err));
    }
}

/* ---- prompts ---- */

static mr_status read_prompt(mr_rows *r, mr_span line, mr_where *where, mr_error *err) {
    mr_prompt_limits limits = {r->options.max_chars};
    MR_TRY(make_room(r, err));
    MR_TRY(mr_prompt_from_json(line, r->options.map, &limits, r->arena, &r->prompts[r->count], &where->column,
                               err));
    MR_TRY(
        mr_features(r->text, r->prompts[r->count].prompt, r->features + (size_t)r->count * MR_FEATURES, err));
    r->count++;
    return MR_OK;
}

static mr_status read_prompts(mr_rows *r, mr_jsonl *j, mr_error *err) {
    MR_TRY(mr_text_new(r->mem, &r->text, err));
    for (;;) {
        mr_span line;
        mr_where where = {0, 0};
        mr_error why;
        mr_status status = mr_jsonl_next(j, &line, &where.line, &why);
        if (status == MR_E_NOT_FOUND) return MR_OK;
        if (r->count == r->options.max_rows) return make_room(r, err);
        if (status == MR_OK) status = read_prompt(r, line, &where, &why);
        if (is_refusal(status))
            tell_refused(r, where, &why);
        else if (status != MR_OK)
            return mr_fail(err, status, "%s", why.text);
    }
}

static bool maps_prompt(const mr_prompt_map *map) {
    for (size_t i = 0; map && i < map->count; i++)
        if (!strcmp(map->items[i].target, "prompt")) return true;
    return false;
}

/* Whether the first line that is a JSON object has the key "prompt". Lines that cannot be read are for whoever reads
 * them all; but without memory nobody knows what they are. */
static mr_status starts_with_prompt(mr_rows *r, mr_jsonl *j, bool *found, mr_error *err) {
    mr_span line;
    uint64_t number;
    *found = false;
    for (int tries = 0; tries < 100; tries++) {
        mr_json *v = NULL;
        mr_status status = mr_jsonl_next(j, &line, &number, err);
        if (status == MR_E_NOT_FOUND) return MR_OK;
        if (status == MR_OK) status = mr_jsonl_parse(line, MR_PROMPT_DEPTH, &v, NULL, err);
        if (is_refusal(status)) continue;
        if (status != MR_OK) return status;
        *found = mr_json_kind(mr_json_member(v, "prompt")) == MR_JSON_TEXT || maps_prompt(r->options.map);
        bool is_object = mr_json_kind(v) == MR_JSON_OBJECT;
        mr_json_free(&v);
        if (is_object) return MR_OK;
    }
    *found = false;
    return MR_OK;
}

/* ---- what the bytes hold ---- */

/* Rows come from a file (`path`) or from memory; each pass opens them anew. */
typedef struct input {
    const char *name;
    bool is_file;
    mr_span bytes;
    mr_source_fd fd;
    mr_source_memory memory;
} input;

static mr_status open_lines(mr_rows *r, input *in, mr_jsonl **out, mr_error *err) {
    mr_source source;
    if (in->is_file) {
        int fd = open(in->name, O_RDONLY | O_CLOEXEC);
        if (fd < 0) return mr_file_fail(err, errno, "open", in->name);
        source = mr_source_from_fd(&in->fd, fd);
    } else {
        source = mr_source_from_memory(&in->memory, in->bytes);
    }
    mr_status status = mr_jsonl_new(r->mem, source, r->options.table.max_record, out);
    if (status != MR_OK && in->is_file) close(in->fd.fd);
    return status == MR_OK ? status : no_memory(err);
}

static void close_lines(input *in, mr_jsonl **j) {
    mr_jsonl_free(j);
    if (in->is_file) close(in->fd.fd);
}

static bool can_be_prompts(const mr_rows *r, const input *in) {
    mr_table_format format = r->options.table.format;
    if (format != MR_TABLE_AUTO) return format == MR_TABLE_JSONL;
    size_t n = strlen(in->name);
    return n < 4 || (strcasecmp(in->name + n - 4, ".csv") != 0 && strcasecmp(in->name + n - 4, ".tsv") != 0);
}

static mr_status load_prompts(mr_rows *r, input *in, mr_error *err) {
    mr_jsonl *j = NULL;
    if (!can_be_prompts(r, in)) return MR_OK;
    MR_TRY(open_lines(r, in, &j, err));
    mr_status status = starts_with_prompt(r, j, &r->are_prompts, err);
    close_lines(in, &j);
    if (status != MR_OK || !r->are_prompts) return status;
    MR_TRY(open_lines(r, in, &j, err));
    status = read_prompts(r, j, err);
    close_lines(in, &j);
    return status;
}

static mr_status load_table(mr_rows *r, input *in, mr_error *err) {
    mr_table *t = NULL;
    if (in->is_file)
        MR_TRY(mr_table_open(r->mem, in->name, &r->options.table, &t, err));
    else
        MR_TRY(mr_table_open_memory(r->mem, in->name, in->bytes, &r->options.table, &t, err));
    mr_status status = read_table(r, t, err);
    mr_table_close(&t);
    return status;
}

static mr_status load(const mr_mem *mem, input *in, const mr_rows_options *o, mr_rows **out, mr_error *err) {
    mr_rows *r = NULL;
    MR_TRY(rows_new(mem, o, &r, err));
    mr_status status = load_prompts(r, in, err);
    if (status == MR_OK && !r->are_prompts) status = load_table(r, in, err);
    if (status == MR_OK && r->count == 0)
        status = mr_fail(err, MR_E_INVALID, "%s holds no good row (%llu refused)", in->name,
                         (unsigned long long)r->refused);
    if (status == MR_OK)
        *out = r;
    else
        mr_rows_free(&r);
    return status;
}

mr_status mr_rows_load(const mr_mem *mem, const char *path, const mr_rows_options *o, mr_rows **out,
                       mr_error *err) {
    input in = {.name = path, .is_file = true};
    return load(mem, &in, o, out, err);
}

mr_status mr_rows_load_memory(const mr_mem *mem, const char *name, mr_span bytes, const mr_rows_options *o,
                              mr_rows **out, mr_error *err) {
    input in = {.name = name, .bytes = bytes};
    return load(mem, &in, o, out, err);
}

bool mr_rows_are_prompts(const mr_rows *r) { return r->are_prompts; }
uint32_t mr_rows_count(const mr_rows *r) { return r->count; }
uint64_t mr_rows_refused(const mr_rows *r) { return r->refused; }
mr_table_schema mr_rows_schema(const mr_rows *r) { return r->schema; }

const mr_prompt *mr_rows_prompt(const mr_rows *r, uint32_t i) {
    MR_ASSERT(r->are_prompts && i < r->count);
    return &r->prompts[i];
}

mr_status mr_rows_batch(const mr_rows *r, uint32_t first, uint32_t rows, const mr_bindings *b,
                        uint32_t columns, mr_arena *arena, mr_batch *out, mr_error *err) {
    MR_ASSERT(first <= r->count && rows <= r->count - first);
    if (r->are_prompts)
        return mr_prompt_batch(r->prompts + first, r->features + (size_t)first * MR_FEATURES, rows, first, b,
                               columns, arena, out, err);
    return mr_table_batch(r->schema, r->cells + (size_t)first * r->schema.count, rows, first, b, columns,
                          arena, out, err);
}
