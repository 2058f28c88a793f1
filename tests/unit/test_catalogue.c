#include "broker/io/catalogue.h"
#include "common/option_json.h"
#include "tests/unit/io_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char cluster[] =
    "[{\"name\": \"cluster\", \"version\": 2, \"options\": ["
    "{\"name\": \"depth\", \"type\": \"integer\", \"default\": \"3\", \"min\": 1, \"max\": 10},"
    "{\"name\": \"rate\", \"type\": \"number\", \"default\": \"0.5\", \"min\": 0, \"max\": 1},"
    "{\"name\": \"metric\", \"type\": \"choice\", \"default\": \"l2\", \"choices\": [\"l1\", \"l2\"]},"
    "{\"name\": \"scale\", \"type\": \"bool\", \"default\": \"true\"}]}, {\"name\": \"plain\"}]";

static mr_status add(mr_catalogue *c, const char *json) {
    mr_error err = {0};
    return mr_catalogue_add(c, mr_span_of(json), &err);
}

static void components_are_found_in_the_newest_document_that_has_them(void **state) {
    (void)state;
    mr_catalogue c = {0};
    int64_t version;
    assert_null(mr_catalogue_component(&c, "cluster"));
    assert_true(mr_span_eq(mr_catalogue_text(&c), mr_span_of("[]")));
    assert_int_equal(add(&c, cluster), MR_OK);
    assert_int_equal(
        add(&c, "[{\"name\": \"other\", \"version\": 1}, {\"name\": \"cluster\", \"version\": 3}]"), MR_OK);
    assert_true(mr_json_integer(mr_json_member(mr_catalogue_component(&c, "cluster"), "version"), &version));
    assert_int_equal(version, 3);
    assert_non_null(mr_catalogue_component(&c, "plain")); /* of the older one */
    assert_int_equal(add(&c, cluster), MR_OK);            /* known: it comes to the front */
    assert_int_equal(c.count, 2);
    assert_true(mr_json_integer(mr_json_member(mr_catalogue_component(&c, "cluster"), "version"), &version));
    assert_int_equal(version, 2);
    assert_true(mr_span_eq(mr_catalogue_text(&c), mr_span_of(cluster)));
    mr_catalogue_free(&c);
}

static void the_nearest_name_is_proposed(void **state) {
    (void)state;
    mr_catalogue c = {0};
    assert_null(mr_catalogue_nearest(&c, "cluster"));
    assert_int_equal(add(&c, cluster), MR_OK);
    assert_string_equal(mr_catalogue_nearest(&c, "clustr"), "cluster");
    mr_catalogue_free(&c);
}

static void only_the_newest_documents_are_kept(void **state) {
    (void)state;
    mr_catalogue c = {0};
    char json[64], name[32];
    for (int i = 0; i < 3 * MR_CATALOGUES; i++) {
        snprintf(json, sizeof json, "[{\"name\": \"c%d\"}]", i);
        assert_int_equal(add(&c, json), MR_OK);
        assert_int_equal(c.count, i < MR_CATALOGUES ? i + 1 : MR_CATALOGUES);
    }
    for (int i = 0; i < 3 * MR_CATALOGUES; i++) {
        snprintf(name, sizeof name, "c%d", i);
        assert_int_equal(mr_catalogue_component(&c, name) != NULL, i >= 2 * MR_CATALOGUES);
    }
    mr_catalogue_free(&c);
}

static void what_is_no_list_of_components_is_refused(void **state) {
    (void)state;
    mr_catalogue c = {0};
    assert_int_equal(add(&c, "{}"), MR_E_INVALID);
    assert_int_equal(add(&c, "\"x\""), MR_E_INVALID);
    assert_int_equal(add(&c, ""), MR_E_INVALID);
    assert_int_equal(add(&c, "[1, 2"), MR_E_INVALID);
    assert_int_equal(c.count, 0);
    assert_int_equal(add(&c, "[1, null, \"x\", {\"name\": 5}, {\"name\": \"good\"}]"),
                     MR_OK); /* strange items are passed over */
    assert_non_null(mr_catalogue_component(&c, "good"));
    mr_catalogue_free(&c);
}

static mr_status options(const char *catalogue, const char *component, const char *given, char **out,
                         mr_error *err) {
    mr_catalogue c = {0};
    mr_buf pack, json;
    mr_unpack u;
    assert_int_equal(add(&c, catalogue), MR_OK);
    mr_buf_init(&pack, NULL, 1 << 20);
    mr_buf_init(&json, NULL, 1 << 20);
    rig_pack(&pack, "%s", given);
    mr_unpack_init(&u, mr_buf_span(&pack));
    mr_status s = mr_option_json(mr_catalogue_component(&c, component), &u, &json, err);
    if (out) {
        mr_buf_put(&json, "", 1);
        *out = strdup((const char *)json.data);
    }
    mr_buf_free(&pack);
    mr_buf_free(&json);
    mr_catalogue_free(&c);
    return s;
}

