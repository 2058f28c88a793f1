/* paths.h: what `ingest` is told to read, as a list of files: files, folders (recursively, sorted), globs,
 * "-". */
#ifndef MR_BROKER_CLI_PATHS_H
#define MR_BROKER_CLI_PATHS_H

#include "common/buf.h"

enum { MR_PATHS_MAX = 1000000 };

typedef struct mr_paths {
    mr_arena *arena;
    size_t count, room;
    const char **items;
} mr_paths;

/* `tables`: also .csv, .tsv and .tab in folders, which hold only .jsonl and .ndjson files otherwise. Free
 * `out` always. Errors: E_NOT_FOUND a path is not there, a glob matches nothing, a folder holds no such file;
 * E_DENIED; E_LIMIT. */
mr_status mr_paths_find(char *const *operands, size_t count, bool tables, mr_paths *out,
                        mr_error *err) MR_MUST_CHECK;
void mr_paths_free(mr_paths *p);
/* The name has the ending of a table that is no JSONL. */
bool mr_path_is_table(const char *path);

#endif
