/* Secret key files, the list of admitted keys, and the keyring that follows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/keys.h"

static char folder[] = "/tmp/millrace-keys-XXXXXX";

static const char *in_folder(const char *name) {
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int make_folder(void **state) {
    (void)state;
    mr_error err;
    return mr_crypto_init(&err) != MR_OK || !mkdtemp(folder);
}

static int remove_folder(void **state) {
    (void)state;
    char command[PATH_MAX];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static mr_key_pair some_pair(void) {
    mr_key_pair pair;
    mr_random_bytes(&pair, sizeof pair);
    return pair;
}

static void a_secret_key_is_read_back_and_only_its_owner_can(void **state) {
    (void)state;
    mr_key_pair pair = some_pair(), read = {0};
    mr_error err;
    struct stat s;
    const char *path = in_folder("one.key");
    assert_int_equal(mr_key_write(path, "one", &pair, &err), MR_OK);
    assert_int_equal(mr_key_write(path, "one", &pair, &err), MR_E_EXISTS);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    assert_int_equal(mr_key_read(path, &read, &err), MR_OK);
    assert_memory_equal(&read, &pair, sizeof pair);
}

static void a_secret_that_others_can_read_or_a_link_is_refused(void **state) {
    (void)state;
    static const mode_t open_modes[] = {0640, 0604, 0644, 0660, 0666};
    mr_key_pair pair = some_pair(), read;
    mr_error err = {0};
    char path[PATH_MAX], link_path[PATH_MAX];
    snprintf(path, sizeof path, "%s", in_folder("two.key"));
    snprintf(link_path, sizeof link_path, "%s", in_folder("link.key"));
    assert_int_equal(mr_key_write(path, "two", &pair, &err), MR_OK);
    for (size_t i = 0; i < sizeof open_modes / sizeof *open_modes; i++) {
        assert_int_equal(chmod(path, open_modes[i]), 0);
        assert_int_equal(mr_key_read(path, &read, &err), MR_E_DENIED);
        assert_non_null(strstr(err.text, "can be read by others"));
    }
    assert_int_equal(chmod(path, 0400), 0);
    assert_int_equal(mr_key_read(path, &read, &err), MR_OK);
    assert_int_equal(symlink(path, link_path), 0);
    assert_int_equal(mr_key_read(link_path, &read, &err), MR_E_DENIED);
    assert_int_equal(mr_key_read(folder, &read, &err), MR_E_DENIED);
    assert_int_equal(mr_key_read(in_folder("none.key"), &read, &err), MR_E_NOT_FOUND);
}

static void a_credential_may_be_readable_by_its_group(void **state) {
    (void)state;
    mr_key_pair pair = some_pair(), read;
    mr_error err = {0};
    const char *path = in_folder("credential.key");
    assert_int_equal(mr_key_write(path, "c", &pair, &err), MR_OK);
    assert_int_equal(chmod(path, 0440), 0);
    assert_int_equal(mr_key_read(path, &read, &err), MR_E_DENIED);
    setenv("CREDENTIALS_DIRECTORY", folder, 1);
    assert_int_equal(mr_key_read(path, &read, &err), MR_OK);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(mr_key_read(path, &read, &err), MR_E_DENIED);
    unsetenv("CREDENTIALS_DIRECTORY");
}

static void what_is_no_key_file_is_refused(void **state) {
    (void)state;
    static const char *const texts[] = {"", "public abc\nsecret def\n", "secret only\n",
                                        "public 0000000000000000000000000000000000000000000000000000000000000000\n"};
    mr_key_pair read;
    mr_error err = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_int_equal(mr_file_write(in_folder("bad.key"), mr_span_of(texts[i]), 0600, &err), MR_OK);
        assert_int_equal(mr_key_read(in_folder("bad.key"), &read, &err), MR_E_INVALID);
    }
}

static void both_or_none_of_the_settings_to_connect(void **state) {
    (void)state;
    mr_key_pair own, pair = some_pair();
    mr_key server;
    mr_error err = {0};
    bool plain = false;
    char hex[MR_KEY_HEX];
    mr_hash_hex(&pair.open, hex);
    assert_int_equal(mr_key_write(in_folder("me.key"), "me", &pair, &err), MR_OK);
    assert_int_equal(mr_keys_to_connect("", "", &own, &server, &plain, &err), MR_OK);
    assert_true(plain);
    assert_int_equal(mr_keys_to_connect(in_folder("me.key"), "", &own, &server, &plain, &err), MR_E_USAGE);
    assert_int_equal(mr_keys_to_connect("", hex, &own, &server, &plain, &err), MR_E_USAGE);
    assert_int_equal(mr_keys_to_connect(in_folder("me.key"), "12", &own, &server, &plain, &err), MR_E_INVALID);
    assert_int_equal(mr_keys_to_connect(in_folder("me.key"), hex, &own, &server, &plain, &err), MR_OK);
    assert_false(plain);
    assert_true(mr_hash_eq(&server, &pair.open));
}

#define KEY(digit) "000000000000000000000000000000000000000000000000000000000000000" digit

static void lines_of_the_list_are_checked_with_their_number(void **state) {
    (void)state;
    static const struct {
        const char *text, *wrong; /* NULL: nothing */
    } cases[] = {
        {"", NULL},
        {"# nothing\n\n  \r\n", NULL},
        {KEY("1") " admin a now\n" KEY("2") " worker a now later", NULL},
        {KEY("1") " admin a\n", "x:1: a line is"},
        {"\n" KEY("1") " king a now\n", "x:2: there is no such role"},
        {"12 admin a now\n", "x:1: the key is not 64"},
        {KEY("1") " admin a/b now\n", "x:1: the name"},
        {KEY("1") " admin .a now\n", "x:1: the name"},
        {KEY("1") " admin a now later never\n", "x:1: a line is"},
        {KEY("1") " admin a now\n" KEY("1") " viewer b now\n", "x:2: the key stands in the list twice"},
        {KEY("1") " admin a 2026-11-20T00:00:00.000000000000Z\n", "x:1: the time"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        mr_key_list list;
        mr_error err = {0};
        mr_status s = mr_key_list_parse(mr_span_of(cases[i].text), "x", &list, &err);
        assert_int_equal(s, cases[i].wrong ? MR_E_INVALID : MR_OK);
        if (cases[i].wrong) assert_non_null(strstr(err.text, cases[i].wrong));
        if (cases[i].wrong) assert_null(list.rows);
        mr_key_list_free(&list);
    }
}

