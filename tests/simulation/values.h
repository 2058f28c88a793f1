/* values.h: the statements' parameters, as common/pg_wire.c writes them, and their results, as it reads them. */
#ifndef MR_TESTS_SIMULATION_VALUES_H
#define MR_TESTS_SIMULATION_VALUES_H

#include "common/pg.h"

enum { COLUMNS = 16, RESULT_COLUMNS = 12, OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_TEXT = 25, OID_FLOAT8 = 701, OID_TIME = 1184 };

/* An array of one dimension; jumps from item to item. */
typedef struct sim_items {
    const uint8_t *at;
    uint32_t count;
} sim_items;

/* `changed`: what mr_pg_changed gives. */
mr_pg_result *sim_result_of(unsigned columns, const unsigned *oids, int changed);
void sim_set(mr_pg_result *r, int row, int column, const void *bytes, size_t n);
void sim_set_int(mr_pg_result *r, int row, int column, int64_t v);
void sim_set_text(mr_pg_result *r, int row, int column, const char *text);
void sim_set_float(mr_pg_result *r, int row, int column, double v);
void sim_set_bool(mr_pg_result *r, int row, int column, bool v);
mr_status sim_changed(mr_pg_result **out, uint64_t n);
mr_status sim_one_int(mr_pg_result **out, int64_t v);
mr_status sim_one_bool(mr_pg_result **out, bool v);
mr_span sim_param(const mr_pg_params *p, unsigned i);
int64_t sim_number_of(mr_span v);
int64_t sim_p_int(const mr_pg_params *p, unsigned i);
bool sim_p_bool(const mr_pg_params *p, unsigned i);
double sim_p_float(const mr_pg_params *p, unsigned i);
void sim_p_text(const mr_pg_params *p, unsigned i, char *out, size_t size);
sim_items sim_array(const mr_pg_params *p, unsigned i);
mr_span sim_next_item(sim_items *a);
int64_t sim_next_int(sim_items *a);

#endif
