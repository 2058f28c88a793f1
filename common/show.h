/* show.h: a component's result as text for people. It works from a neutral description of the result's
 * fields, which comes from the descriptor in the worker and from the catalogue's JSON in the admin CLI. A
 * result is a msgpack map of the described fields and "findings", a list of {weight, text}, the heaviest
 * first. */
#ifndef MR_COMMON_SHOW_H
#define MR_COMMON_SHOW_H

#include "common/buf.h"
#include "common/json.h"
#include "common/text_table.h"

/* How a field is summed up over the results of batches. */
typedef enum mr_show_fold {
    MR_SHOW_NONE,
    MR_SHOW_SUM,
    MR_SHOW_MEAN /* weighted by rows */,
    MR_SHOW_MIN,
    MR_SHOW_MAX
} mr_show_fold;

enum { MR_SHOW_FIELDS = 128, MR_SHOW_FINDINGS = 10 };

typedef struct mr_show_field {
    const char *name, *unit, *meaning; /* unit and meaning may be NULL */
    mr_show_fold fold;
} mr_show_field;

typedef struct mr_show {
    const char *name, *summary;
    uint32_t count;
    const mr_show_field *fields;
} mr_show;

/* The description of a component out of the catalogue (a list of components, as `millrace-worker --components
 * --json` prints it). Everything is copied into `arena`. Errors: E_NOT_FOUND, E_INVALID no catalogue,
 * E_MEMORY. */
mr_status mr_show_from_json(const mr_json *catalogue, const char *component, mr_arena *arena, mr_show *out,
                            mr_error *err) MR_MUST_CHECK;

/* How much of a result is printed: brief leaves out lists, tables and what is not there. */
typedef enum mr_show_detail { MR_SHOW_BRIEF, MR_SHOW_FULL } mr_show_detail;

/* Appends findings, then each field: name, value, unit, meaning. Long lists are cut, and say so.
 * Errors: E_PROTOCOL the bytes are no result. Memory failures stay in `out`. */
mr_status mr_show_result(const mr_show *show, mr_show_detail detail, mr_span result, mr_buf *out,
                         mr_error *err) MR_MUST_CHECK;

/* ---- the results of a component's batches as one summary ---- */
typedef struct mr_fold_cell {
    double value, weight;
    uint64_t count;
} mr_fold_cell;

typedef struct mr_fold_finding {
    double weight;
    const char *text;
} mr_fold_finding;

/* Sentences of several batches that differ only in their counts, as one with the counts added up. */
enum { MR_SHOW_TALLIES = 8, MR_TALLY_NUMBERS = 16 };
typedef struct mr_fold_tally {
    const char *text; /* the first of them */
    uint64_t sums[MR_TALLY_NUMBERS];
} mr_fold_tally;

typedef struct mr_folding {
    const mr_show *show;
    mr_arena *arena;
    uint64_t results, rows, findings;
    mr_fold_cell *cells;                   /* show->count */
    mr_fold_finding top[MR_SHOW_FINDINGS]; /* the heaviest of all, equal ones in the order they came */
    size_t top_count, tally_count;
    mr_fold_tally tallies[MR_SHOW_TALLIES];
} mr_folding;

/* `show` and `arena` are borrowed until the summary is printed. */
mr_status mr_folding_init(mr_folding *f, const mr_show *show, mr_arena *arena) MR_MUST_CHECK;
mr_status mr_folding_add(mr_folding *f, mr_span result, uint64_t rows, mr_error *err) MR_MUST_CHECK;
void mr_folding_print(const mr_folding *f, mr_buf *out);
/* For other forms of print: what field i came to (false: nothing was folded), and the findings, tallies first. */
bool mr_folding_value(const mr_folding *f, uint32_t i, double *out);
size_t mr_folding_findings(const mr_folding *f);
void mr_folding_finding(const mr_folding *f, size_t i, mr_buf *out);

#endif
