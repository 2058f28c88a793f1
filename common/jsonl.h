/* jsonl.h: a streaming reader of JSONL from outside: line by line with their numbers, over-long lines passed
 * over without being held in memory, and one line taken apart into cells by key. */
#ifndef MR_COMMON_JSONL_H
#define MR_COMMON_JSONL_H

#include "common/csv.h"
#include "common/json.h"

enum { MR_JSONL_LINE_MAX = 16 * 1024 * 1024 };

typedef struct mr_jsonl mr_jsonl;
/* `max_line` bytes; 0: MR_JSONL_LINE_MAX. */
mr_status mr_jsonl_new(const mr_mem *mem, mr_source source, size_t max_line, mr_jsonl **out) MR_MUST_CHECK;
void mr_jsonl_free(mr_jsonl **j);

/* The next line that is not blank, without its line end (LF or CR LF) and without a byte order mark at the
 * start of the file; good until the next call. Errors: E_NOT_FOUND the end; E_LIMIT the line is too long and
 * was passed over
 * (`line` is set); E_IO, E_MEMORY: over. Its bytes are not looked at here. */
mr_status mr_jsonl_next(mr_jsonl *j, mr_span *line, uint64_t *number, mr_error *err) MR_MUST_CHECK;

/* Parses a line, at most `max_depth` deep. `column` (may be NULL) gets the byte column, from 1, of what is
 * broken; 0 when not known. The reason in `err` names no line. Errors: E_INVALID broken JSON, bad UTF-8, NUL;
 * E_LIMIT; E_MEMORY. */
mr_status mr_jsonl_parse(mr_span line, unsigned max_depth, mr_json **out, size_t *column,
                         mr_error *err) MR_MUST_CHECK;

/* A member of a row, for tables: text is copied into the arena; objects and arrays come as canonical JSON
 * text. */
typedef enum mr_jsonl_type {
    MR_JSONL_NULL,
    MR_JSONL_BOOL,
    MR_JSONL_INTEGER,
    MR_JSONL_NUMBER,
    MR_JSONL_TEXT,
    MR_JSONL_JSON
} mr_jsonl_type;
typedef struct mr_jsonl_member {
    mr_span key;
    mr_jsonl_type type;
    union {
        bool boolean;
        int64_t integer;
        double number;
        mr_span text;
    } as;
} mr_jsonl_member;

/* The members of one JSON object in the order of the line. Everything is in `arena`. `column` (may be NULL)
 * as in mr_prompt_from_json. Errors: E_INVALID broken JSON, not an object, duplicate keys, bad UTF-8, NUL,
 * numbers too large; E_LIMIT more than `max_members`; E_MEMORY. */
mr_status mr_jsonl_object(mr_span line, size_t max_members, mr_arena *arena, mr_jsonl_member **members,
                          size_t *count, size_t *column, mr_error *err) MR_MUST_CHECK;
/* The byte column, from 1, where the value of the top-level member `key` stands in a line of valid JSON; 0:
 * not there. */
size_t mr_jsonl_column_of(mr_span line, mr_span key);

#endif
