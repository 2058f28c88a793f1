#include "common/file.h"
#include "common/rows_parts.h"
#include "common/unicode.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROW_MAX = 16 * 1024 * 1024 };

struct mr_table {
    const mr_mem *mem;
    const char *name;
    mr_table_options options;
    mr_table_format format;
    int fd; /* -1: memory */
    mr_span bytes;
    mr_source_fd from_fd;
    mr_source_memory from_memory;
    mr_csv *csv;
    mr_jsonl *jsonl;
    mr_arena *row; /* what one JSONL row needs */
    mr_table_column *columns;
    uint8_t *fits; /* for each column the types that are still possible */
    bool *seen;    /* a value was seen */
    mr_cell *cells;
    uint32_t count, cap;
};

static mr_status no_memory(mr_error *err) {
    return mr_fail(err, MR_E_MEMORY, "out of memory while reading a table");
}

/* ---- the source, read from its start ---- */

static size_t max_record(const mr_table *t) {
    return t->options.max_record ? t->options.max_record : (size_t)ROW_MAX;
}

static mr_status start_reading(mr_table *t, mr_error *err) {
    mr_csv_free(&t->csv);
    mr_jsonl_free(&t->jsonl);
    if (t->fd >= 0 && lseek(t->fd, 0, SEEK_SET) < 0) return mr_file_fail(err, errno, "read", t->name);
    mr_source source =
        t->fd >= 0 ? mr_source_from_fd(&t->from_fd, t->fd) : mr_source_from_memory(&t->from_memory, t->bytes);
    mr_csv_options o = {.separator = t->format == MR_TABLE_TSV ? '\t' : ',',
                        .max_record = max_record(t),
                        .max_cells = MR_TABLE_COLUMNS};
    mr_status status = t->format == MR_TABLE_JSONL ? mr_jsonl_new(t->mem, source, max_record(t), &t->jsonl)
                                                   : mr_csv_new(t->mem, source, &o, &t->csv);
    return status == MR_OK ? status : no_memory(err);
}

static bool name_ends(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcasecmp(name + n - m, end);
}

static mr_table_format format_of_name(const char *name) {
    if (name_ends(name, ".csv")) return MR_TABLE_CSV;
    if (name_ends(name, ".tsv") || name_ends(name, ".tab")) return MR_TABLE_TSV;
    if (name_ends(name, ".jsonl") || name_ends(name, ".ndjson")) return MR_TABLE_JSONL;
    return MR_TABLE_AUTO;
}

static mr_table_format format_of_text(mr_span head) {
    if (head.len >= 3 && !memcmp(head.data, "\xEF\xBB\xBF", 3)) head = (mr_span){head.data + 3, head.len - 3};
    head = mr_text_trim(head);
    if (head.len && head.data[0] == '{') return MR_TABLE_JSONL;
    const uint8_t *newline = head.len ? memchr(head.data, '\n', head.len) : NULL;
    size_t n = newline ? (size_t)(newline - head.data) : head.len;
    bool tabs = n && memchr(head.data, '\t', n) && !memchr(head.data, ',', n);
    return tabs ? MR_TABLE_TSV : MR_TABLE_CSV;
}

static mr_status choose_format(mr_table *t, mr_error *err) {
    uint8_t head[4096];
    t->format = t->options.format != MR_TABLE_AUTO ? t->options.format : format_of_name(t->name);
    if (t->format != MR_TABLE_AUTO) return MR_OK;
    mr_span start = {t->bytes.data, t->bytes.len < sizeof head ? t->bytes.len : sizeof head};
    if (t->fd >= 0) {
        ssize_t n = pread(t->fd, head, sizeof head, 0);
        if (n < 0) return mr_file_fail(err, errno, "read", t->name);
        start = (mr_span){head, (size_t)n};
    }
    t->format = format_of_text(start);
    return MR_OK;
}

/* ---- columns ---- */

