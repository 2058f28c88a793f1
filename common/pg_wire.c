#include "common/pg_wire.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <endian.h>
#include <string.h>

/* Object ids from pg_type.dat of PostgreSQL 15. */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_CHAR = 18,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_UNKNOWN = 705,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_JSONB = 3802
};

static const struct {
    unsigned oid, item; /* item: what an array holds, 0 for scalars */
} types[] = {
    [MR_PG_BOOL] = {OID_BOOL, 0},        [MR_PG_INT2] = {OID_INT2, 0},
    [MR_PG_INT4] = {OID_INT4, 0},        [MR_PG_INT8] = {OID_INT8, 0},
    [MR_PG_FLOAT8] = {OID_FLOAT8, 0},    [MR_PG_TEXT] = {OID_TEXT, 0},
    [MR_PG_BYTEA] = {OID_BYTEA, 0},      [MR_PG_JSONB] = {OID_JSONB, 0},
    [MR_PG_TIME] = {OID_TIMESTAMPTZ, 0}, [MR_PG_BOOLS] = {1000, OID_BOOL},
    [MR_PG_INT2S] = {1005, OID_INT2},    [MR_PG_INT4S] = {1007, OID_INT4},
    [MR_PG_INT8S] = {1016, OID_INT8},    [MR_PG_FLOAT8S] = {1022, OID_FLOAT8},
    [MR_PG_TEXTS] = {1009, OID_TEXT},    [MR_PG_BYTEAS] = {1001, OID_BYTEA},
    [MR_PG_JSONBS] = {3807, OID_JSONB},  [MR_PG_TIMES] = {1185, OID_TIMESTAMPTZ},
};

unsigned mr_pg_oid(mr_pg_type type) { return types[type].oid; }

/* PostgreSQL counts microseconds from 2000-01-01 UTC. */
static const int64_t EPOCH_2000_S = 946684800;

/* ---- values out ---- */

