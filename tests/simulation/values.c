#include "tests/simulation/values.h"

#include "tests/simulation/database.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

/* ---- results out ---- */

mr_pg_result *sim_result_of(unsigned columns, const unsigned *oids, int changed) {
    static char name[] = "value";
    PGresAttDesc at[COLUMNS] = {0};
    PGresult *r = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    MR_ASSERT(r && columns <= COLUMNS);
    for (unsigned i = 0; i < columns; i++)
        at[i] = (PGresAttDesc){.name = name, .format = 1, .typid = oids[i], .typlen = -1, .atttypmod = changed};
    MR_ASSERT(PQsetResultAttrs(r, (int)columns, at));
    return r;
}

void sim_set(mr_pg_result *r, int row, int column, const void *bytes, size_t n) {
    MR_ASSERT(PQsetvalue(r, row, column, (char *)(uintptr_t)bytes, (int)n));
}

void sim_set_int(mr_pg_result *r, int row, int column, int64_t v) {
    uint8_t be[8];
    for (int i = 0; i < 8; i++) be[i] = (uint8_t)((uint64_t)v >> (56 - 8 * i));
    sim_set(r, row, column, be, 8);
}

void sim_set_text(mr_pg_result *r, int row, int column, const char *text) { sim_set(r, row, column, text, strlen(text)); }

void sim_set_float(mr_pg_result *r, int row, int column, double v) {
    int64_t bits;
    memcpy(&bits, &v, sizeof bits);
    sim_set_int(r, row, column, bits);
}

void sim_set_bool(mr_pg_result *r, int row, int column, bool v) { sim_set(r, row, column, v ? "\1" : "\0", 1); }

mr_status sim_changed(mr_pg_result **out, uint64_t n) {
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, (int)n);
    return MR_OK;
}

mr_status sim_one_int(mr_pg_result **out, int64_t v) {
    *out = sim_result_of(1, (const unsigned[]){OID_INT8}, 1);
    sim_set_int(*out, 0, 0, v);
    return MR_OK;
}

mr_status sim_one_bool(mr_pg_result **out, bool v) {
    *out = sim_result_of(1, (const unsigned[]){OID_BOOL}, 1);
    sim_set_bool(*out, 0, 0, v);
    return MR_OK;
}

uint64_t __wrap_mr_pg_changed(const mr_pg_result *r);
uint64_t __wrap_mr_pg_changed(const mr_pg_result *r) { return PQnfields(r) ? (uint64_t)PQfmod(r, 0) : 0; }

mr_pg_result *sim_row_of(const mr_pg_result *all, uint32_t row) {
    int n = PQnfields(all);
    unsigned oids[COLUMNS] = {0};
    for (int i = 0; i < n; i++) oids[i] = PQftype(all, i);
    mr_pg_result *r = sim_result_of((unsigned)n, oids, 1);
    for (int i = 0; i < n; i++) sim_set(r, 0, i, PQgetvalue(all, (int)row, i), (size_t)PQgetlength(all, (int)row, i));
    return r;
}

/* ---- parameters in ---- */

mr_span sim_param(const mr_pg_params *p, unsigned i) {
    MR_ASSERT(i < p->count);
    return (mr_span){p->at[i].lent ? p->at[i].lent : p->bytes.data + p->at[i].at, p->at[i].null ? 0 : p->at[i].len};
}

int64_t sim_number_of(mr_span v) {
    int64_t n = v.len && v.data[0] & 0x80 ? -1 : 0;
    for (size_t i = 0; i < v.len; i++) n = (int64_t)((uint64_t)n << 8 | v.data[i]);
    return n;
}

int64_t sim_p_int(const mr_pg_params *p, unsigned i) { return sim_number_of(sim_param(p, i)); }
bool sim_p_bool(const mr_pg_params *p, unsigned i) { return sim_param(p, i).data[0] != 0; }

double sim_p_float(const mr_pg_params *p, unsigned i) {
    int64_t bits = sim_p_int(p, i);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

void sim_p_text(const mr_pg_params *p, unsigned i, char *out, size_t size) {
    snprintf(out, size, "%.*s", MR_SPAN_ARG(sim_param(p, i)));
}


sim_items sim_array(const mr_pg_params *p, unsigned i) {
    mr_span v = sim_param(p, i);
    if (sim_number_of((mr_span){v.data, 4}) == 0) return (sim_items){0};
    return (sim_items){v.data + 20, (uint32_t)sim_number_of((mr_span){v.data + 12, 4})};
}

mr_span sim_next_item(sim_items *a) {
    size_t n = (size_t)sim_number_of((mr_span){a->at, 4});
    mr_span v = {a->at + 4, n};
    a->at += 4 + n;
    return v;
}

int64_t sim_next_int(sim_items *a) { return sim_number_of(sim_next_item(a)); }
