/* status.h: the outcome of everything that can fail, and the one sentence that explains it. */
#ifndef MR_COMMON_STATUS_H
#define MR_COMMON_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum mr_status {
#define MR_STATUS(name, number, exit_code, http, retry, text) MR_##name = (number),
#include "common/status.def"
#undef MR_STATUS
} mr_status;

typedef struct mr_status_row {
    const char *name, *text;
    mr_status status;
    int exit_code, http;
    bool retryable;
} mr_status_row;

#define MR_MUST_CHECK __attribute__((warn_unused_result))
#define MR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Why something failed: the status and one sentence that says what, where and what to do. */
typedef struct mr_error {
    mr_status status;
    char text[504];
} mr_error;

/* The row of a status; the row of MR_E_INTERNAL for a number that is none. Never NULL. */
const mr_status_row *mr_status_of(int number);
size_t mr_status_count(void);
const mr_status_row *mr_status_at(size_t i);

/* Fills `err` (which may be NULL) and gives `status`, so a caller can write `return mr_fail(...)`. A macro, so that the
 * compiler sees which status it is. */
#define mr_fail(err, status, ...) (mr_fail_text((err), (status), __VA_ARGS__), mr_same(status))
static inline mr_status mr_same(mr_status status) { return status; }
void mr_fail_text(mr_error *err, mr_status status, const char *fmt, ...) MR_PRINTF(3, 4);

/* Puts "context: " before the sentence that is already in `err`; returns its status. */
mr_status mr_fail_in(mr_error *err, const char *fmt, ...) MR_PRINTF(2, 3);

/* An invariant of our own; stays on in every build. Nothing that comes from outside may reach it. */
#define MR_ASSERT(cond) ((cond) ? (void)0 : mr_assert_failed(#cond, __FILE__, __LINE__))
_Noreturn void mr_assert_failed(const char *cond, const char *file, int line);

/* Returns from the calling function when `expr` is not MR_OK. */
#define MR_TRY(expr)                                                                                              \
    do {                                                                                                          \
        mr_status try_status_ = (expr);                                                                           \
        if (try_status_ != MR_OK) return try_status_;                                                             \
    } while (0)

#endif
