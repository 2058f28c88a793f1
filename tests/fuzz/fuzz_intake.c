/* The body of ingest_rows, as prompts (first byte even) or as rows of a table. Each row is stored or refused,
 * never both, and what is to be stored keeps the database's own rules. */
#include "broker/io/intake_rows.h"
#include "common/text.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const mr_table_column columns[] = {{"n", MR_CELL_INTEGER},
                                          {"x", MR_CELL_NUMBER},
                                          {"ok", MR_CELL_BOOLEAN},
                                          {"y", MR_CELL_TEXT},
                                          {"at", MR_CELL_TIME}};

static void check_text(mr_span text) {
    MR_ASSERT(mr_utf8_broken_at(text) == text.len);
    MR_ASSERT(!text.len || !memchr(text.data, 0, text.len));
}

static void check_prompts(const mr_intake_rows *r) {
    for (uint32_t i = 0; i < r->count; i++) {
        MR_ASSERT(r->prompt[i].len && r->hash[i].len == 32 &&
                  r->features[i].len == MR_FEATURES * sizeof(float));
        MR_ASSERT(r->priority[i] >= 1 && r->priority[i] <= 1000);
        MR_ASSERT(r->no_score[i] || (r->score[i] >= 0 && r->score[i] <= 1));
        check_text(r->prompt[i]);
        check_text(r->enhancement[i]);
        check_text(r->session[i]);
        check_text(r->labels[i]);
        check_text(r->metadata[i]);
    }
}

static mr_status take(bool table, mr_span bytes, mr_arena *arena, mr_intake_rows *rows, mr_error *err) {
    mr_table_schema schema = {.count = 5, .columns = columns};
    mr_text *text = NULL;
    if (table) return mr_intake_table(bytes, schema, mr_span_of("f.csv"), arena, rows, err);
    MR_TRY(mr_text_new(NULL, &text, err));
    mr_status s = mr_intake_prompts(bytes, 1000, text, arena, rows, err);
    mr_text_free(&text);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_error err = {0};
    mr_intake_rows rows;
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    MR_ASSERT(mr_crypto_init(&err) == MR_OK && arena);
    if (size) {
        bool table = data[0] & 1;
        mr_status s = take(table, (mr_span){data + 1, size - 1}, arena, &rows, &err);
        MR_ASSERT(s == MR_OK ? rows.count + rows.rejects <= MR_INTAKE_ROWS : err.text[0] != 0);
        if (s == MR_OK && !table) check_prompts(&rows);
        for (uint32_t i = 0; s == MR_OK && i < rows.rejects; i++) MR_ASSERT(rows.reject[i].reason[0]);
    }
    mr_arena_free(&arena);
    return 0;
}