static bool grow_columns(mr_table *t) {
    uint32_t cap = t->cap ? t->cap * 2 : 32;
    mr_table_column *columns = mr_grow(t->mem, t->columns, t->cap, cap, sizeof *columns);
    if (columns) t->columns = columns;
    uint8_t *fits = mr_grow(t->mem, t->fits, t->cap, cap, sizeof *fits);
    if (fits) t->fits = fits;
    bool *seen = mr_grow(t->mem, t->seen, t->cap, cap, sizeof *seen);
    if (seen) t->seen = seen;
    if (!columns || !fits || !seen) return false;
    t->cap = cap;
    return true;
}

/* Where the column is, looking first at `guess`; count when there is none. */
static uint32_t find_column(const mr_table *t, mr_span name, uint32_t guess) {
    if (guess < t->count && mr_span_eq(name, mr_span_of(t->columns[guess].name))) return guess;
    for (uint32_t i = 0; i < t->count; i++)
        if (mr_span_eq(name, mr_span_of(t->columns[i].name))) return i;
    return t->count;
}

static mr_status add_column(mr_table *t, mr_span name, mr_error *err) {
    if (name.len == 0) return mr_fail(err, MR_E_INVALID, "%s: column %u has no name", t->name, t->count + 1);
    if (name.len >= MR_TABLE_NAME)
        return mr_fail(err, MR_E_LIMIT, "%s: a column's name is longer than %d bytes", t->name,
                       MR_TABLE_NAME - 1);
    if (t->count == MR_TABLE_COLUMNS)
        return mr_fail(err, MR_E_LIMIT, "%s: more than %d columns", t->name, MR_TABLE_COLUMNS);
    if (t->count == t->cap && !grow_columns(t)) return no_memory(err);
    mr_table_column *c = &t->columns[t->count];
    memcpy(c->name, name.data, name.len);
    c->name[name.len] = 0;
    t->fits[t->count++] = (1 << MR_CELL_TYPES) - 1;
    return MR_OK;
}

/* Rows that are refused now are refused again, and told of, when they are read for good. */
static bool is_refusal(mr_status s) { return s == MR_E_INVALID || s == MR_E_LIMIT; }

static void narrow(mr_table *t, uint32_t column, unsigned fits, bool is_missing) {
    t->fits[column] &= (uint8_t)fits;
    t->seen[column] |= !is_missing;
}

static mr_status read_header(mr_table *t, mr_error *err) {
    mr_csv_record r;
    mr_status status = mr_csv_next(t->csv, &r, err);
    if (status == MR_E_NOT_FOUND) return mr_fail(err, MR_E_INVALID, "%s: there is no header line", t->name);
    if (status != MR_OK) return is_refusal(status) ? mr_fail_in(err, "%s: header", t->name) : status;
    for (size_t i = 0; i < r.count; i++) {
        mr_span name = mr_text_trim(r.cells[i].text);
        if (find_column(t, name, 0) < t->count)
            return mr_fail(err, MR_E_INVALID, "%s: two columns are named '%.*s'", t->name, MR_SPAN_ARG(name));
        MR_TRY(add_column(t, name, err));
    }
    return MR_OK;
}

static mr_status scan_csv(mr_table *t, mr_error *err) {
    mr_csv_record r;
    MR_TRY(read_header(t, err));
    for (;;) {
        mr_status status = mr_csv_next(t->csv, &r, err);
        if (status == MR_E_NOT_FOUND) return MR_OK;
        if (is_refusal(status) || (status == MR_OK && r.count != t->count)) continue;
        if (status != MR_OK) return status;
        for (uint32_t i = 0; i < t->count; i++)
            narrow(t, i, mr_cell_fits_text(r.cells[i].text, r.cells[i].quoted), r.cells[i].text.len == 0);
    }
}

