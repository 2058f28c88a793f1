#include "worker/core/registry.h"

#include "common/pack.h"

#include <string.h>

enum { NAMES_MAX = 256 };

const mr_component *mr_component_find(const char *name) {
    for (const mr_component *const *c = mr_components; *c; c++)
        if (!strcmp((*c)->name, name)) return *c;
    return NULL;
}

static const char *nearest(const char *name) {
    const char *names[NAMES_MAX + 1];
    size_t n = 0;
    for (const mr_component *const *c = mr_components; *c && n < NAMES_MAX; c++) names[n++] = (*c)->name;
    names[n] = NULL;
    return mr_nearest_word(names, name);
}

mr_status mr_component_get(const char *name, const mr_component **out, mr_error *err) {
    *out = mr_component_find(name);
    if (*out) return MR_OK;
    const char *near = nearest(name);
    if (near)
        return mr_fail(err, MR_E_NOT_FOUND, "no component is named '%.64s'; did you mean '%s'?", name, near);
    return mr_fail(err, MR_E_NOT_FOUND, "no component is named '%.64s'; `millrace components` lists them",
                   name);
}

const char *mr_kind_name(mr_kind kind) {
    static const char *const names[] = {"learner", "analyzer", "validator"};
    return names[kind];
}

const char *mr_shape_name(mr_shape shape) {
    static const char *const names[] = {"map", "merge", "whole"};
    return names[shape];
}

const char *mr_field_type_name(mr_field_type type) {
    static const char *const names[] = {"number",  "integer", "bool", "text",
                                        "numbers", "matrix",  "list", "map"};
    return names[type];
}

const char *mr_fold_name(mr_fold fold) {
    static const char *const names[] = {"none", "sum", "mean", "min", "max"};
    return names[fold];
}

/* ---- configurations ---- */

static size_t config_size(const mr_component *component) {
    return component->config_size ? component->config_size : 1;
}

void *mr_config_new(const mr_component *component, const mr_mem *mem) {
    void *config = mr_new(mem, 1, config_size(component));
    if (config && component->options) mr_option_defaults(component->options, config);
    return config;
}

void mr_config_free(const mr_component *component, const mr_mem *mem, void **config) {
    mr_free(mem, *config, 1, config_size(component));
    *config = NULL;
}

mr_status mr_config_set(const mr_component *component, void *config, const char *name, const char *value,
                        mr_error *err) {
    if (!component->options)
        return mr_fail(err, MR_E_USAGE, "%s has no options, so '%.48s' cannot be set", component->name, name);
    mr_status status = mr_option_set(component->options, config, name, value, err);
    return status == MR_OK ? MR_OK : mr_fail_in(err, "%s", component->name);
}

static mr_status set_spans(const mr_component *component, void *config, mr_span name, mr_span value,
                           mr_error *err) {
    char key[MR_OPTION_NAME], text[MR_OPTION_TEXT];
    memcpy(key, name.data, name.len);
    key[name.len] = 0;
    memcpy(text, value.data, value.len);
    text[value.len] = 0;
    return mr_config_set(component, config, key, text, err);
}

mr_status mr_config_unpack(const mr_component *component, void *config, mr_span options, mr_error *err) {
    if (options.len == 0) return MR_OK;
    mr_unpack u;
    uint32_t count;
    mr_unpack_init(&u, options);
    MR_TRY(mr_unpack_map(&u, 256, &count, err));
    for (uint32_t i = 0; i < count; i++) {
        mr_span name, value;
        MR_TRY(mr_unpack_str(&u, MR_OPTION_NAME - 1, &name, err));
        MR_TRY(mr_unpack_str(&u, MR_OPTION_TEXT - 1, &value, err));
        MR_TRY(set_spans(component, config, name, value, err));
    }
    return MR_OK;
}
