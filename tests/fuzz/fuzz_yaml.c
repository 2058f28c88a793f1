/* Any bytes as a configuration file. Every node must be found under its path. */
#include "common/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    mr_error err;
    mr_yaml doc;
    mr_arena *arena = mr_arena_new(NULL, 1 << 24);
    if (mr_yaml_parse((mr_span){data, size}, "fuzz", arena, &doc, &err) == MR_OK && doc.count < 200)
        for (uint32_t i = 0; i < doc.count; i++) {
            MR_ASSERT(mr_yaml_find(&doc, doc.nodes[i].path));
            MR_ASSERT(doc.nodes[i].parent <= i);
        }
    mr_arena_free(&arena);
    return 0;
}
