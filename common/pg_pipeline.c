/* pg_pipeline.c: the answers of a whole group; above pg.c, of which it uses no more than pg.h. */
#include "common/pg.h"

static mr_status read_all(mr_pg *pg, mr_pg_take *take, void *context, mr_error *err) {
    mr_status first = MR_OK;
    for (size_t n = 0;; n++) {
        mr_pg_result *r = NULL;
        bool synced = false;
        mr_error why;
        mr_status s = mr_pg_pipeline_next(pg, &r, &synced, &why);
        if (r && take) take(context, n, r);
        mr_pg_result_free(&r);
        if (s != MR_OK && first == MR_OK) {
            first = s;
            if (err) *err = why;
        }
        if (synced || !mr_pg_alive(pg)) return first;
    }
}

mr_status mr_pg_pipeline_finish(mr_pg *pg, mr_status sent, mr_pg_take *take, void *context, mr_error *err) {
    mr_status s = sent == MR_OK ? read_all(pg, take, context, err) : sent;
    mr_error ignored;
    mr_status ended = mr_pg_pipeline_end(pg, s == MR_OK ? err : &ignored);
    return s == MR_OK ? ended : s;
}
