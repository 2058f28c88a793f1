#include "common/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const mr_status_row rows[] = {
#define MR_STATUS(name, number, exit_code, http, retry, text) {#name, text, MR_##name, exit_code, http, retry},
#include "common/status.def"
#undef MR_STATUS
};

size_t mr_status_count(void) { return sizeof rows / sizeof *rows; }

const mr_status_row *mr_status_at(size_t i) {
    MR_ASSERT(i < mr_status_count());
    return &rows[i];
}

const mr_status_row *mr_status_of(int number) {
    for (size_t i = 0; i < mr_status_count(); i++)
        if ((int)rows[i].status == number) return &rows[i];
    return mr_status_of(MR_E_INTERNAL);
}

void mr_fail_text(mr_error *err, mr_status status, const char *fmt, ...) {
    if (!err) return;
    va_list args;
    va_start(args, fmt);
    err->status = status;
    vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
}

mr_status mr_fail_in(mr_error *err, const char *fmt, ...) {
    if (!err) return MR_E_INTERNAL;
    char context[256], inner[sizeof err->text];
    va_list args;
    va_start(args, fmt);
    vsnprintf(context, sizeof context, fmt, args);
    va_end(args);
    memcpy(inner, err->text, sizeof inner);
    size_t n = (size_t)snprintf(err->text, sizeof err->text, "%s: ", context), room = sizeof err->text - n - 1;
    size_t len = strnlen(inner, sizeof inner - 1);
    memcpy(err->text + n, inner, len < room ? len : room);
    err->text[n + (len < room ? len : room)] = 0;
    return err->status;
}

_Noreturn void mr_assert_failed(const char *cond, const char *file, int line) {
    fprintf(stderr, "millrace: broken invariant at %s:%d: %s\n", file, line, cond);
    abort();
}
