/* Any bytes as a JSONL file of prompts: each line ends in a row or a refusal, and a row goes over the wire
 * unchanged. */
#include "common/jsonl.h"
#include "common/prompt.h"

#include <string.h>

static void check_wire(const mr_prompt *p, mr_arena *arena) {
    mr_buf b;
    mr_unpack u;
    mr_prompt back;
    uint64_t line;
    mr_buf_init(&b, NULL, 1 << 24);
    mr_prompt_pack(&b, p, 1);
    mr_unpack_init(&u, mr_buf_span(&b));
    MR_ASSERT(mr_buf_status(&b) == MR_OK && mr_prompt_unpack(&u, NULL, arena, &back, &line, NULL) == MR_OK);
    mr_prompt hashed = *p;
    mr_prompt_hash(&hashed);
    MR_ASSERT(!memcmp(hashed.hash, back.hash, sizeof back.hash) && mr_span_eq(p->metadata, back.metadata));
    mr_buf_free(&b);
}

/* An empty map takes the long way. */
static void check_long_way(mr_span line, mr_status status, const mr_prompt *p, mr_arena *arena) {
    static const mr_prompt_map none = {.count = 0};
    mr_prompt other;
    MR_ASSERT(mr_prompt_from_json(line, &none, NULL, arena, &other, NULL, NULL) == status);
    if (status != MR_OK) return;
    MR_ASSERT(mr_span_eq(p->prompt, other.prompt) && mr_span_eq(p->enhancement, other.enhancement));
    MR_ASSERT(p->has_enhancement == other.has_enhancement && p->enhancement_is_json == other.enhancement_is_json);
    MR_ASSERT(mr_span_eq(p->metadata, other.metadata));
    MR_ASSERT(mr_span_eq(p->labels, other.labels) && mr_span_eq(p->session, other.session));
    MR_ASSERT(p->source == other.source && p->priority == other.priority && p->success == other.success);
    MR_ASSERT(!memcmp(&p->score, &other.score, sizeof p->score) && p->created_at_us == other.created_at_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_source_memory m;
    mr_jsonl *j;
    mr_arena *arena = mr_arena_new(NULL, 64 << 20);
    if (!arena || mr_jsonl_new(NULL, mr_source_from_memory(&m, (mr_span){data, size}), 8192, &j) != MR_OK)
        return 0;
    for (;;) {
        mr_span line;
        uint64_t number;
        mr_prompt p;
        size_t column;
        mr_status status = mr_jsonl_next(j, &line, &number, NULL);
        if (status == MR_E_LIMIT) continue;
        if (status != MR_OK) break;
        mr_arena_reset(arena);
        status = mr_prompt_from_json(line, NULL, NULL, arena, &p, &column, NULL);
        check_long_way(line, status, &p, arena);
        if (status == MR_OK) check_wire(&p, arena);
        MR_ASSERT(column <= line.len + 1);
    }
    mr_jsonl_free(&j);
    mr_arena_free(&arena);
    /* the same bytes as what a peer sends */
    arena = mr_arena_new(NULL, 64 << 20);
    mr_unpack u;
    mr_prompt p;
    uint64_t line;
    mr_unpack_init(&u, (mr_span){data, size});
    if (arena && mr_prompt_unpack(&u, NULL, arena, &p, &line, NULL) == MR_OK) check_wire(&p, arena);
    mr_arena_free(&arena);
    return 0;
}