static void options_are_every_one_with_its_value(void **state) {
    (void)state;
    mr_error err = {0};
    char *json;
    assert_int_equal(options(cluster, "cluster", "{}", &json, &err), MR_OK);
    assert_string_equal(json,
                        "{\"depth\": \"3\", \"rate\": \"0.5\", \"metric\": \"l2\", \"scale\": \"true\"}");
    free(json);
    assert_int_equal(options(cluster, "cluster",
                             "{\"metric\": \"l1\", \"depth\": \"007\", \"scale\": \"no\"}", &json, &err),
                     MR_OK);
    assert_string_equal(json,
                        "{\"depth\": \"7\", \"rate\": \"0.5\", \"metric\": \"l1\", \"scale\": \"false\"}");
    free(json);
    assert_int_equal(options(cluster, "plain", "{}", &json, &err), MR_OK);
    assert_string_equal(json, "{}");
    free(json);
}

static void a_wrong_option_is_refused_with_words(void **state) {
    (void)state;
    mr_error err = {0};
    assert_int_equal(options(cluster, "cluster", "{\"dept\": \"3\"}", NULL, &err), MR_E_USAGE);
    assert_non_null(strstr(err.text, "depth"));
    assert_int_equal(options(cluster, "cluster", "{\"depth\": \"11\"}", NULL, &err), MR_E_INVALID);
    assert_int_equal(options(cluster, "cluster", "{\"depth\": \"deep\"}", NULL, &err), MR_E_INVALID);
    assert_int_equal(options(cluster, "cluster", "{\"metric\": \"l3\"}", NULL, &err), MR_E_INVALID);
    assert_int_equal(options(cluster, "plain", "{\"depth\": \"3\"}", NULL, &err), MR_E_USAGE);
    assert_int_not_equal(options(cluster, "cluster", "[1]", NULL, &err), MR_OK);
    assert_int_not_equal(options(cluster, "cluster", "{\"depth\": 3}", NULL, &err), MR_OK);
}

/* A worker's word is not to be trusted. */
static void descriptors_that_make_no_sense_are_refused(void **state) {
    (void)state;
    mr_error err = {0};
    static const char *const bad[] = {
        "[{\"name\": \"c\", \"options\": [{\"name\": \"a\", \"type\": \"blob\"}]}]",
        "[{\"name\": \"c\", \"options\": [{\"type\": \"text\"}]}]",
        "[{\"name\": \"c\", \"options\": [7]}]",
        "[{\"name\": \"c\", \"options\": [{\"name\": \"a\", \"type\": \"integer\", \"default\": \"x\"}]}]",
        "[{\"name\": \"c\", \"options\": [{\"name\": \"a\", \"type\": \"choice\", \"choices\": [1]}]}]",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(options(bad[i], "c", "{}", NULL, &err), MR_E_INVALID);
}

static void more_options_than_a_component_may_have_are_refused(void **state) {
    (void)state;
    mr_error err = {0};
    mr_buf json;
    mr_buf_init(&json, NULL, 1 << 20);
    mr_buf_text(&json, "[{\"name\": \"c\", \"options\": [");
    for (int i = 0; i < 65; i++)
        mr_buf_printf(&json, "%s{\"name\": \"o%d\", \"type\": \"text\", \"default\": \"\"}", i ? "," : "", i);
    mr_buf_put(&json, "]}]", 4);
    assert_int_equal(options((const char *)json.data, "c", "{}", NULL, &err), MR_E_LIMIT);
    mr_buf_free(&json);
}

int main(void) {
    mr_error err;
    if (mr_crypto_init(&err) != MR_OK) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components_are_found_in_the_newest_document_that_has_them),
        cmocka_unit_test(the_nearest_name_is_proposed),
        cmocka_unit_test(only_the_newest_documents_are_kept),
        cmocka_unit_test(what_is_no_list_of_components_is_refused),
        cmocka_unit_test(options_are_every_one_with_its_value),
        cmocka_unit_test(a_wrong_option_is_refused_with_words),
        cmocka_unit_test(descriptors_that_make_no_sense_are_refused),
        cmocka_unit_test(more_options_than_a_component_may_have_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
