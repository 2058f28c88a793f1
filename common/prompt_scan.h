/* prompt_scan.h: the short way to read a row, for the plain form that nearly all rows have; used by prompt*.c only. What is
 * not plain is not an error here: it is read the long way, through a JSON value, which also finds the words for what is
 * wrong. Both ways give the same row (test_prompt.c, fuzz_jsonl.c). */
#ifndef MR_COMMON_PROMPT_SCAN_H
#define MR_COMMON_PROMPT_SCAN_H

#include "common/prompt.h"

/* Reads {"key": value, ...}: the known keys, strings with the escapes of one letter, plain decimal numbers, enhancements that
 * are text or an object in canonical form, labels in canonical form, and other keys with a value in canonical form, which
 * become metadata. Nothing is checked that mr_prompt_check checks. False: read it the long way. */
bool mr_prompt_scan(mr_span line, mr_arena *arena, mr_prompt *out) MR_MUST_CHECK;

/* True when `text` is an object that mr_json_dump would write in these very bytes: keys in order, no spaces, members plain
 * ASCII text, integers, booleans, or objects and lists of those, a few levels deep and not empty. False says nothing. */
bool mr_prompt_is_canonical(mr_span text) MR_MUST_CHECK;

#endif
