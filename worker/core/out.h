/* out.h: the inside of mr_out: what one call gives, checked against what its component declares. */
#ifndef MR_WORKER_CORE_OUT_H
#define MR_WORKER_CORE_OUT_H

#include "worker/component.h"

enum {
    MR_RESULT_MAX = 24 * 1024 * 1024,
    MR_ARTIFACTS_MAX = 32 * 1024 * 1024, /* all of a call; with its result they fit one body frame */
    MR_ARTIFACT_COUNT = 8,
    MR_ARTIFACT_NAME = 64,
    MR_FINDINGS_MAX = 1024,
    MR_OUT_DEPTH = 12
};

typedef struct mr_given_artifact {
    char name[MR_ARTIFACT_NAME + 1], media_type[MR_ARTIFACT_NAME + 1];
    mr_buf bytes;
} mr_given_artifact;

typedef struct mr_out_level {
    size_t header; /* for mr_pack_patch */
    uint32_t count;
    bool is_map;
} mr_out_level;

typedef struct mr_out_finding_row {
    double weight;
    size_t at, len; /* in mr_out.words */
    bool tally;
} mr_out_finding_row;

struct mr_out {
    const mr_component *component;
    const mr_mem *mem;
    bool wants_partial, has_partial;
    mr_buf bytes; /* the result, or the partial */
    size_t next;  /* the first of component->outputs that is not written yet */
    unsigned depth;
    mr_out_level levels[MR_OUT_DEPTH]; /* levels[0] is the result itself */
    mr_buf words;                      /* the findings' texts */
    mr_out_finding_row *findings;
    size_t finding_count, finding_cap;
    mr_given_artifact artifacts[MR_ARTIFACT_COUNT];
    size_t artifact_count, artifact_bytes;
    mr_error err; /* the first write that failed */
};

void mr_out_init(mr_out *out, const mr_component *component, const mr_mem *mem, bool wants_partial);
/* Closes the result: fields that were not written become nil, findings are sorted and appended.
 * Errors: E_INTERNAL the component broke its own declaration, E_MEMORY, E_LIMIT too large. */
mr_status mr_out_finish(mr_out *out, mr_error *err) MR_MUST_CHECK;
void mr_out_free(mr_out *out);

#endif