static void put_be(mr_buf *b, uint64_t v, unsigned bytes) {
    uint8_t big[8];
    for (unsigned i = 0; i < bytes; i++) big[i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
    mr_buf_put(b, big, bytes);
}

static uint64_t bits_of(double v) {
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static uint64_t micros_of(int64_t wall_ns) {
    int64_t us = wall_ns / 1000 - (wall_ns % 1000 < 0);
    return (uint64_t)(us - EPOCH_2000_S * 1000000);
}

void mr_pg_params_init(mr_pg_params *p, const mr_mem *mem, size_t max_bytes) {
    p->count = 0;
    mr_buf_init(&p->bytes, mem, max_bytes);
}

void mr_pg_params_clear(mr_pg_params *p) {
    p->count = 0;
    mr_buf_clear(&p->bytes);
}

void mr_pg_params_free(mr_pg_params *p) {
    p->count = 0;
    mr_buf_free(&p->bytes);
}

/* libpq takes an int for a length, and the server no more than 1 GiB. */
static const size_t VALUE_MAX = (size_t)1 << 30;

static void open_value(mr_pg_params *p, mr_pg_type type) {
    MR_ASSERT(p->count < MR_PG_PARAMS);
    p->at[p->count].type = type;
    p->at[p->count].null = false;
    p->at[p->count].at = p->bytes.len;
    p->at[p->count].lent = NULL;
}

static void close_value(mr_pg_params *p) {
    size_t len = p->bytes.len - p->at[p->count].at;
    if (len > VALUE_MAX && p->bytes.status == MR_OK) p->bytes.status = MR_E_LIMIT;
    /* libpq takes a NULL pointer for SQL's NULL, so there must be bytes behind an empty value too. */
    if (len == 0) mr_buf_put(&p->bytes, "", 1);
    p->at[p->count++].len = len;
}

void mr_pg_put_null(mr_pg_params *p, mr_pg_type type) {
    open_value(p, type);
    close_value(p);
    p->at[p->count - 1].null = true;
}

static void put_fixed(mr_pg_params *p, mr_pg_type type, uint64_t v, unsigned bytes) {
    open_value(p, type);
    put_be(&p->bytes, v, bytes);
    close_value(p);
}

void mr_pg_put_bool(mr_pg_params *p, bool v) { put_fixed(p, MR_PG_BOOL, v, 1); }
void mr_pg_put_int2(mr_pg_params *p, int16_t v) { put_fixed(p, MR_PG_INT2, (uint64_t)v, 2); }
void mr_pg_put_int4(mr_pg_params *p, int32_t v) { put_fixed(p, MR_PG_INT4, (uint64_t)v, 4); }
void mr_pg_put_int8(mr_pg_params *p, int64_t v) { put_fixed(p, MR_PG_INT8, (uint64_t)v, 8); }
void mr_pg_put_float8(mr_pg_params *p, double v) { put_fixed(p, MR_PG_FLOAT8, bits_of(v), 8); }
void mr_pg_put_time(mr_pg_params *p, int64_t wall_ns) { put_fixed(p, MR_PG_TIME, micros_of(wall_ns), 8); }

static void put_bytes(mr_pg_params *p, mr_pg_type type, mr_span v) {
    open_value(p, type);
    mr_buf_put(&p->bytes, v.data, v.len);
    close_value(p);
}

void mr_pg_put_text(mr_pg_params *p, const char *text) {
    if (text)
        put_bytes(p, MR_PG_TEXT, mr_span_of(text));
    else
        mr_pg_put_null(p, MR_PG_TEXT);
}

void mr_pg_put_str(mr_pg_params *p, mr_span v) { put_bytes(p, MR_PG_TEXT, v); }
void mr_pg_put_bytea(mr_pg_params *p, mr_span v) { put_bytes(p, MR_PG_BYTEA, v); }

void mr_pg_lend_bytea(mr_pg_params *p, mr_span v) {
    if (!v.len || v.len > VALUE_MAX) {
        mr_pg_put_bytea(p, v); /* which knows what to do about it */
        return;
    }
    open_value(p, MR_PG_BYTEA);
    p->at[p->count].lent = v.data;
    p->at[p->count++].len = v.len;
}

const uint8_t *mr_pg_value(const mr_pg_params *p, unsigned i) {
    return p->at[i].lent ? p->at[i].lent : p->bytes.data + p->at[i].at;
}

enum { JSONB_VERSION = 1 };

void mr_pg_put_jsonb(mr_pg_params *p, mr_span json) {
    open_value(p, MR_PG_JSONB);
    put_be(&p->bytes, JSONB_VERSION, 1);
    mr_buf_put(&p->bytes, json.data, json.len);
    close_value(p);
}

/* ---- arrays out: dimensions, has-nulls, item type, then length, lower bound, and each item with its length
 * ---- */

static bool has_null(const bool *null, size_t n) { return null && memchr(null, 1, n); }

static void open_array(mr_pg_params *p, mr_pg_type type, const bool *null, size_t n) {
    open_value(p, type);
    if (n > INT32_MAX && p->bytes.status == MR_OK) p->bytes.status = MR_E_LIMIT;
    put_be(&p->bytes, n > 0, 4);
    put_be(&p->bytes, has_null(null, n), 4);
    put_be(&p->bytes, types[type].item, 4);
    if (n == 0) return;
    put_be(&p->bytes, n, 4);
    put_be(&p->bytes, 1, 4);
}

static void put_length(mr_pg_params *p, size_t len) {
    if (len > VALUE_MAX && p->bytes.status == MR_OK) p->bytes.status = MR_E_LIMIT;
    put_be(&p->bytes, len, 4);
}

static bool put_null_item(mr_pg_params *p, const bool *null, size_t i) {
    if (!null || !null[i]) return false;
    put_be(&p->bytes, UINT32_MAX, 4); /* length -1 */
    return true;
}

static void put_item(mr_pg_params *p, const bool *null, size_t i, uint64_t v, unsigned bytes) {
    if (put_null_item(p, null, i)) return;
    put_length(p, bytes);
    put_be(&p->bytes, v, bytes);
}

#define PUT_ARRAY(type, item, bytes)                                                                         \
    open_array(p, type, null, n);                                                                            \
    for (size_t i = 0; i < n; i++) put_item(p, null, i, (uint64_t)(item), bytes);                            \
    close_value(p)

void mr_pg_put_bools(mr_pg_params *p, const bool *v, const bool *null, size_t n) {
    PUT_ARRAY(MR_PG_BOOLS, v[i], 1);
}

void mr_pg_put_int2s(mr_pg_params *p, const int16_t *v, const bool *null, size_t n) {
    PUT_ARRAY(MR_PG_INT2S, v[i], 2);
}

void mr_pg_put_int4s(mr_pg_params *p, const int32_t *v, const bool *null, size_t n) {
    PUT_ARRAY(MR_PG_INT4S, v[i], 4);
}

void mr_pg_put_int8s(mr_pg_params *p, const int64_t *v, const bool *null, size_t n) {
    PUT_ARRAY(MR_PG_INT8S, v[i], 8);
}

void mr_pg_put_float8s(mr_pg_params *p, const double *v, const bool *null, size_t n) {
    PUT_ARRAY(MR_PG_FLOAT8S, bits_of(v[i]), 8);
}

void mr_pg_put_times(mr_pg_params *p, const int64_t *wall_ns, const bool *null, size_t n) {
    PUT_ARRAY(MR_PG_TIMES, micros_of(wall_ns[i]), 8);
}

static void put_spans(mr_pg_params *p, mr_pg_type type, const mr_span *v, const bool *null, size_t n) {
    size_t version = type == MR_PG_JSONBS ? 1 : 0; /* bytes before each document */
    open_array(p, type, null, n);
    for (size_t i = 0; i < n; i++) {
        if (put_null_item(p, null, i)) continue;
        put_length(p, version + v[i].len);
        if (version) put_be(&p->bytes, JSONB_VERSION, 1);
        mr_buf_put(&p->bytes, v[i].data, v[i].len);
    }
    close_value(p);
}

void mr_pg_put_texts(mr_pg_params *p, const mr_span *v, const bool *null, size_t n) {
    put_spans(p, MR_PG_TEXTS, v, null, n);
}

void mr_pg_put_byteas(mr_pg_params *p, const mr_span *v, const bool *null, size_t n) {
    put_spans(p, MR_PG_BYTEAS, v, null, n);
}

void mr_pg_put_jsonbs(mr_pg_params *p, const mr_span *v, const bool *null, size_t n) {
    put_spans(p, MR_PG_JSONBS, v, null, n);
}

void mr_pg_copy_put_row(mr_buf *out, const mr_pg_params *row) {
    put_be(out, row->count, 2);
    for (unsigned i = 0; i < row->count; i++) {
        put_be(out, row->at[i].null ? UINT32_MAX : row->at[i].len, 4);
        if (!row->at[i].null) mr_buf_put(out, mr_pg_value(row, i), row->at[i].len);
    }
}

static void store_be(uint8_t *at, uint64_t v, unsigned bytes) {
    v = htobe64(v << (64 - 8 * bytes));
    memcpy(at, &v, bytes);
}

static void cell(mr_buf *rows, uint64_t v, unsigned bytes) {
    uint8_t *at = mr_buf_extend(rows, 4 + (size_t)bytes);
    if (!at) return;
    store_be(at, bytes, 4);
    store_be(at + 4, v, bytes);
}

void mr_pg_cells(mr_buf *rows, unsigned columns) {
    uint8_t *at = mr_buf_extend(rows, 2);
    if (at) store_be(at, columns, 2);
}

void mr_pg_cell_bool(mr_buf *rows, bool v) { cell(rows, v, 1); }
void mr_pg_cell_int2(mr_buf *rows, int16_t v) { cell(rows, (uint64_t)v, 2); }
void mr_pg_cell_int4(mr_buf *rows, int32_t v) { cell(rows, (uint64_t)v, 4); }
void mr_pg_cell_int8(mr_buf *rows, int64_t v) { cell(rows, (uint64_t)v, 8); }

void mr_pg_cell_float8(mr_buf *rows, double v) { cell(rows, bits_of(v), 8); }
void mr_pg_cell_time(mr_buf *rows, int64_t wall_ns) { cell(rows, micros_of(wall_ns), 8); }

void mr_pg_cell_jsonb(mr_buf *rows, mr_span json) {
    static const uint8_t version = JSONB_VERSION;
    uint8_t *at = mr_buf_extend(rows, 4);
    if (json.len >= VALUE_MAX && rows->status == MR_OK) rows->status = MR_E_LIMIT;
    if (at) store_be(at, json.len + 1, 4);
    mr_buf_put(rows, &version, 1);
    mr_buf_put(rows, json.data, json.len);
}

void mr_pg_cell_null(mr_buf *rows) {
    uint8_t *at = mr_buf_extend(rows, 4);
    if (at) store_be(at, UINT32_MAX, 4);
}

void mr_pg_cell_bytes(mr_buf *rows, mr_span v) {
    if (v.len > VALUE_MAX && rows->status == MR_OK) rows->status = MR_E_LIMIT;
    uint8_t *at = mr_buf_extend(rows, 4 + v.len);
    if (!at) return;
    store_be(at, v.len, 4);
    if (v.len) memcpy(at + 4, v.data, v.len);
}

/* ---- results in ---- */

void mr_pg_result_free(mr_pg_result **r) {
    PQclear(*r);
    *r = NULL;
}

uint32_t mr_pg_rows(const mr_pg_result *r) { return (uint32_t)PQntuples(r); }

uint64_t mr_pg_changed(const mr_pg_result *r) {
    return strtoull(PQcmdTuples((mr_pg_result *)(uintptr_t)r), NULL, 10); /* "" for what changes nothing */
}

mr_pg_row mr_pg_row_at(const mr_pg_result *r, uint32_t row) { return (mr_pg_row){.result = r, .row = row}; }

mr_status mr_pg_row_status(const mr_pg_row *row, mr_error *err) {
    if (row->error.status != MR_OK && err) *err = row->error;
    return row->error.status;
}

static void refuse(mr_pg_row *row, unsigned column, const char *what) {
    if (row->error.status != MR_OK) return;
    const char *name = PQfname(row->result, (int)column);
    mr_fail_text(&row->error, MR_E_INTERNAL, "database: row %u, column %u (%s): %s", row->row, column,
                 name ? name : "-", what);
}

static bool exists(mr_pg_row *row, unsigned column) {
    if (row->error.status != MR_OK) return false;
    if (row->row < mr_pg_rows(row->result) && column < (unsigned)PQnfields(row->result)) return true;
    refuse(row, column, "there is no such value");
    return false;
}

bool mr_pg_is_null(mr_pg_row *row, unsigned column) {
    return !exists(row, column) || PQgetisnull(row->result, (int)row->row, (int)column);
}

/* The value's bytes; empty when there is none. `*oid` is its type, 0 when there is none. */
static mr_span value(mr_pg_row *row, unsigned column, unsigned *oid) {
    *oid = 0;
    if (!exists(row, column) || PQgetisnull(row->result, (int)row->row, (int)column))
        return (mr_span){NULL, 0};
    *oid = PQftype(row->result, (int)column);
    return (mr_span){(const uint8_t *)PQgetvalue(row->result, (int)row->row, (int)column),
                     (size_t)PQgetlength(row->result, (int)row->row, (int)column)};
}

static uint64_t get_be(const uint8_t *bytes, size_t n) {
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v = v << 8 | bytes[i];
    return v;
}

/* A value of fixed length that must be there. */
static bool fixed(mr_pg_row *row, unsigned column, const unsigned *oids, uint64_t *out, unsigned *oid) {
    mr_span v = value(row, column, oid);
    if (row->error.status != MR_OK) return false;
    if (*oid == 0) {
        refuse(row, column, "a value is expected and null is there");
        return false;
    }
    while (*oids && *oids != *oid) oids++;
    if (!*oids || v.len == 0 || v.len > 8) {
        refuse(row, column, "a value of another type is expected");
        return false;
    }
    *out = get_be(v.data, v.len);
    return true;
}

int64_t mr_pg_int(mr_pg_row *row, unsigned column) {
    static const unsigned oids[] = {OID_INT8, OID_INT4, OID_INT2, OID_OID, 0};
    uint64_t v;
    unsigned oid;
    if (!fixed(row, column, oids, &v, &oid)) return 0;
    return oid == OID_INT4 ? (int32_t)v : oid == OID_INT2 ? (int16_t)v : (int64_t)v;
}

double mr_pg_float(mr_pg_row *row, unsigned column) {
    static const unsigned oids[] = {OID_FLOAT8, OID_FLOAT4, 0};
    uint64_t v;
    unsigned oid;
    if (!fixed(row, column, oids, &v, &oid)) return 0;
    double d;
    float f;
    uint32_t word = (uint32_t)v;
    memcpy(&d, &v, sizeof d);
    memcpy(&f, &word, sizeof f);
    return oid == OID_FLOAT4 ? (double)f : d;
}

bool mr_pg_bool(mr_pg_row *row, unsigned column) {
    static const unsigned oids[] = {OID_BOOL, 0};
    uint64_t v;
    unsigned oid;
    return fixed(row, column, oids, &v, &oid) && v;
}

int64_t mr_pg_time(mr_pg_row *row, unsigned column) {
    static const unsigned oids[] = {OID_TIMESTAMPTZ, OID_TIMESTAMP, 0};
    uint64_t v;
    unsigned oid;
    int64_t ns;
    if (!fixed(row, column, oids, &v, &oid)) return 0;
    if (!__builtin_add_overflow((int64_t)v, EPOCH_2000_S * 1000000, &ns) &&
        !__builtin_mul_overflow(ns, 1000, &ns))
        return ns;
    refuse(row, column, "a time outside the years 1677 to 2262");
    return 0;
}

mr_span mr_pg_text(mr_pg_row *row, unsigned column) {
    unsigned oid;
    mr_span v = value(row, column, &oid);
    switch (oid) {
    case 0:
    case OID_TEXT:
    case OID_VARCHAR:
    case OID_BPCHAR:
    case OID_NAME:
    case OID_CHAR:
    case OID_UNKNOWN:
    case OID_JSON:
        return v;
    case OID_JSONB:
        return v.len ? (mr_span){v.data + 1, v.len - 1} : v;
    default:
        refuse(row, column, "text is expected");
        return (mr_span){NULL, 0};
    }
}

mr_span mr_pg_bytea(mr_pg_row *row, unsigned column) {
    unsigned oid;
    mr_span v = value(row, column, &oid);
    if (oid == 0 || oid == OID_BYTEA) return v;
    refuse(row, column, "bytea is expected");
    return (mr_span){NULL, 0};
}

/* Reads a length of 4 bytes and steps over it. */
static bool take_length(mr_span *v, uint32_t *out) {
    if (v->len < 4) return false;
    *out = (uint32_t)get_be(v->data, 4);
    *v = (mr_span){v->data + 4, v->len - 4};
    return true;
}

static bool read_int8s(mr_span v, int64_t *out, size_t max, size_t *count) {
    uint32_t dims, nulls, item, n = 0, lower, len;
    if (!take_length(&v, &dims) || !take_length(&v, &nulls) || !take_length(&v, &item)) return false;
    if (dims > 1 || item != OID_INT8) return false;
    if (dims == 1 && (!take_length(&v, &n) || !take_length(&v, &lower))) return false;
    if (n > max) return false;
    for (size_t i = 0; i < n; i++) {
        if (!take_length(&v, &len) || len != 8 || v.len < 8) return false;
        out[i] = (int64_t)get_be(v.data, 8);
        v = (mr_span){v.data + 8, v.len - 8};
    }
    *count = n;
    return true;
}

size_t mr_pg_int8s(mr_pg_row *row, unsigned column, int64_t *out, size_t max) {
    unsigned oid;
    size_t count = 0;
    mr_span v = value(row, column, &oid);
    if (oid == 0) return 0;
    if (oid != types[MR_PG_INT8S].oid || !read_int8s(v, out, max, &count))
        refuse(row, column, "an array of int8 without nulls, of the size expected");
    return count;
}