static void a_list_is_written_and_read_back(void **state) {
    (void)state;
    mr_key_list list = {0}, read;
    mr_error err = {0};
    for (int i = 0; i < 100; i++) {
        mr_key_row row = {.role = (mr_key_role)(i % MR_KEY_ROLES)};
        mr_random_bytes(&row.key, sizeof row.key);
        snprintf(row.name, sizeof row.name, "n%d", i);
        mr_time_text((int64_t)i * 1000000000, row.created);
        if (i % 3 == 0) mr_time_text((int64_t)i * 2000000000, row.revoked);
        assert_int_equal(mr_key_list_add(&list, &row, &err), MR_OK);
    }
    assert_int_equal(mr_key_list_write(in_folder("allowed"), &list, &err), MR_OK);
    assert_int_equal(mr_key_list_read(in_folder("allowed"), &read, &err), MR_OK);
    assert_int_equal(read.count, list.count);
    for (size_t i = 0; i < list.count; i++) assert_memory_equal(&read.rows[i], &list.rows[i], sizeof *list.rows);
    assert_non_null(mr_key_list_named(&read, "n1"));
    assert_null(mr_key_list_named(&read, "n3")); /* revoked */
    mr_key_list_free(&read);
    mr_key_list_free(&list);
}

static void write_list(const char *path, const char *text) {
    mr_error err;
    assert_int_equal(mr_file_write(path, mr_span_of(text), 0644, &err), MR_OK);
}

static void a_list_that_others_can_write_is_refused(void **state) {
    (void)state;
    mr_key_list list;
    mr_error err = {0};
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", in_folder("open"));
    write_list(path, KEY("1") " admin a now\n");
    assert_int_equal(chmod(path, 0664), 0);
    assert_int_equal(mr_key_list_read(path, &list, &err), MR_E_DENIED);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(mr_key_list_read(path, &list, &err), MR_OK);
    mr_key_list_free(&list);
}

static bool finds(mr_keyring *ring, const char *hex) {
    mr_key key;
    mr_key_row row;
    assert_true(mr_hash_parse(mr_span_of(hex), &key));
    return mr_keyring_find(ring, &key, &row) && !row.revoked[0];
}

static void a_keyring_follows_its_file_and_fails_closed(void **state) {
    (void)state;
    mr_keyring *ring;
    mr_error err = {0};
    bool changed;
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", in_folder("ring"));
    assert_int_equal(mr_keyring_open(path, &ring, &err), MR_E_NOT_FOUND);
    assert_null(ring);
    write_list(path, KEY("1") " admin a now\n" KEY("2") " worker b now\n");
    assert_int_equal(mr_keyring_open(path, &ring, &err), MR_OK);
    assert_true(finds(ring, KEY("1")) && finds(ring, KEY("2")) && !finds(ring, KEY("3")));
    assert_int_equal(mr_keyring_refresh(ring, &changed, &err), MR_OK);
    assert_false(changed);

    write_list(path, KEY("1") " admin a now later\n" KEY("2") " worker b now\n");
    assert_false(finds(ring, KEY("1"))); /* at once, also before the next refresh */
    assert_int_equal(mr_keyring_refresh(ring, &changed, &err), MR_OK);
    assert_true(changed);

    write_list(path, "broken\n");
    assert_false(finds(ring, KEY("2")));
    assert_int_equal(mr_keyring_refresh(ring, &changed, &err), MR_E_INVALID);
    assert_true(changed);
    assert_int_equal(mr_keyring_refresh(ring, &changed, &err), MR_OK); /* told once */
    assert_false(changed || finds(ring, KEY("2")));

    write_list(path, KEY("2") " worker b now\n");
    assert_true(finds(ring, KEY("2")));
    assert_int_equal(unlink(path), 0);
    assert_false(finds(ring, KEY("2")));
    mr_keyring_close(&ring);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_secret_key_is_read_back_and_only_its_owner_can),
        cmocka_unit_test(a_secret_that_others_can_read_or_a_link_is_refused),
        cmocka_unit_test(a_credential_may_be_readable_by_its_group),
        cmocka_unit_test(what_is_no_key_file_is_refused),
        cmocka_unit_test(both_or_none_of_the_settings_to_connect),
        cmocka_unit_test(lines_of_the_list_are_checked_with_their_number),
        cmocka_unit_test(a_list_is_written_and_read_back),
        cmocka_unit_test(a_list_that_others_can_write_is_refused),
        cmocka_unit_test(a_keyring_follows_its_file_and_fails_closed),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
