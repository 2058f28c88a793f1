#include "tests/bench/limit.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double processor_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double children_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_CHILDREN, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1e-6;
}

double seconds_of(int pid) {
    char name[64];
    unsigned long user = 0, system = 0;
    snprintf(name, sizeof name, "/proc/%d/stat", pid);
    FILE *f = fopen(name, "r");
    if (!f) return 0;
    if (fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        user = system = 0;
    fclose(f);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

void die(const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

long number_of(const char *text, long least) {
    char *end;
    long v = text ? strtol(text, &end, 10) : least - 1;
    if (!text || *end || v < least) die("'%s' is no number of at least %ld", text ? text : "", least);
    return v;
}

void put_u16(uint8_t *to, uint16_t v) {
    v = __builtin_bswap16(v);
    memcpy(to, &v, sizeof v);
}
void put_u32(uint8_t *to, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(to, &v, sizeof v);
}
void put_u64(uint8_t *to, uint64_t v) {
    v = __builtin_bswap64(v);
    memcpy(to, &v, sizeof v);
}
uint64_t get_u64(const uint8_t *from) {
    uint64_t v;
    memcpy(&v, from, sizeof v);
    return __builtin_bswap64(v);
}

enum { PATTERNS = 64 };

void fill_body(uint64_t task, uint8_t body[BODY]) {
    static uint8_t patterns[PATTERNS][BODY]; /* made once; bodies that a compressor cannot shorten */
    static int made;
    uint64_t state = 1;
    for (int i = 0; !made && i < PATTERNS * ROWS * COLS; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        float v = (float)(state >> 40) / 16777216.0f;
        memcpy(patterns[0] + (size_t)i * 4, &v, 4);
    }
    made = 1;
    memcpy(body, patterns[task % PATTERNS], BODY);
    float own = (float)(task % 16777216);
    memcpy(body, &own, 4);
}

void answer_of(const uint8_t body[BODY], uint8_t answer[ANSWER]) {
    double mean[COLS] = {0};
    float row[COLS];
    for (int i = 0; i < ROWS; i++) {
        memcpy(row, body + (size_t)i * sizeof row, sizeof row);
        for (int j = 0; j < COLS; j++) mean[j] += (double)row[j];
    }
    for (int j = 0; j < COLS; j++) mean[j] /= ROWS;
    memcpy(answer, mean, sizeof mean);
    memset(answer + sizeof mean, 0, ANSWER - sizeof mean);
}

void check_answer(uint64_t task, const uint8_t answer[ANSWER]) {
    uint8_t body[BODY], want[ANSWER];
    fill_body(task, body);
    answer_of(body, want);
    if (memcmp(want, answer, ANSWER) != 0) die("the answer of task %llu is wrong", (unsigned long long)task);
}
