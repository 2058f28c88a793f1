#include "common/csv.h"
#include "common/unicode.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* ---- sources ---- */

static mr_status read_memory(void *self, void *to, size_t room, size_t *got, mr_error *err) {
    mr_source_memory *m = self;
    (void)err;
    *got = m->left.len < room ? m->left.len : room;
    if (*got == 0) return MR_OK;
    memcpy(to, m->left.data, *got);
    m->left.data += *got;
    m->left.len -= *got;
    return MR_OK;
}

mr_source mr_source_from_memory(mr_source_memory *m, mr_span bytes) {
    m->left = bytes;
    return (mr_source){read_memory, m};
}

static mr_status read_fd(void *self, void *to, size_t room, size_t *got, mr_error *err) {
    ssize_t n;
    do n = read(((mr_source_fd *)self)->fd, to, room);
    while (n < 0 && errno == EINTR);
    if (n < 0) return mr_fail(err, MR_E_IO, "cannot read: %s", strerror(errno));
    *got = (size_t)n;
    return MR_OK;
}

mr_source mr_source_from_fd(mr_source_fd *f, int fd) {
    f->fd = fd;
    return (mr_source){read_fd, f};
}

/* ---- records ---- */

enum { BLOCK = 64 * 1024, RECORD_MAX = 16 * 1024 * 1024, CELLS_MAX = 4096, END = -1 };

struct mr_csv {
    const mr_mem *mem;
    mr_source source;
    int separator;
    size_t max_cells;
    uint8_t block[BLOCK];
    size_t at, end;
    bool eof, started;
    mr_where here;      /* of the next byte */
    mr_buf text;        /* the record's cells, one behind the other */
    mr_csv_cell *cells; /* while a record is read, only text.len is set; the text may still move */
    size_t count, cap;
};

mr_status mr_csv_new(const mr_mem *mem, mr_source source, const mr_csv_options *o, mr_csv **out) {
    mr_csv *c = mr_new(mem, 1, sizeof *c);
    if (!c) return MR_E_MEMORY;
    c->mem = mem;
    c->source = source;
    c->separator = o && o->separator ? (uint8_t)o->separator : ',';
    c->max_cells = o && o->max_cells ? o->max_cells : (size_t)CELLS_MAX;
    c->here = (mr_where){1, 1};
    mr_buf_init(&c->text, mem, o && o->max_record ? o->max_record : (size_t)RECORD_MAX);
    *out = c;
    return MR_OK;
}

void mr_csv_free(mr_csv **c) {
    if (!*c) return;
    mr_buf_free(&(*c)->text);
    mr_free((*c)->mem, (*c)->cells, (*c)->cap, sizeof *(*c)->cells);
    mr_free((*c)->mem, *c, 1, sizeof **c);
    *c = NULL;
}

/* The next byte without taking it; END at the end. */
static mr_status peek(mr_csv *c, int *b, mr_error *err) {
    if (c->at == c->end && !c->eof) {
        c->at = c->end = 0;
        MR_TRY(c->source.read(c->source.self, c->block, BLOCK, &c->end, err));
        c->eof = c->end == 0;
    }
    *b = c->at < c->end ? c->block[c->at] : END;
    return MR_OK;
}

static void take(mr_csv *c) {
    bool newline = c->block[c->at++] == '\n';
    c->here.line += newline;
    c->here.column = newline ? 1 : c->here.column + 1;
}

/* A byte order mark can be split over two reads, so it is taken byte by byte. */
static mr_status skip_mark(mr_csv *c, mr_error *err) {
    static const uint8_t mark[] = {0xEF, 0xBB, 0xBF};
    int b;
    c->started = true;
    for (int i = 0; i < 3; i++) {
        MR_TRY(peek(c, &b, err));
        if (b != mark[i] && i == 0) return MR_OK;
        if (b != mark[i]) return mr_fail(err, MR_E_INVALID, "not UTF-8 at the start of the file");
        c->at++;
    }
    return MR_OK;
}

static mr_status start_cell(mr_csv *c, mr_error *err) {
    if (c->count == c->max_cells) return mr_fail(err, MR_E_LIMIT, "more than %zu cells", c->max_cells);
    if (c->count == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 32;
        mr_csv_cell *fresh = mr_grow(c->mem, c->cells, c->cap, cap, sizeof *fresh);
        if (!fresh) return mr_fail(err, MR_E_MEMORY, "out of memory while reading a row");
        c->cells = fresh;
        c->cap = cap;
    }
    c->cells[c->count++] = (mr_csv_cell){.start = c->here};
    return MR_OK;
}

