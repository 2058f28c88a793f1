/* Rows and options for a component: a byte that picks it, a byte for the size of a batch, its options as "name=value" between
 * blanks up to a zero, and a table as CSV. A component gives a result as it declared, or refuses with a sentence. */
#include "common/rows.h"
#include "worker/core/local.h"
#include "worker/core/registry.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OPTIONS_MAX = 512, DEADLINE_MS = 3000 };

static void run(const mr_component *c, const void *config, uint32_t batch_rows, const mr_batch *rows) {
    mr_error err = {0};
    mr_local local = {.component = c, .config = config, .seed = 7, .batch_rows = batch_rows, .deadline_ms = DEADLINE_MS};
    mr_local_results results;
    mr_status s = mr_run_local(&local, rows, &results, &err);
    MR_ASSERT(s != MR_E_INTERNAL); /* it broke its own declaration */
    MR_ASSERT(s == MR_OK ? results.count >= 1 : err.text[0] != 0);
    mr_local_results_free(&results);
}

static void set_options(const mr_component *c, void *config, char *words) {
    char *rest = NULL;
    for (char *word = strtok_r(words, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        mr_error ignored;
        char *value = strchr(word, '=');
        if (!value) continue;
        *value++ = 0;
        (void)!mr_config_set(c, config, word, value, &ignored);
    }
}

static void over_rows(const mr_component *c, const void *config, uint32_t batch_rows, mr_span csv) {
    mr_error err;
    mr_rows *rows = NULL;
    mr_batch batch;
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    MR_ASSERT(arena);
    if (mr_rows_load_memory(NULL, "f.csv", csv, NULL, &rows, &err) == MR_OK) {
        if (mr_rows_batch(rows, 0, mr_rows_count(rows), NULL, UINT32_MAX, arena, &batch, &err) == MR_OK)
            run(c, config, batch_rows, &batch);
        mr_rows_free(&rows);
    }
    mr_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    size_t count = 0;
    if (size < 3) return 0;
    while (mr_components[count]) count++;
    const mr_component *c = mr_components[data[0] % count];
    const uint8_t *zero = memchr(data + 2, 0, size - 2);
    char words[OPTIONS_MAX];
    size_t n = zero ? (size_t)(zero - data) - 2 : 0;
    if (n >= sizeof words) return 0;
    memcpy(words, data + 2, n);
    words[n] = 0;
    void *config = mr_config_new(c, NULL);
    MR_ASSERT(config);
    set_options(c, config, words);
    size_t at = zero ? n + 3 : 2;
    over_rows(c, config, 1u + data[1], (mr_span){data + at, size - at});
    mr_config_free(c, NULL, &config);
    return 0;
}
