#include "broker/cli/view.h"

#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "broker/cli/term.h"
#include "common/hash.h"
#include "common/json.h"
#include "common/prompt.h"
#include "common/text.h"

enum {
    DEPTH = 16,
    VALUES_MAX = 20 * 1000 * 1000,
    COLUMNS_MAX = 256,
    CELL_LEAST = 8,
    WORDS_LEAST = 16
};

/* ---- taking lists apart ---- */

static bool is_list(const mr_unpack *at) {
    mr_unpack v;
    return mr_unpack_find(at, "columns", &v) == MR_OK && mr_unpack_find(at, "rows", &v) == MR_OK;
}

static mr_status read_names(mr_unpack *u, mr_arena *arena, mr_list *out, mr_error *err) {
    MR_TRY(mr_unpack_array(u, COLUMNS_MAX, &out->columns, err));
    mr_span *names = mr_arena_alloc(arena, (size_t)out->columns + 1, sizeof *names);
    if (!names) return mr_fail(err, MR_E_MEMORY, "out of memory");
    for (uint32_t i = 0; i < out->columns; i++) MR_TRY(mr_unpack_str(u, 256, &names[i], err));
    out->names = names;
    return MR_OK;
}

static mr_status read_rows(mr_unpack *u, mr_arena *arena, mr_list *out, mr_error *err) {
    MR_TRY(mr_unpack_array(u, VALUES_MAX, &out->rows, err));
    mr_unpack *values = mr_arena_alloc(arena, (size_t)out->rows * out->columns + 1, sizeof *values);
    if (!values) return mr_fail(err, MR_E_MEMORY, "the list is too long");
    size_t n = 0;
    for (uint32_t r = 0; r < out->rows; r++) {
        uint32_t width;
        MR_TRY(mr_unpack_array(u, COLUMNS_MAX, &width, err));
        if (width != out->columns)
            return mr_fail(err, MR_E_PROTOCOL, "row %u of the reply has %u values for %u columns", r, width,
                           out->columns);
        for (uint32_t i = 0; i < width; i++) {
            values[n++] = *u;
            MR_TRY(mr_unpack_skip(u, err));
        }
    }
    out->values = values;
    return MR_OK;
}

static mr_status read_list(const mr_unpack *at, mr_arena *arena, mr_list *out, mr_error *err) {
    *out = (mr_list){0};
    mr_unpack v;
    if (mr_unpack_find(at, "columns", &v) != MR_OK)
        return mr_fail(err, MR_E_PROTOCOL, "the reply has no columns");
    MR_TRY(read_names(&v, arena, out, err));
    if (mr_unpack_find(at, "rows", &v) != MR_OK) return mr_fail(err, MR_E_PROTOCOL, "the reply has no rows");
    MR_TRY(read_rows(&v, arena, out, err));
    if (mr_unpack_find(at, "more", &v) == MR_OK) MR_TRY(mr_unpack_bool(&v, &out->more, err));
    return MR_OK;
}

mr_status mr_list_read(mr_span pack, mr_arena *arena, mr_list *out, mr_error *err) {
    size_t length;
    mr_unpack at;
    MR_TRY(mr_pack_scan(pack, DEPTH, VALUES_MAX, &length, err));
    mr_unpack_init(&at, pack);
    return read_list(&at, arena, out, err);
}

int mr_list_column(const mr_list *list, const char *name) {
    for (uint32_t i = 0; i < list->columns; i++)
        if (mr_span_eq(list->names[i], mr_span_of(name))) return (int)i;
    return -1;
}

/* ---- one value ---- */

static bool ends_with(mr_span name, const char *end) {
    size_t n = strlen(end);
    return name.len >= n && !memcmp(name.data + name.len - n, end, n);
}

/* A result's bytes are for `millrace results`, not for a table. */
static bool is_body(mr_span name) { return mr_span_eq(name, mr_span_of("body")); }

static bool is_time(mr_span name) { return mr_span_eq(name, mr_span_of("at")) || ends_with(name, "_at"); }

/* Bytes from outside must not steer the terminal: control characters become blanks, broken UTF-8 U+FFFD. */
static void put_clean(mr_buf *out, mr_span text) {
    for (size_t at = 0; at < text.len;) {
        uint32_t c = mr_utf8_next(text, &at);
        if (c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
            (c >= 0x2066 && c <= 0x2069))
            c = ' ';
        uint8_t bytes[4];
        mr_buf_put(out, bytes, mr_utf8_put(c, bytes));
    }
}