static mr_status scan_members(mr_table *t, const mr_jsonl_member *m, size_t count, mr_error *err) {
    for (size_t i = 0; i < count; i++) {
        uint32_t at = find_column(t, m[i].key, (uint32_t)i);
        if (at == t->count) MR_TRY(add_column(t, m[i].key, err));
        narrow(t, at, mr_cell_fits_json(&m[i]), m[i].type == MR_JSONL_NULL);
    }
    return MR_OK;
}

static mr_status scan_jsonl(mr_table *t, mr_error *err) {
    for (;;) {
        mr_span line;
        uint64_t number;
        mr_jsonl_member *m;
        size_t count;
        mr_status status = mr_jsonl_next(t->jsonl, &line, &number, err);
        if (status == MR_E_NOT_FOUND) break;
        if (status == MR_OK) {
            mr_arena_reset(t->row);
            status = mr_jsonl_object(line, MR_TABLE_COLUMNS, t->row, &m, &count, NULL, err);
        }
        if (is_refusal(status)) continue;
        if (status != MR_OK) return status;
        MR_TRY(scan_members(t, m, count, err));
    }
    if (t->count) return MR_OK;
    return mr_fail(err, MR_E_INVALID, "%s: there is no row that is a JSON object with members", t->name);
}

static mr_cell_type narrowest(unsigned fits, bool seen) {
    static const mr_cell_type order[] = {MR_CELL_INTEGER, MR_CELL_NUMBER, MR_CELL_BOOLEAN, MR_CELL_TIME};
    for (int i = 0; seen && i < 4; i++)
        if (fits & (1u << order[i])) return order[i];
    return MR_CELL_TEXT;
}

static mr_status settle_types(mr_table *t, mr_error *err) {
    for (uint32_t i = 0; i < t->count; i++) t->columns[i].type = narrowest(t->fits[i], t->seen[i]);
    for (size_t k = 0; t->options.types && k < t->options.types->count; k++) {
        const mr_table_column *declared = &t->options.types->items[k];
        uint32_t at = find_column(t, mr_span_of(declared->name), 0);
        if (at == t->count)
            return mr_fail(err, MR_E_INVALID, "%s: there is no column '%s', whose type is given", t->name,
                           declared->name);
        t->columns[at].type = declared->type;
    }
    return MR_OK;
}

/* ---- open and close ---- */

static mr_status prepare(mr_table *t, mr_error *err) {
    t->row = mr_arena_new(t->mem, max_record(t) * 8 + ((size_t)1 << 20));
    if (!t->row) return no_memory(err);
    MR_TRY(choose_format(t, err));
    MR_TRY(start_reading(t, err));
    MR_TRY(t->format == MR_TABLE_JSONL ? scan_jsonl(t, err) : scan_csv(t, err));
    MR_TRY(settle_types(t, err));
    t->cells = mr_new(t->mem, t->count, sizeof *t->cells);
    if (!t->cells) return no_memory(err);
    MR_TRY(start_reading(t, err));
    mr_csv_record header;
    return t->csv ? mr_csv_next(t->csv, &header, err) : MR_OK;
}

static mr_status open_table(const mr_mem *mem, const char *name, int fd, mr_span bytes,
                            const mr_table_options *o, mr_table **out, mr_error *err) {
    mr_table *t = mr_new(mem, 1, sizeof *t);
    if (!t) {
        if (fd >= 0) close(fd);
        return no_memory(err);
    }
    *t = (mr_table){.mem = mem, .name = name, .fd = fd, .bytes = bytes};
    if (o) t->options = *o;
    mr_status status = prepare(t, err);
    if (status == MR_OK)
        *out = t;
    else
        mr_table_close(&t);
    return status;
}

mr_status mr_table_open(const mr_mem *mem, const char *path, const mr_table_options *o, mr_table **out,
                        mr_error *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0) return mr_file_fail(err, errno, "open", path);
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        return open_table(mem, path, fd, (mr_span){NULL, 0}, o, out, err);
    close(fd);
    return mr_fail(err, MR_E_INVALID, "%s is not a regular file; a table is read twice", path);
}

