/* ingest.h: what the two halves of `millrace ingest` (prompts, tables) share. */
#ifndef MR_BROKER_CLI_INGEST_H
#define MR_BROKER_CLI_INGEST_H

#include "broker/cli/command.h"
#include "broker/cli/feed.h"
#include "broker/cli/paths.h"
#include "common/jsonl.h"
#include "common/rows.h"

typedef struct mr_ingest_settings {
    mr_globals globals;
    mr_option_list map, types;
    char table[MR_OPTION_TEXT];
    int64_t max_chars, source;
    bool verbose, duplicates, update;
} mr_ingest_settings;

/* The columns that the files have together. `declared` makes every file be read with these types. */
typedef struct mr_table_plan {
    mr_table_schema schema; /* in the paths' arena */
    mr_table_types *declared;
} mr_table_plan;

/* Reads the head and the types of every file. Where files differ in a column's type, the wider one is taken.
 * Errors: E_INVALID the files have other columns; those of rows.h. */
mr_status mr_ingest_plan(const mr_ingest_settings *s, const mr_paths *paths, mr_table_plan *out,
                         mr_error *err) MR_MUST_CHECK;
mr_status mr_ingest_tables(const mr_table_plan *plan, const mr_paths *paths, mr_feed_file *files,
                           mr_feed *feed, mr_error *err) MR_MUST_CHECK;

#endif