static void put_hex(mr_buf *out, mr_span bytes) {
    for (size_t i = 0; i < bytes.len; i++) mr_buf_printf(out, "%02x", bytes.data[i]);
}

static void put_integer_text(mr_buf *out, mr_span name, int64_t v) {
    char text[MR_LOCAL_TIME];
    if (is_time(name))
        mr_local_time(v, text);
    else if (ends_with(name, "_ms") && v >= 0)
        mr_duration_text((uint64_t)v, text);
    else
        snprintf(text, sizeof text, "%lld", (long long)v);
    mr_buf_text(out, text);
}

static void put_float_text(mr_buf *out, double v) {
    char text[MR_NUMBER_TEXT], shortest[MR_NUMBER_TEXT];
    mr_number_text(v, shortest);
    snprintf(text, sizeof text, "%.6g", v);
    mr_buf_text(out, strlen(shortest) < strlen(text) ? shortest : text);
}

static void put_words(mr_buf *out, mr_span name, mr_span text) {
    int64_t us;
    char local[MR_LOCAL_TIME];
    if (!is_time(name) || !mr_time_parse(text, &us)) {
        put_clean(out, text);
        return;
    }
    mr_local_time(us, local);
    mr_buf_text(out, local);
}

static mr_status put_json(mr_unpack *u, mr_span name, unsigned depth, mr_buf *out, mr_error *err);

static mr_status put_cell(const mr_unpack *at, mr_span name, mr_buf *out, mr_error *err) {
    mr_unpack u = *at;
    mr_pack_value v;
    MR_TRY(mr_unpack_next(&u, &v, err));
    switch (v.type) {
    case MR_PACK_NIL:
        mr_buf_text(out, "-");
        break;
    case MR_PACK_BOOL:
        mr_buf_text(out, v.as.boolean ? "yes" : "no");
        break;
    case MR_PACK_UINT:
        put_integer_text(out, name, (int64_t)v.as.u);
        break;
    case MR_PACK_INT:
        put_integer_text(out, name, v.as.i);
        break;
    case MR_PACK_FLOAT:
        put_float_text(out, v.as.f);
        break;
    case MR_PACK_STR:
        put_words(out, name, v.as.bytes);
        break;
    case MR_PACK_BIN:
        if (v.as.bytes.len == MR_HASH_BYTES)
            put_hex(out, v.as.bytes);
        else
            mr_buf_printf(out, "(%zu bytes)", v.as.bytes.len);
        break;
    default:
        u = *at;
        return put_json(&u, name, 0, out, err);
    }
    return MR_OK;
}

void mr_list_text(const mr_list *list, uint32_t row, const char *column, mr_buf *out) {
    int at = mr_list_column(list, column);
    if (at < 0) return;
    size_t place = (size_t)row * list->columns + (size_t)at;
    if (put_cell(&list->values[place], list->names[at], out, NULL) != MR_OK) mr_buf_text(out, "?");
}

uint64_t mr_list_u64(const mr_list *list, uint32_t row, const char *column) {
    int at = mr_list_column(list, column);
    uint64_t v = 0;
    if (at < 0) return 0;
    mr_unpack u = list->values[(size_t)row * list->columns + (size_t)at];
    return mr_unpack_u64(&u, UINT64_MAX, &v, NULL) == MR_OK ? v : 0;
}

/* ---- JSON ---- */

static mr_status put_list_json(const mr_unpack *at, unsigned depth, mr_buf *out, mr_error *err) {
    mr_arena *arena = mr_arena_new(NULL, 1u << 30);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_list list;
    mr_status status = read_list(at, arena, &list, err);
    mr_buf_text(out, "[");
    for (uint32_t r = 0; status == MR_OK && r < list.rows; r++) {
        mr_buf_text(out, r ? ",{" : "{");
        for (uint32_t i = 0; status == MR_OK && i < list.columns; i++) {
            mr_unpack u = list.values[(size_t)r * list.columns + i];
            if (i) mr_buf_text(out, ",");
            mr_json_put_text(out, list.names[i]);
            mr_buf_text(out, ":");
            status = put_json(&u, list.names[i], depth + 1, out, err);
        }
        mr_buf_text(out, "}");
    }
    mr_buf_text(out, "]");
    mr_arena_free(&arena);
    return status;
}

static mr_status put_map_json(mr_unpack *u, uint32_t count, unsigned depth, mr_buf *out, mr_error *err) {
    mr_buf_text(out, "{");
    for (uint32_t i = 0; i < count; i++) {
        mr_span key;
        MR_TRY(mr_unpack_str(u, 4096, &key, err));
        if (i) mr_buf_text(out, ",");
        mr_json_put_text(out, key);
        mr_buf_text(out, ":");
        MR_TRY(put_json(u, key, depth + 1, out, err));
    }
    mr_buf_text(out, "}");
    return MR_OK;
}

