/* bench_features: what one core does with prompt rows: parse, check, hash, features. The digest is over the bits of all
 * features, so that a change of the code shows whether it changed a value.
 * usage: bench-features [ROWS | FILE.jsonl]     (default: 100000 sampled rows) */
#include "common/features.h"
#include "common/grammar.h"
#include "common/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Of the processor, so that who else runs matters less. */
static double seconds_since(clock_t start) { return (double)(clock() - start) / CLOCKS_PER_SEC; }

static void report(const char *what, size_t rows, double seconds) {
    printf("%-28s %8.0f rows/s %8.2f us/row\n", what, (double)rows / seconds, seconds / (double)rows * 1e6);
}

/* Lines, one behind the other. */
typedef struct input {
    mr_buf bytes;
    size_t *ends, rows, room;
} input;

static mr_status make_rows(input *in, size_t rows, mr_error *err) {
    mr_grammar *g;
    mr_prompt p;
    in->rows = in->room = rows;
    in->ends = mr_new(NULL, in->room, sizeof *in->ends);
    if (!in->ends) return mr_fail(err, MR_E_MEMORY, "out of memory");
    MR_TRY(mr_grammar_new(NULL, 1, &g, err));
    clock_t start = clock();
    for (size_t i = 0; i < rows; i++) {
        MR_TRY(mr_grammar_next(g, &p, err));
        mr_prompt_to_json(&p, &in->bytes);
        in->ends[i] = in->bytes.len;
    }
    report("generate and write", rows, seconds_since(start));
    mr_grammar_free(&g);
    return mr_buf_status(&in->bytes);
}

static mr_status read_file(input *in, const char *name, mr_error *err) {
    char line[1 << 16];
    FILE *f = fopen(name, "r");
    if (!f) return mr_fail(err, MR_E_IO, "%s cannot be read", name);
    in->room = 1 << 20;
    in->ends = mr_new(NULL, in->room, sizeof *in->ends);
    while (in->ends && in->rows < in->room && fgets(line, sizeof line, f)) {
        size_t n = strlen(line);
        if (line[n - 1] != '\n') continue; /* a longer line comes in pieces, and is left out */
        mr_buf_put(&in->bytes, line, n - 1);
        in->ends[in->rows++] = in->bytes.len;
    }
    fclose(f);
    return in->ends ? mr_buf_status(&in->bytes) : mr_fail(err, MR_E_MEMORY, "out of memory");
}

static mr_span line_at(const input *in, size_t i) {
    size_t start = i ? in->ends[i - 1] : 0;
    return (mr_span){in->bytes.data + start, in->ends[i] - start};
}

static mr_status read_rows(const input *in, mr_text *t, mr_arena *arena, mr_error *err) {
    float f[MR_FEATURES];
    mr_prompt p;
    clock_t start = clock();
    uint64_t digest = 0;
    size_t good = 0;
    for (size_t i = 0; i < in->rows; i++) {
        mr_arena_reset(arena);
        mr_status s = mr_prompt_from_json(line_at(in, i), NULL, NULL, arena, &p, NULL, err);
        if (s == MR_E_INVALID || s == MR_E_LIMIT) continue;
        if (s != MR_OK) return s;
        mr_prompt_hash(&p);
        good++;
        if (!t) continue;
        MR_TRY(mr_features(t, p.prompt, f, err));
        digest = mr_xxh64((mr_span){(uint8_t *)f, sizeof f}, digest);
    }
    report(t ? "parse, check, hash, features" : "parse, check, hash", good, seconds_since(start));
    if (t) printf("digest of all features       %016llx\n", (unsigned long long)digest);
    return MR_OK;
}

static mr_status run(const char *what, mr_error *err) {
    input in = {.rows = 0};
    mr_text *t;
    char *end;
    size_t rows = strtoull(what, &end, 10);
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_buf_init(&in.bytes, NULL, (size_t)4 << 30);
    MR_TRY(mr_text_new(NULL, &t, err));
    MR_TRY(*end ? read_file(&in, what, err) : make_rows(&in, rows ? rows : 1, err));
    printf("%zu rows, %zu bytes a line on average\n", in.rows, in.bytes.len / (in.rows ? in.rows : 1));
    MR_TRY(read_rows(&in, NULL, arena, err));
    MR_TRY(read_rows(&in, t, arena, err));
    mr_text_free(&t);
    mr_arena_free(&arena);
    mr_free(NULL, in.ends, in.room, sizeof *in.ends);
    mr_buf_free(&in.bytes);
    return MR_OK;
}

int main(int argc, char **argv) {
    mr_error err = {0};
    mr_status status = mr_crypto_init(&err);
    if (status == MR_OK) status = run(argc > 1 ? argv[1] : "100000", &err);
    if (status != MR_OK) fprintf(stderr, "bench_features: %s\n", err.text);
    return status == MR_OK ? 0 : 1;
}
