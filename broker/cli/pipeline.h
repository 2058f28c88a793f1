/* pipeline.h: pipelines for the commands that list, check and run them: found by name or file, checked against the catalogue
 * of components, and put into a submission. */
#ifndef MR_BROKER_CLI_PIPELINE_H
#define MR_BROKER_CLI_PIPELINE_H

#include "broker/cli/catalog.h"
#include "common/pipeline.h"

#include <limits.h>

/* The file of a pipeline: `name` itself when it names a file (it holds a '/' or ends with .yaml), else the one of that name
 * among those that come with the programs. E_NOT_FOUND with the nearest. */
mr_status mr_pipeline_find(const char *name, char out[PATH_MAX], mr_error *err) MR_MUST_CHECK;
/* The names of those that come with the programs, sorted, in the arena, with NULL behind the last. */
mr_status mr_pipeline_shipped(mr_arena *arena, const char *const **out, mr_error *err) MR_MUST_CHECK;

/* Are its components in the catalogue, and their options and values such as they take? Errors: E_NOT_FOUND, E_INVALID and
 * E_USAGE, each with file and line. */
mr_status mr_pipeline_check(const mr_pipeline *p, const mr_json *catalogue, mr_error *err) MR_MUST_CHECK;

/* Options of steps from the command line, "ID.OPTION=VALUE", which win over the file's. E_USAGE when one is no such text or
 * names no step. */
mr_status mr_pipeline_check_sets(const mr_pipeline *p, const mr_option_list *sets, mr_error *err) MR_MUST_CHECK;
/* Writes the value of the argument `components`, with those options. */
void mr_pipeline_put_steps(const mr_pipeline *p, const mr_option_list *sets, mr_buf *to);

#endif
