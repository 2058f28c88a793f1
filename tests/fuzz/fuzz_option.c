/* "name=value" as an option, for a row of each type. A value that is taken must be taken again as its own
 * text. */
#include "common/option.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct config {
    bool b;
    int64_t i, c;
    double n;
    char t[MR_OPTION_TEXT];
} config;

static const char *const words[] = {"one", "two_words", NULL};
static const mr_option table[] = {
    {.name = "bool", .type = MR_OPT_BOOL, .offset = offsetof(config, b)},
    {.name = "int", .type = MR_OPT_INT, .offset = offsetof(config, i), .min = -1000, .max = 1e15},
    {.name = "number", .type = MR_OPT_NUMBER, .offset = offsetof(config, n)},
    {.name = "text", .type = MR_OPT_TEXT, .offset = offsetof(config, t)},
    {.name = "choice", .type = MR_OPT_CHOICE, .offset = offsetof(config, c), .choices = words},
    MR_OPTION_END,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char name[600], value[MR_OPTION_TEXT];
    mr_error err;
    config c = {0}, again = {0};
    if (size >= sizeof name) return 0;
    if (size) memcpy(name, data, size);
    name[size] = 0;
    char *equals = strchr(name, '=');
    if (equals) *equals = 0;
    if (mr_option_set(table, &c, name, equals ? equals + 1 : "", &err) != MR_OK) return 0;
    mr_buf text;
    mr_buf_init(&text, NULL, 1000);
    mr_option_get(mr_option_find(table, name), &c, &text);
    MR_ASSERT(text.len < sizeof value);
    if (text.len) memcpy(value, text.data, text.len);
    value[text.len] = 0;
    MR_ASSERT(mr_option_set(table, &again, name, value, &err) == MR_OK);
    MR_ASSERT(!memcmp(&c, &again, sizeof c));
    mr_buf_free(&text);
    return 0;
}