static mr_status put_array_json(mr_unpack *u, mr_span name, uint32_t count, unsigned depth, mr_buf *out,
                                mr_error *err) {
    mr_buf_text(out, "[");
    for (uint32_t i = 0; i < count; i++) {
        if (i) mr_buf_text(out, ",");
        MR_TRY(put_json(u, name, depth + 1, out, err));
    }
    mr_buf_text(out, "]");
    return MR_OK;
}

static void put_time_json(mr_buf *out, int64_t us) {
    char text[MR_TIME_TEXT];
    mr_time_format(us, text);
    mr_buf_printf(out, "\"%s\"", text);
}

static void put_bytes_json(mr_buf *out, mr_span bytes) {
    mr_buf_text(out, "\"");
    if (bytes.len == MR_HASH_BYTES)
        put_hex(out, bytes);
    else
        mr_base64_put(out, bytes);
    mr_buf_text(out, "\"");
}

/* A result's body is msgpack inside a binary. */
static mr_status put_binary_json(mr_buf *out, mr_span name, mr_span bytes, mr_error *err) {
    if (is_body(name)) return mr_json_from_pack(bytes, out, err);
    put_bytes_json(out, bytes);
    return MR_OK;
}

static mr_status put_json(mr_unpack *u, mr_span name, unsigned depth, mr_buf *out, mr_error *err) {
    if (depth > DEPTH) return mr_fail(err, MR_E_PROTOCOL, "the reply is nested too deeply");
    mr_unpack start = *u;
    mr_pack_value v;
    MR_TRY(mr_unpack_next(u, &v, err));
    switch (v.type) {
    case MR_PACK_NIL:
        mr_buf_text(out, "null");
        break;
    case MR_PACK_BOOL:
        mr_buf_text(out, v.as.boolean ? "true" : "false");
        break;
    case MR_PACK_UINT:
        if (is_time(name))
            put_time_json(out, (int64_t)v.as.u);
        else
            mr_buf_printf(out, "%llu", (unsigned long long)v.as.u);
        break;
    case MR_PACK_INT:
        if (is_time(name))
            put_time_json(out, v.as.i);
        else
            mr_buf_printf(out, "%lld", (long long)v.as.i);
        break;
    case MR_PACK_FLOAT:
        mr_json_put_number(out, v.as.f);
        break;
    case MR_PACK_STR:
        mr_json_put_text(out, v.as.bytes);
        break;
    case MR_PACK_BIN:
        return put_binary_json(out, name, v.as.bytes, err);
    case MR_PACK_ARRAY:
        return put_array_json(u, name, v.as.count, depth, out, err);
    case MR_PACK_MAP:
        if (!is_list(&start)) return put_map_json(u, v.as.count, depth, out, err);
        MR_TRY(put_list_json(&start, depth, out, err));
        *u = start;
        return mr_unpack_skip(u, err);
    }
    return MR_OK;
}

mr_status mr_view_json(mr_span pack, mr_buf *out, mr_error *err) {
    size_t length;
    mr_unpack u;
    MR_TRY(mr_pack_scan(pack, DEPTH, VALUES_MAX, &length, err));
    mr_unpack_init(&u, pack);
    MR_TRY(put_json(&u, (mr_span){0}, 0, out, err));
    mr_buf_text(out, "\n");
    return mr_buf_status(out) == MR_OK ? MR_OK
                                       : mr_fail(err, mr_buf_status(out), "the reply is too long to print");
}

/* ---- tables ---- */

size_t mr_display_width(mr_span text) {
    size_t width = 0;
    for (size_t at = 0; at < text.len;) {
        int w = wcwidth((wchar_t)mr_utf8_next(text, &at));
        width += w > 0 ? (size_t)w : 0;
    }
    return width;
}

/* As much of the text as fits into `width` columns, an ellipsis at its end when something is left out. */
static void put_fitted(mr_buf *out, mr_span text, size_t width) {
    if (mr_display_width(text) <= width) {
        mr_buf_put(out, text.data, text.len);
        return;
    }
    size_t used = 0, at = 0;
    while (at < text.len) {
        size_t next = at;
        int w = wcwidth((wchar_t)mr_utf8_next(text, &next));
        if (used + (w > 0 ? (size_t)w : 0) > width - 1) break;
        used += w > 0 ? (size_t)w : 0;
        at = next;
    }
    mr_buf_put(out, text.data, at);
    mr_buf_text(out, "\xe2\x80\xa6");
    for (size_t i = used + 1; i < width; i++) mr_buf_text(out, " ");
}