static mr_status put_byte(mr_csv *c, int b, mr_error *err) {
    uint8_t byte = (uint8_t)b;
    mr_buf_put(&c->text, &byte, 1);
    c->cells[c->count - 1].text.len++;
    mr_status status = mr_buf_status(&c->text);
    if (status == MR_E_LIMIT) return mr_fail(err, status, "the row is longer than %zu bytes", c->text.max);
    return status == MR_OK ? status : mr_fail(err, status, "out of memory while reading a row");
}

static mr_status quoted_cell(mr_csv *c, mr_error *err) {
    int b;
    take(c);
    c->cells[c->count - 1].quoted = true;
    for (;;) {
        MR_TRY(peek(c, &b, err));
        if (b == END) return mr_fail(err, MR_E_INVALID, "a quote is opened here and never closed");
        take(c);
        if (b == '"') {
            MR_TRY(peek(c, &b, err));
            if (b != '"') return MR_OK;
            take(c);
        }
        MR_TRY(put_byte(c, b, err));
    }
}

static mr_status bare_cell(mr_csv *c, mr_error *err) {
    for (int b;;) {
        MR_TRY(peek(c, &b, err));
        if (b == END || b == c->separator || b == '\n') return MR_OK;
        if (b == '"' && c->separator != '\t')
            return mr_fail(err, MR_E_INVALID, "a quote inside a cell that does not start with one");
        take(c);
        if (b == '\r') {
            int next;
            MR_TRY(peek(c, &next, err));
            if (next == '\n' || next == END) return MR_OK;
        }
        MR_TRY(put_byte(c, b, err));
    }
}

/* One cell and the separator behind it; *more is false at the end of the record. */
static mr_status read_cell(mr_csv *c, bool *more, mr_error *err) {
    int b;
    MR_TRY(start_cell(c, err));
    MR_TRY(peek(c, &b, err));
    bool quoted = b == '"';
    MR_TRY(quoted ? quoted_cell(c, err) : bare_cell(c, err));
    MR_TRY(peek(c, &b, err));
    if (quoted && b == '\r') {
        take(c);
        MR_TRY(peek(c, &b, err));
        if (b == c->separator) b = 0; /* a CR may stand only before the newline */
    }
    *more = b == c->separator;
    if (b != END && b != '\n' && !*more) return mr_fail(err, MR_E_INVALID, "text behind a closing quote");
    if (b != END) take(c);
    return MR_OK;
}

static mr_status skip_line(mr_csv *c, mr_error *err) {
    for (int b = 0; b != '\n';) {
        MR_TRY(peek(c, &b, err));
        if (b == END) break;
        take(c);
    }
    return MR_OK;
}

static bool is_blank(const mr_csv *c) {
    return c->count == 1 && c->cells[0].text.len == 0 && !c->cells[0].quoted;
}

/* Gives the cells their text, now that it does not move any more, and checks it. */
static mr_status finish(mr_csv *c, mr_csv_record *out, mr_error *err) {
    size_t at = 0, bad;
    for (size_t i = 0; i < c->count; i++) {
        mr_csv_cell *cell = &c->cells[i];
        cell->text.data = c->text.data ? c->text.data + at : NULL;
        at += cell->text.len;
        const uint8_t *nul = cell->text.len ? memchr(cell->text.data, 0, cell->text.len) : NULL;
        bool sound = mr_utf8_check(cell->text, NULL, &bad);
        if (sound && !nul) continue;
        out->where = cell->start;
        if (!cell->quoted) out->where.column += sound ? (size_t)(nul - cell->text.data) : bad;
        if (sound) return mr_fail(err, MR_E_INVALID, "a NUL character, which cannot be stored");
        return mr_fail(err, MR_E_INVALID, "not UTF-8: byte 0x%02x", cell->text.data[bad]);
    }
    out->count = c->count;
    out->cells = c->cells;
    return MR_OK;
}

static bool is_refusal(mr_status s) { return s == MR_E_INVALID || s == MR_E_LIMIT; }

static mr_status read_record(mr_csv *c, mr_csv_record *out, mr_error *err) {
    bool more = true;
    mr_status status = MR_OK;
    mr_buf_clear(&c->text);
    c->count = 0;
    while (more && status == MR_OK) status = read_cell(c, &more, err);
    if (status == MR_OK) return finish(c, out, err);
    if (!is_refusal(status)) return status;
    bool unclosed = c->eof && c->count > 0;
    out->where = unclosed ? c->cells[c->count - 1].start : c->here;
    MR_TRY(skip_line(c, err));
    return status;
}

mr_status mr_csv_next(mr_csv *c, mr_csv_record *out, mr_error *err) {
    for (;;) {
        int b;
        if (!c->started) MR_TRY(skip_mark(c, err));
        MR_TRY(peek(c, &b, err));
        if (b == END) return mr_fail(err, MR_E_NOT_FOUND, "the end of the file");
        *out = (mr_csv_record){.where = c->here};
        MR_TRY(read_record(c, out, err));
        if (!is_blank(c)) return MR_OK;
    }
}
