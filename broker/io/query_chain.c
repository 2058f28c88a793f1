/* What the steps of a run were given by other steps, for people who ask which result used which. */
#include "broker/io/query.h"
#include "common/pack.h"

static const mr_pg_statement read_chain = {
    "q_chain",
    "select c.step, case c.use when 0 then 'input' when 1 then 'features' else 'model' end, c.component,"
    " case when c.artifact = '' then 'result' else c.artifact end, c.from_run, c.from_step, c.hash"
    " from millrace.run_chain c where c.run_id = $1 order by c.step, c.place",
    1, {MR_PG_INT8}};

/* `what`: the artifact's name, or result; `hash`: nil while it is not there yet. */
static const mr_query_column columns[] = {{"step", MR_SHOW_INT}, {"use", MR_SHOW_TEXT}, {"component", MR_SHOW_TEXT},
                                          {"what", MR_SHOW_TEXT}, {"from_run", MR_SHOW_INT}, {"from_step", MR_SHOW_INT},
                                          {"hash", MR_SHOW_HEX}, {0}};

mr_status mr_query_pack_chain(mr_pg *pg, uint64_t run, mr_buf *out, mr_error *err) {
    mr_pg_params p;
    mr_pg_result *r = NULL;
    mr_pg_params_init(&p, NULL, 64);
    mr_pg_put_int8(&p, (int64_t)run);
    mr_status s = mr_pg_exec(pg, &read_chain, &p, &r, err);
    mr_pg_params_free(&p);
    if (s != MR_OK) return s;
    mr_pack_text(out, "chain");
    s = mr_query_pack_list(out, r, columns, UINT32_MAX, err);
    mr_pg_result_free(&r);
    return s;
}