typedef struct grid {
    uint32_t columns, rows; /* rows with the header */
    uint32_t last;          /* the last column that is shown */
    mr_span *cells;
    size_t *widths;
    bool *right, *hidden; /* by column */
} grid;

static bool is_number(const mr_unpack *at) {
    mr_unpack u = *at;
    mr_pack_value v;
    return mr_unpack_next(&u, &v, NULL) == MR_OK &&
           (v.type == MR_PACK_UINT || v.type == MR_PACK_INT || v.type == MR_PACK_FLOAT);
}

static mr_status fill_cell(grid *g, size_t place, mr_span text, mr_arena *arena, mr_error *err) {
    char *copy = mr_arena_copy(arena, text.data, text.len);
    if (!copy) return mr_fail(err, MR_E_MEMORY, "the table is too large");
    g->cells[place] = (mr_span){(uint8_t *)copy, text.len};
    size_t width = mr_display_width(g->cells[place]);
    if (width > g->widths[place % g->columns]) g->widths[place % g->columns] = width;
    return MR_OK;
}

static mr_status fill_grid(const mr_list *list, grid *g, mr_arena *arena, mr_buf *cell, mr_error *err) {
    g->columns = list->columns;
    g->rows = list->rows + 1;
    g->last = 0;
    g->cells = mr_arena_alloc(arena, (size_t)g->rows * g->columns + 1, sizeof *g->cells);
    g->widths = mr_arena_alloc(arena, g->columns + 1u, sizeof *g->widths);
    g->right = mr_arena_alloc(arena, g->columns + 1u, sizeof *g->right);
    g->hidden = mr_arena_alloc(arena, g->columns + 1u, sizeof *g->hidden);
    if (!g->cells || !g->widths || !g->right || !g->hidden)
        return mr_fail(err, MR_E_MEMORY, "the table is too large");
    for (uint32_t i = 0; i < list->columns; i++) {
        g->hidden[i] = is_body(list->names[i]);
        if (g->hidden[i]) continue;
        g->last = i;
        MR_TRY(fill_cell(g, i, list->names[i], arena, err));
    }
    for (size_t n = 0; n < (size_t)list->rows * list->columns; n++) {
        size_t column = n % list->columns;
        if (g->hidden[column]) continue;
        mr_buf_clear(cell);
        MR_TRY(put_cell(&list->values[n], list->names[column], cell, err));
        mr_span text = mr_buf_span(cell);
        if (is_number(&list->values[n]) && !is_time(list->names[column])) g->right[column] = true;
        MR_TRY(fill_cell(g, n + g->columns, text, arena, err));
    }
    return MR_OK;
}

/* The column to make narrower: the widest one, words before numbers and times. -1: none can be. */
static int widest(const grid *g) {
    int found = -1;
    for (int all = 0; found < 0 && all < 2; all++)
        for (uint32_t i = 0; i < g->columns; i++) {
            bool words = !g->right[i] && !is_time(g->cells[i]);
            if (g->widths[i] <= (all ? CELL_LEAST : WORDS_LEAST) || !(words || all)) continue;
            if (found < 0 || g->widths[i] > g->widths[found]) found = (int)i;
        }
    return found;
}

/* Takes from the widest columns until the table fits. */
static void fit(grid *g, unsigned width) {
    size_t total = g->columns ? 2u * (g->columns - 1u) : 0;
    for (uint32_t i = 0; i < g->columns; i++) {
        if (g->widths[i] > width) g->widths[i] = width;
        total += g->widths[i];
    }
    for (int i; total > width && (i = widest(g)) >= 0; total--) g->widths[i]--;
}

static void put_blanks(mr_buf *out, size_t n) {
    for (size_t i = 0; i < n; i++) mr_buf_text(out, " ");
}

static void put_grid(const grid *g, mr_buf *out) {
    for (size_t n = 0; n < (size_t)g->rows * g->columns; n++) {
        size_t column = n % g->columns, width = g->widths[column], have = mr_display_width(g->cells[n]);
        if (g->hidden[column]) continue;
        bool last = column == g->last;
        size_t pad = have < width ? width - have : 0;
        if (g->right[column]) put_blanks(out, pad);
        put_fitted(out, g->cells[n], width);
        if (!g->right[column] && !last) put_blanks(out, pad);
        mr_buf_text(out, last ? "\n" : "  ");
    }
}

