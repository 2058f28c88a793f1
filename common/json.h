/* json.h: JSON in and out, and its exchange with msgpack. The only file that includes jansson.
 * A parsed value is immutable; only its root is owned, everything reached from it is borrowed. */
#ifndef MR_COMMON_JSON_H
#define MR_COMMON_JSON_H

#include "common/buf.h"

typedef struct json_t mr_json;

typedef enum mr_json_type {
    MR_JSON_NULL,
    MR_JSON_BOOL,
    MR_JSON_INTEGER,
    MR_JSON_NUMBER,
    MR_JSON_TEXT,
    MR_JSON_LIST,
    MR_JSON_OBJECT
} mr_json_type; /* NULL is also the type of a value that is not there */

enum { MR_JSON_DEPTH = 64 }; /* deepest nesting that is ever accepted */

/* Parses one value that fills the whole text. Refused: more than `max_bytes`, deeper than `max_depth` (at
 * most MR_JSON_DEPTH), duplicate keys, broken UTF-8, \u0000, integers beyond 64 bits, numbers beyond a
 * double, NaN, anything behind the value. Errors: E_LIMIT size or depth, E_INVALID else, with "line L, column
 * C" (from 1; columns count characters), E_MEMORY. */
mr_status mr_json_parse(mr_span text, size_t max_bytes, unsigned max_depth, mr_json **out,
                        mr_error *err) MR_MUST_CHECK;
void mr_json_free(mr_json **v); /* NULL inside is fine */

/* ---- looking; every function takes NULL as a value that is not there ---- */
mr_json_type mr_json_kind(const mr_json *v);
const char *mr_json_kind_name(const mr_json *v); /* "text", "a list" ... for error sentences */
size_t mr_json_count(const mr_json *v);          /* items of a list, members of an object, else 0 */
const mr_json *mr_json_item(const mr_json *list, size_t i);
const mr_json *mr_json_member(const mr_json *object, const char *name);
/* Follows "labels.intent" through nested objects; a member whose whole name has the dots wins. */
const mr_json *mr_json_path(const mr_json *object, const char *path);
/* Members one after the other, in the order of the text:
 * `for (void *at = NULL; mr_json_next(o, &at, &name, &v);)`. */
bool mr_json_next(const mr_json *object, void **at, const char **name, const mr_json **value);

/* False when the value is of another type. Numbers take integers too; integers take only integers. */
bool mr_json_text(const mr_json *v, mr_span *out);
bool mr_json_integer(const mr_json *v, int64_t *out);
bool mr_json_number(const mr_json *v, double *out);
bool mr_json_boolean(const mr_json *v, bool *out);

/* The same for a member, with a sentence. E_NOT_FOUND when absent or null, E_INVALID when of another type. */
mr_status mr_json_get_text(const mr_json *object, const char *name, mr_span *out,
                           mr_error *err) MR_MUST_CHECK;
mr_status mr_json_get_integer(const mr_json *object, const char *name, int64_t *out,
                              mr_error *err) MR_MUST_CHECK;
mr_status mr_json_get_number(const mr_json *object, const char *name, double *out,
                             mr_error *err) MR_MUST_CHECK;
mr_status mr_json_get_boolean(const mr_json *object, const char *name, bool *out,
                              mr_error *err) MR_MUST_CHECK;

/* ---- writing text; failures are remembered in the buffer (mr_buf_status) ---- */
/* Canonical: keys sorted by bytes, no spaces, numbers in their shortest text. Equal values give equal
 * bytes. */
void mr_json_dump(const mr_json *v, mr_buf *out);
/* A quoted and escaped string. Broken UTF-8 is replaced by U+FFFD, so the text is always valid JSON. */
void mr_json_put_text(mr_buf *out, mr_span text);
/* The shortest text that reads back as the same double, with ".0" when it looks like an integer; null when
 * not finite. */
void mr_json_put_number(mr_buf *out, double v);

/* ---- msgpack ---- */
/* One msgpack value as compact JSON, keys in their order. Binary is base64 text, except: the "data" of a map
 * with "rows" and "cols" before it is a flat row-major list of numbers (8 bytes float64 or 4 bytes float32 a
 * number), and a map with the one member "numbers" that is binary float64 is a plain list. NaN and infinity
 * are null; a map key that is no text is refused. Errors: E_PROTOCOL broken or deeper than MR_JSON_DEPTH,
 * E_LIMIT / E_MEMORY from `out`. */
mr_status mr_json_from_pack(mr_span pack, mr_buf *out, mr_error *err) MR_MUST_CHECK;
/* The value as msgpack, object keys sorted by bytes; integers as integers, other numbers as float64. */
void mr_json_to_pack(const mr_json *v, mr_buf *out);

#endif