mr_status mr_table_open_memory(const mr_mem *mem, const char *name, mr_span bytes, const mr_table_options *o,
                               mr_table **out, mr_error *err) {
    return open_table(mem, name, -1, bytes, o, out, err);
}

void mr_table_close(mr_table **t) {
    if (!*t) return;
    mr_table *p = *t;
    mr_csv_free(&p->csv);
    mr_jsonl_free(&p->jsonl);
    mr_arena_free(&p->row);
    mr_free(p->mem, p->columns, p->cap, sizeof *p->columns);
    mr_free(p->mem, p->fits, p->cap, sizeof *p->fits);
    mr_free(p->mem, p->seen, p->cap, sizeof *p->seen);
    mr_free(p->mem, p->cells, p->count, sizeof *p->cells);
    if (p->fd >= 0) close(p->fd);
    mr_free(p->mem, p, 1, sizeof *p);
    *t = NULL;
}

mr_table_schema mr_table_schema_of(const mr_table *t) { return (mr_table_schema){t->count, t->columns}; }

/* ---- rows ---- */

static mr_status check_length(const mr_table_column *c, const mr_cell *cell, mr_error *err) {
    if (c->type != MR_CELL_TEXT || cell->missing || cell->as.text.len <= MR_TABLE_TEXT) return MR_OK;
    return mr_fail(err, MR_E_LIMIT, "column '%s': text of %zu bytes, at most %d are allowed", c->name,
                   cell->as.text.len, MR_TABLE_TEXT);
}

static mr_status next_csv(mr_table *t, mr_where *where, mr_error *err) {
    mr_csv_record r;
    mr_status status = mr_csv_next(t->csv, &r, err);
    *where = status == MR_E_NOT_FOUND ? (mr_where){0, 0} : r.where;
    if (status != MR_OK) return status;
    if (r.count != t->count)
        return mr_fail(err, MR_E_INVALID, "%zu cells, the header has %u", r.count, t->count);
    for (uint32_t i = 0; i < t->count; i++) {
        *where = r.cells[i].start;
        MR_TRY(mr_cell_from_text(r.cells[i].text, r.cells[i].quoted, &t->columns[i], &t->cells[i], err));
        MR_TRY(check_length(&t->columns[i], &t->cells[i], err));
    }
    *where = r.where;
    return MR_OK;
}

static mr_status next_jsonl(mr_table *t, mr_where *where, mr_error *err) {
    mr_span line;
    mr_jsonl_member *m;
    size_t count;
    mr_jsonl_member null = {.type = MR_JSONL_NULL};
    *where = (mr_where){0, 0};
    MR_TRY(mr_jsonl_next(t->jsonl, &line, &where->line, err));
    mr_arena_reset(t->row);
    MR_TRY(mr_jsonl_object(line, MR_TABLE_COLUMNS, t->row, &m, &count, &where->column, err));
    for (uint32_t i = 0; i < t->count; i++)
        MR_TRY(mr_cell_from_json(&null, &t->columns[i], t->row, &t->cells[i], err));
    for (size_t k = 0; k < count; k++) {
        uint32_t at = find_column(t, m[k].key, (uint32_t)k);
        if (at == t->count) return mr_fail(err, MR_E_INVALID, "the file changed while it was read");
        where->column = mr_jsonl_column_of(line, m[k].key);
        MR_TRY(mr_cell_from_json(&m[k], &t->columns[at], t->row, &t->cells[at], err));
        MR_TRY(check_length(&t->columns[at], &t->cells[at], err));
    }
    where->column = 1;
    return MR_OK;
}

mr_status mr_table_next(mr_table *t, const mr_cell **cells, mr_where *where, mr_error *err) {
    *cells = t->cells;
    return t->csv ? next_csv(t, where, err) : next_jsonl(t, where, err);
}
