/* prompt_parts.h: the rules that hold for a prompt wherever it comes from; used by prompt*.c only. */
#ifndef MR_COMMON_PROMPT_PARTS_H
#define MR_COMMON_PROMPT_PARTS_H

#include "common/json.h"
#include "common/prompt.h"

uint32_t mr_prompt_max_chars(const mr_prompt_limits *limits);
/* UTF-8, no NUL, at most `max_chars` code points. `name` is the key, for the message. */
mr_status mr_prompt_check_text(const char *name, mr_span text, uint32_t max_chars,
                               mr_error *err) MR_MUST_CHECK;
/* All that holds between the fields and for each. `key` (may be NULL) gets the name of the one that was
 * refused. */
mr_status mr_prompt_check(const mr_prompt *p, const mr_prompt_limits *limits, const char **key,
                          mr_error *err) MR_MUST_CHECK;
/* The value in canonical form, in the arena; E_LIMIT over `max` bytes. */
mr_status mr_prompt_canonical(const char *name, const mr_json *v, size_t max, mr_arena *arena, mr_span *out,
                              mr_error *err) MR_MUST_CHECK;
/* The bytes of a buffer in the arena; frees the buffer. */
mr_status mr_prompt_keep(const char *name, mr_buf *b, mr_arena *arena, mr_span *out,
                         mr_error *err) MR_MUST_CHECK;
mr_status mr_prompt_copy(mr_arena *arena, mr_span text, mr_span *out, mr_error *err) MR_MUST_CHECK;

/* 0001-01-01 and the end of 9999, in microseconds since 1970. */
#define MR_TIME_MIN (-62135596800ll * 1000000)
#define MR_TIME_MAX (253402300800ll * 1000000 - 1)

#endif
