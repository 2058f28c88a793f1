/* prompt.h: one training row: its rules, its canonical form, its content hash, and its form on the wire. */
#ifndef MR_COMMON_PROMPT_H
#define MR_COMMON_PROMPT_H

#include "common/pack.h"

typedef enum mr_prompt_source {
    MR_SOURCE_USER,
    MR_SOURCE_SYNTHETIC,
    MR_SOURCE_API,
    MR_SOURCE_COUNT
} mr_prompt_source;
extern const char *const mr_prompt_sources[]; /* their names, by number; ends with NULL */

enum {
    MR_PROMPT_CHARS = 10000,               /* default limit of prompt and of enhancement, in code points */
    MR_PROMPT_CHARS_MAX = 4 * 1024 * 1024, /* the most that the limit can be set to */
    MR_PROMPT_SESSION_CHARS = 128,
    MR_PROMPT_OBJECT_MAX = 64 * 1024, /* bytes of labels, and of metadata, in canonical form */
    MR_PROMPT_DEPTH = 32,             /* nesting of a row's JSON */
    MR_PROMPT_PRIORITY = 100,
    MR_PROMPT_PRIORITY_MAX = 1000
};

/* Spans are borrowed: from the arena that it was read into, or from whoever filled it. Text is valid UTF-8
 * without NUL. Canonical JSON: keys sorted by code point, no white space, no duplicates. */
typedef struct mr_prompt {
    mr_span prompt;      /* as given, not normalised; never empty or only white space */
    mr_span enhancement; /* text, or canonical JSON when enhancement_is_json; empty when absent */
    bool has_enhancement, enhancement_is_json;
    mr_prompt_source source;
    uint32_t priority;        /* 1..1000 */
    mr_span session;          /* empty when absent */
    double score;             /* 0..1; NaN when absent */
    int8_t success;           /* 1, 0; -1 when absent */
    mr_span labels, metadata; /* canonical JSON objects; empty when absent or {} */
    int64_t created_at_us;    /* microseconds since 1970 UTC; INT64_MIN when absent */
    uint8_t hash[32]; /* by mr_prompt_hash; mr_prompt_unpack fills it too */
} mr_prompt;

void mr_prompt_init(mr_prompt *p); /* all defaults */

/* The content hash: BLAKE2b-256 of the 16 bytes "millrace prompt1", then prompt and enhancement, each as one
 * kind byte (0 absent, 1 text, 2 canonical JSON), its length in bytes as 8 bytes little-endian, and its
 * bytes. Bytes are hashed as given, without Unicode normalisation, so two rows that differ in any byte are
 * two rows, and nothing is changed silently. Other fields do not count: the same pair with a new score is a
 * new revision of the same row. */
void mr_prompt_hash(mr_prompt *p);

/* ---- reading a JSONL row ---- */

enum { MR_PROMPT_MAP_MAX = 32, MR_PROMPT_KEY_MAX = 128 };

/* `--map prompt=text,labels.intent=intent`: which source key gives a target. Targets: prompt, enhancement,
 * source, priority, session, score, success, created_at, labels, labels.X, metadata.X. A source key that is
 * mapped no longer counts under its own name; a dot in a source key names a member of an object unless the
 * key as a whole is there. */
typedef struct mr_prompt_map {
    size_t count;
    struct {
        char target[MR_PROMPT_KEY_MAX], key[MR_PROMPT_KEY_MAX];
    } items[MR_PROMPT_MAP_MAX];
} mr_prompt_map;

/* Adds the pairs of `text` to `map`. Errors: E_USAGE unknown target (with the nearest), twice the same
 * target, no '=', too many or too long. */
mr_status mr_prompt_map_parse(mr_prompt_map *map, const char *text, mr_error *err) MR_MUST_CHECK;

typedef struct mr_prompt_limits {
    uint32_t max_chars; /* 0: MR_PROMPT_CHARS */
} mr_prompt_limits;

/* Reads one line, without its newline. `map` may be NULL. Everything that `out` points at is in `arena`, also
 * when it stands in `line`. `column` (may be NULL): the byte column, from 1, of what was refused; 0 when it
 * is the whole row. Errors: E_INVALID with the reason in words (no line number: the caller knows file and
 * line); E_LIMIT too long; E_MEMORY. Refused: broken JSON, not an object, duplicate keys, bad UTF-8, NUL
 * characters, NaN and infinity, integers beyond 64 bits, a wrong type (key, type found, type wanted), an
 * empty prompt, a number out of range, an unknown source, a time that is none. null counts as absent. */
mr_status mr_prompt_from_json(mr_span line, const mr_prompt_map *map, const mr_prompt_limits *limits,
                              mr_arena *arena, mr_prompt *out, size_t *column, mr_error *err) MR_MUST_CHECK;

/* One JSON object, as mr_prompt_from_json takes it; for exports and tests. */
void mr_prompt_to_json(const mr_prompt *p, mr_buf *out);

/* RFC 3339 ("2026-01-31T12:00:00.25+01:00"; also a blank for T, no zone (UTC), a date alone). Years 1 to
 * 9999. False when `text` is no such time. */
bool mr_time_parse(mr_span text, int64_t *us);
/* "2026-01-31T11:00:00.250000Z", 27 characters and a NUL; years outside 1..9999 are clamped. */
enum { MR_TIME_TEXT = 28 };
void mr_time_format(int64_t us, char out[MR_TIME_TEXT]);

/* ---- the wire ---- */

/* msgpack array of MR_PROMPT_WIRE: [line, prompt, enhancement (str or nil), enhancement_is_json, source,
 * priority, session, score (nil when absent), success (-1, 0, 1), labels, created_at_us (nil when absent),
 * metadata]. `line` is the row's line in its file, for messages about it. */
enum { MR_PROMPT_WIRE = 12 };
void mr_prompt_pack(mr_buf *b, const mr_prompt *p, uint64_t line);
/* Reads bytes from a peer and checks them like a row of a file: types, UTF-8, NUL, lengths (`limits` as
 * above), ranges, canonical JSON (it is made canonical again). Copies into `arena`; the hash is computed
 * here. Errors: E_PROTOCOL broken msgpack (the cursor is lost); E_INVALID, E_LIMIT a bad row (the cursor is
 * behind it). */
mr_status mr_prompt_unpack(mr_unpack *u, const mr_prompt_limits *limits, mr_arena *arena, mr_prompt *out,
                           uint64_t *line, mr_error *err) MR_MUST_CHECK;

#endif
