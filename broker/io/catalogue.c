#include "broker/io/catalogue.h"

#include "common/option.h"

#include <string.h>

void mr_catalogue_free(mr_catalogue *c) {
    for (uint32_t i = 0; i < c->count; i++) {
        mr_json_free(&c->doc[i].list);
        mr_buf_free(&c->doc[i].text);
    }
    c->count = 0;
}

/* Moves document `at` to the front. */
static void to_front(mr_catalogue *c, uint32_t at) {
    typeof(c->doc[0]) doc = c->doc[at];
    memmove(&c->doc[1], &c->doc[0], at * sizeof doc);
    c->doc[0] = doc;
}

mr_status mr_catalogue_add(mr_catalogue *c, mr_span json, mr_error *err) {
    mr_hash hash = mr_hash_of(json);
    for (uint32_t i = 0; i < c->count; i++) {
        if (!mr_hash_eq(&c->doc[i].hash, &hash)) continue;
        to_front(c, i);
        return MR_OK;
    }
    mr_json *list = NULL;
    MR_TRY(mr_json_parse(json, MR_CATALOGUE_MAX, 8, &list, err));
    if (mr_json_kind(list) != MR_JSON_LIST) {
        mr_json_free(&list);
        return mr_fail(err, MR_E_INVALID, "a worker's catalogue is not a list of components");
    }
    mr_buf text;
    mr_buf_init(&text, NULL, MR_CATALOGUE_MAX);
    mr_buf_put(&text, json.data, json.len);
    mr_status s = mr_buf_status(&text);
    if (s != MR_OK) {
        mr_json_free(&list);
        return mr_fail(err, s, "no memory for a worker's catalogue");
    }
    uint32_t at = c->count < MR_CATALOGUES ? c->count++ : MR_CATALOGUES - 1;
    if (at == MR_CATALOGUES - 1) {
        mr_json_free(&c->doc[at].list);
        mr_buf_free(&c->doc[at].text);
    }
    c->doc[at].hash = hash;
    c->doc[at].list = list;
    c->doc[at].text = text;
    to_front(c, at);
    return MR_OK;
}

static bool name_of(const mr_json *component, mr_span *out) {
    return mr_json_text(mr_json_member(component, "name"), out);
}

const mr_json *mr_catalogue_component(const mr_catalogue *c, const char *name) {
    mr_span it;
    for (uint32_t d = 0; d < c->count; d++)
        for (size_t i = 0; i < mr_json_count(c->doc[d].list); i++) {
            const mr_json *component = mr_json_item(c->doc[d].list, i);
            if (name_of(component, &it) && mr_span_eq(it, mr_span_of(name))) return component;
        }
    return NULL;
}

const char *mr_catalogue_nearest(const mr_catalogue *c, const char *name) {
    const char *words[256];
    size_t n = 0;
    mr_span it;
    for (size_t i = 0; c->count && i < mr_json_count(c->doc[0].list) && n < 255; i++)
        if (name_of(mr_json_item(c->doc[0].list, i), &it)) words[n++] = (const char *)it.data; /* JSON texts end with NUL */
    words[n] = NULL;
    return mr_nearest_word(words, name);
}

mr_span mr_catalogue_text(const mr_catalogue *c) {
    return c->count ? mr_buf_span(&c->doc[0].text) : mr_span_of("[]");
}