static mr_status put_table(const mr_unpack *at, unsigned width, mr_buf *out, mr_error *err) {
    mr_arena *arena = mr_arena_new(NULL, 1u << 30);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_buf cell;
    mr_buf_init(&cell, NULL, 1 << 24);
    mr_list list;
    grid g;
    mr_status status = read_list(at, arena, &list, err);
    if (status == MR_OK) status = fill_grid(&list, &g, arena, &cell, err);
    if (status == MR_OK && width) fit(&g, width);
    if (status == MR_OK) put_grid(&g, out);
    mr_buf_free(&cell);
    mr_arena_free(&arena);
    return status;
}

static bool is_container(const mr_unpack *at, mr_pack_type type, uint32_t *count) {
    mr_unpack u = *at;
    mr_pack_value v;
    if (mr_unpack_next(&u, &v, NULL) != MR_OK || v.type != type) return false;
    *count = v.as.count;
    return true;
}

/* The members of a map, one a line; lists and maps inside stand indented below their name. */
static mr_status put_members(mr_unpack *u, unsigned depth, unsigned width, mr_buf *out, mr_error *err) {
    uint32_t count;
    MR_TRY(mr_unpack_map(u, VALUES_MAX, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        mr_span key;
        uint32_t inner;
        MR_TRY(mr_unpack_str(u, 4096, &key, err));
        mr_unpack value = *u;
        MR_TRY(mr_unpack_skip(u, err));
        put_blanks(out, 2 * depth);
        if (is_container(&value, MR_PACK_MAP, &inner) && inner && depth < DEPTH) {
            mr_buf_printf(out, "%.*s:\n", MR_SPAN_ARG(key));
            if (is_list(&value))
                MR_TRY(put_table(&value, width, out, err));
            else
                MR_TRY(put_members(&value, depth + 1, width, out, err));
            continue;
        }
        int pad = depth ? 24 : 18;
        mr_buf_printf(out, "%.*s%*s", MR_SPAN_ARG(key), key.len < (size_t)pad ? pad - (int)key.len : 1, "");
        MR_TRY(put_cell(&value, key, out, err));
        mr_buf_text(out, "\n");
    }
    return MR_OK;
}

mr_status mr_view_table(mr_span pack, unsigned width, mr_buf *out, mr_error *err) {
    size_t length;
    uint32_t count;
    mr_unpack at;
    MR_TRY(mr_pack_scan(pack, DEPTH, VALUES_MAX, &length, err));
    mr_unpack_init(&at, pack);
    if (is_list(&at))
        MR_TRY(put_table(&at, width, out, err));
    else if (is_container(&at, MR_PACK_MAP, &count))
        MR_TRY(put_members(&at, 0, width, out, err));
    else
        return mr_view_json(pack, out, err);
    return mr_buf_status(out) == MR_OK ? MR_OK
                                       : mr_fail(err, mr_buf_status(out), "the reply is too long to print");
}

/* ---- for commands ---- */

static void hint_at_more(const mr_cli *cli, mr_span pack) {
    mr_arena *arena = mr_arena_new(NULL, 1u << 30);
    mr_list list;
    if (arena && mr_list_read(pack, arena, &list, NULL) == MR_OK) {
        if (list.rows == 0 && !cli->globals->json) fputs("(none)\n", stderr);
        if (list.more && mr_list_column(&list, "id") >= 0)
            fprintf(stderr, "there are more: --after %llu shows the next\n",
                    (unsigned long long)mr_list_u64(&list, list.rows - 1, "id"));
        else if (list.more)
            fprintf(stderr, "there are more: --after %u shows those behind the first %u\n", list.rows,
                    list.rows);
    }
    if (arena) mr_arena_free(&arena);
}

mr_status mr_view(const mr_cli *cli, mr_span pack, mr_error *err) {
    mr_buf out;
    mr_buf_init(&out, NULL, 1u << 30);
    mr_status status =
        cli->globals->json ? mr_view_json(pack, &out, err) : mr_view_table(pack, cli->width, &out, err);
    if (status == MR_OK) status = mr_program_print(&out, err);
    if (status == MR_OK) hint_at_more(cli, pack);
    mr_buf_free(&out);
    return status;
}

mr_status mr_view_call(const mr_cli *cli, mr_command command, mr_params *args, mr_error *err) {
    mr_buf body;
    mr_buf_init(&body, NULL, 256 << 20);
    mr_status status = mr_client_ask(cli, command, args, &body, err);
    if (status == MR_OK) status = mr_view(cli, mr_buf_span(&body), err);
    mr_buf_free(&body);
    if (args) mr_params_free(args);
    return status;
}
