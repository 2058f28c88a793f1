/* run_pages.h: what `results` and `report` read of a run: its steps, the catalogue that explains their results, and the
 * results themselves, page by page. */
#ifndef MR_BROKER_CLI_RUN_PAGES_H
#define MR_BROKER_CLI_RUN_PAGES_H

#include "broker/cli/catalog.h"

#include "common/show.h"

enum { MR_RUN_PAGE = 200, MR_RUN_ARENA = 1 << 30 };

/* A place in the results of a run, with the page that was read last. */
typedef struct mr_run_pages {
    mr_cli *cli;
    mr_client *client;
    uint64_t run, after, limit;
    int64_t step;    /* of this step alone; -1: of all */
    mr_arena *arena; /* of the page */
    mr_span reply;   /* the page's bytes */
    mr_list list;
    bool more;
} mr_run_pages;

typedef struct mr_run_step {
    char component[128], shape[16], state[16];
    char id[128]; /* in its pipeline; the component's name when it has none */
    uint64_t dead;
    uint32_t inputs;
    char (*input)[256]; /* what it was given, each as a line */
} mr_run_step;

/* Connects; free it with close, always. */
mr_status mr_run_pages_open(mr_run_pages *p, mr_cli *cli, uint64_t run, mr_error *err) MR_MUST_CHECK;
void mr_run_pages_close(mr_run_pages *p);
/* Back to the first page, of that step alone. */
void mr_run_pages_rewind(mr_run_pages *p, uint32_t step);
/* Reads the next page of results, with their bytes; of all components when `component` is empty. */
mr_status mr_run_pages_next(mr_run_pages *p, const char *component, mr_error *err) MR_MUST_CHECK;
/* The result of a row of the page; empty when it has none. */
mr_span mr_run_pages_body(const mr_run_pages *p, uint32_t row);
/* All results of a component from the first page on, folded. `show` and `arena` are borrowed by `out`. */
mr_status mr_run_pages_fold(mr_run_pages *p, const mr_show *show, mr_arena *arena, mr_folding *out,
                            mr_error *err) MR_MUST_CHECK;

/* The answer to run_show: borrowed until the next call. */
mr_status mr_run_pages_show(mr_run_pages *p, mr_span *body, mr_error *err) MR_MUST_CHECK;
/* The run's steps, in `arena`. */
mr_status mr_run_pages_steps(mr_run_pages *p, mr_run_step **out, uint32_t *count, mr_arena *arena, mr_error *err) MR_MUST_CHECK;
/* The components' descriptions, from the broker or the worker beside this program; an empty list when nobody knows. */
mr_status mr_run_pages_catalogue(mr_run_pages *p, mr_json **out, mr_error *err) MR_MUST_CHECK;
/* The description of a step's component; one without fields when it is not in the catalogue any more. */
mr_show mr_run_pages_describe(const mr_json *catalogue, const char *component, mr_arena *arena);

#endif
