/* bench_features.c: what one core does with prompt rows: parse, check, hash, features. Build it against the
 * release library, for example: cc -O2 -I. tests/bench/bench_features.c BUILD/libmr_common.a (and the
 * libraries of CMakeLists.txt). usage: bench_features [rows]   (default 100000 synthetic rows) */
#include "common/clock.h"
#include "common/features.h"
#include "common/grammar.h"

#include <stdio.h>
#include <stdlib.h>

static double seconds_since(uint64_t start) { return (double)(mr_clock_monotonic_ns() - start) * 1e-9; }

static void report(const char *what, size_t rows, double seconds) {
    printf("%-28s %8.0f rows/s %8.2f us/row\n", what, (double)rows / seconds, seconds / (double)rows * 1e6);
}

typedef struct input {
    mr_buf bytes;
    size_t *ends, rows;
} input;

static mr_status make_rows(input *in, size_t rows, mr_error *err) {
    mr_grammar *g;
    mr_prompt p;
    mr_buf_init(&in->bytes, NULL, (size_t)4 << 30);
    in->rows = rows;
    in->ends = mr_new(NULL, rows, sizeof *in->ends);
    if (!in->ends) return mr_fail(err, MR_E_MEMORY, "out of memory");
    MR_TRY(mr_grammar_new(NULL, 1, &g, err));
    uint64_t start = mr_clock_monotonic_ns();
    for (size_t i = 0; i < rows; i++) {
        MR_TRY(mr_grammar_next(g, &p, err));
        mr_prompt_to_json(&p, &in->bytes);
        in->ends[i] = in->bytes.len;
    }
    report("generate and write", rows, seconds_since(start));
    mr_grammar_free(&g);
    return mr_buf_status(&in->bytes);
}

static mr_span line_at(const input *in, size_t i) {
    size_t start = i ? in->ends[i - 1] : 0;
    return (mr_span){in->bytes.data + start, in->ends[i] - start};
}

static mr_status read_rows(const input *in, mr_text *t, mr_arena *arena, mr_error *err) {
    float f[MR_FEATURES];
    mr_prompt p;
    uint64_t start = mr_clock_monotonic_ns();
    for (size_t i = 0; i < in->rows; i++) {
        mr_arena_reset(arena);
        MR_TRY(mr_prompt_from_json(line_at(in, i), NULL, NULL, arena, &p, NULL, err));
        if (t) MR_TRY(mr_features(t, p.prompt, f, err));
    }
    report(t ? "parse, check, hash, features" : "parse, check, hash", in->rows, seconds_since(start));
    return MR_OK;
}

static mr_status run(size_t rows, mr_error *err) {
    input in = {.rows = 0};
    mr_text *t;
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    MR_TRY(mr_text_new(NULL, &t, err));
    MR_TRY(make_rows(&in, rows, err));
    printf("%zu rows, %zu bytes a line on average\n", rows, in.bytes.len / rows);
    MR_TRY(read_rows(&in, NULL, arena, err));
    MR_TRY(read_rows(&in, t, arena, err));
    mr_text_free(&t);
    mr_arena_free(&arena);
    mr_free(NULL, in.ends, in.rows, sizeof *in.ends);
    mr_buf_free(&in.bytes);
    return MR_OK;
}

int main(int argc, char **argv) {
    mr_error err = {0};
    size_t rows = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
    mr_status status = run(rows ? rows : 1, &err);
    if (status != MR_OK) fprintf(stderr, "bench_features: %s\n", err.text);
    return status == MR_OK ? 0 : 1;
}
