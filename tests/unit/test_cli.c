/* The CLI's tables and views, without a broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "broker/cli/migrations.h"
#include "broker/cli/pages.h"
#include "broker/cli/paths.h"
#include "broker/cli/term.h"
#include "broker/cli/view.h"
#include "broker/io/settings.h"
#include "common/file.h"

static void read_whole(const char *path, mr_buf *out) {
    mr_error err;
    mr_buf_init(out, NULL, 8 << 20);
    if (mr_file_read(path, 8 << 20, out, &err) != MR_OK) fail_msg("%s", err.text);
}

static void same_as_file(const char *name, const mr_buf *made) {
    char path[4096];
    mr_buf file;
    snprintf(path, sizeof path, MR_SOURCE_DIR "/docs/%s", name);
    read_whole(path, &file);
    if (!mr_span_eq(mr_buf_span(&file), mr_buf_span(made)))
        fail_msg("docs/%s is not what the tables give: run 'millrace docs docs'", name);
    mr_buf_free(&file);
}

/* ---- tables ---- */

static void commands_are_whole(void **state) {
    (void)state;
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        assert_ptr_equal(mr_cli_find((*c)->name), *c);
        assert_true((*c)->summary && (*c)->summary[strlen((*c)->summary) - 1] != '.');
        assert_true((*c)->example && (*c)->example[strlen((*c)->example) - 1] == '\n');
        assert_true((*c)->program || (*c)->config_size >= sizeof(mr_globals));
        for (const mr_option *row = (*c)->options; row->name; row++) {
            assert_non_null(row->help);
            for (const mr_option *other = row + 1; other->name; other++) {
                assert_string_not_equal(row->name, other->name);
                if (row->flag) assert_int_not_equal(row->flag, other->flag);
            }
        }
    }
}

static void defaults_of_every_command_are_valid(void **state) {
    (void)state;
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        if ((*c)->program) continue;
        void *config = mr_new(NULL, 1, (*c)->config_size);
        assert_non_null(config);
        mr_option_defaults((*c)->options, config);
        assert_string_equal(((mr_globals *)config)->broker, "tcp://127.0.0.1:7411");
        mr_free(NULL, config, 1, (*c)->config_size);
    }
}

static void settings_of_the_broker_are_known(void **state) {
    (void)state;
    for (const mr_option *row = mr_broker_options; row->name; row++)
        if (!mr_cli_knows_setting(row->name))
            fail_msg("settings_of_others in broker/cli/commands.c lacks '%s'", row->name);
    assert_false(mr_cli_knows_setting("brokr"));
}

static void wrong_command_lines_end_with_2(void **state) {
    (void)state;
    static const char *const none[] = {NULL};
    char *unknown[] = {"millrace", "stats", NULL}, *flag[] = {"millrace", "status", "--jsn", NULL},
         *missing[] = {"millrace", "cancel", NULL}, *number[] = {"millrace", "cancel", "seven", NULL},
         *verb[] = {"millrace", "prompts", "shw", NULL}, *nothing[] = {"millrace", NULL};
    assert_int_equal(mr_cli_main(2, unknown, none), 2);
    assert_int_equal(mr_cli_main(3, flag, none), 2);
    assert_int_equal(mr_cli_main(2, missing, none), 2);
    assert_int_equal(mr_cli_main(3, number, none), 2);
    assert_int_equal(mr_cli_main(3, verb, none), 2);
    assert_int_equal(mr_cli_main(1, nothing, none), 2);
}

static void an_absent_broker_ends_with_10(void **state) {
    (void)state;
    static const char *const environment[] = {"MILLRACE_BROKER=tcp://127.0.0.1:1", "MILLRACE_TIMEOUT=150",
                                              NULL};
    static const char *const wrong[] = {"MILLRACE_BROKR=x", NULL};
    char *status[] = {"millrace", "status", NULL}, *again[] = {"millrace", "status", NULL};
    assert_int_equal(mr_cli_main(2, status, environment), 10);
    assert_int_equal(mr_cli_main(2, again, wrong), 2);
}

/* ---- pages ---- */

static void committed_pages_are_fresh(void **state) {
    (void)state;
    static const struct {
        const char *name;
        void (*put)(mr_buf *);
    } pages[] = {{"completion/millrace.bash", mr_completion_bash},
                 {"completion/_millrace", mr_completion_zsh},
                 {"completion/millrace.fish", mr_completion_fish},
                 {"errors.md", mr_errors_page},
                 {"settings.md", mr_settings_page}};
    mr_buf text;
    mr_buf_init(&text, NULL, 1 << 20);
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        mr_buf_clear(&text);
        pages[i].put(&text);
        same_as_file(pages[i].name, &text);
    }
    mr_buf_clear(&text);
    mr_man_page(NULL, &text);
    same_as_file("man/millrace.1", &text);
    for (const mr_cli_command *const *c = mr_cli_commands; *c; c++) {
        char name[128];
        if ((*c)->hidden) continue;
        mr_buf_clear(&text);
        mr_man_page(*c, &text);
        snprintf(name, sizeof name, "man/millrace-%s.1", (*c)->name);
        same_as_file(name, &text);
    }
    mr_buf_free(&text);
}

static void migrations_are_the_files_of_deploy_sql(void **state) {
    (void)state;
    size_t files = 0, rows = 0;
    DIR *folder = opendir(MR_SOURCE_DIR "/deploy/sql");
    assert_non_null(folder);
    for (struct dirent *e; (e = readdir(folder));) files += strstr(e->d_name, ".sql") != NULL;
    closedir(folder);
    for (const mr_migration *m = mr_migrations; m->name; m++, rows++) {
        assert_true(m->version > (rows ? m[-1].version : 0));
        for (int up = 0; up < 2; up++) {
            char path[4096];
            mr_buf text;
            snprintf(path, sizeof path, MR_SOURCE_DIR "/deploy/sql/%04d_%s.%s.sql", m->version, m->name,
                     up ? "up" : "down");
            read_whole(path, &text);
            assert_true(mr_span_eq(mr_buf_span(&text), mr_span_of(up ? m->up : m->down)));
            mr_buf_free(&text);
        }
    }
    assert_int_equal(files, 2 * rows);
}

/* ---- views ---- */

/* {"columns": [id, name, at, score], "rows": [...], "more": false} with a hostile name. */
static void put_list(mr_buf *b) {
    static const char *const columns[] = {"id", "name", "created_at", "score"};
    mr_pack_map(b, 3);
    mr_pack_text(b, "columns");
    mr_pack_array(b, 4);
    for (size_t i = 0; i < 4; i++) mr_pack_text(b, columns[i]);
    mr_pack_text(b, "rows");
    mr_pack_array(b, 2);
    mr_pack_array(b, 4);
    mr_pack_u64(b, 7);
    mr_pack_text(b, "a\x1b[31m\nb");
    mr_pack_i64(b, 1000000);
    mr_pack_f64(b, 0.5);
    mr_pack_array(b, 4);
    mr_pack_u64(b, 12);
    mr_pack_text(b, "\xe6\x97\xa5\xe6\x9c\xac");
    mr_pack_text(b, "1970-01-01T00:00:02.000000Z");
    mr_pack_nil(b);
    mr_pack_text(b, "more");
    mr_pack_bool(b, false);
}

static void text_is(const mr_buf *b, const char *want) {
    char have[2048];
    snprintf(have, sizeof have, "%.*s", (int)b->len, (const char *)b->data);
    assert_string_equal(have, want);
}

static void lists_become_aligned_tables(void **state) {
    (void)state;
    mr_error err;
    mr_buf pack, out;
    mr_buf_init(&pack, NULL, 1 << 16);
    mr_buf_init(&out, NULL, 1 << 16);
    put_list(&pack);
    assert_int_equal(mr_view_table(mr_buf_span(&pack), 0, &out, &err), MR_OK);
    text_is(&out, "id  name      created_at                 score\n"
                  " 7  a [31m b  1970-01-01 00:00:01+00:00    0.5\n"
                  "12  \xe6\x97\xa5\xe6\x9c\xac      1970-01-01 00:00:02+00:00      -\n");
    mr_buf_clear(&out);
    assert_int_equal(mr_view_table(mr_buf_span(&pack), 36, &out, &err), MR_OK);
    text_is(&out, "id  name      created_at       score\n"
                  " 7  a [31m b  1970-01-01 00:\xe2\x80\xa6    0.5\n"
                  "12  \xe6\x97\xa5\xe6\x9c\xac      1970-01-01 00:\xe2\x80\xa6      -\n");
    mr_buf_free(&pack);
    mr_buf_free(&out);
}

static void lists_become_arrays_of_objects(void **state) {
    (void)state;
    mr_error err;
    mr_buf pack, out;
    mr_buf_init(&pack, NULL, 1 << 16);
    mr_buf_init(&out, NULL, 1 << 16);
    mr_pack_map(&pack, 2);
    mr_pack_text(&pack, "list");
    put_list(&pack);
    mr_pack_text(&pack, "hash");
    mr_pack_bin(&pack, (mr_span){(const uint8_t *)"0123456789abcdef0123456789abcdef", 32});
    assert_int_equal(mr_view_json(mr_buf_span(&pack), &out, &err), MR_OK);
    text_is(&out, "{\"list\":[{\"id\":7,\"name\":\"a\\u001b[31m\\nb\",\"created_at\":\"1970-01-01T00:00:01."
                  "000000Z\",\"score\":0.5},"
                  "{\"id\":12,\"name\":\"\xe6\x97\xa5\xe6\x9c\xac\",\"created_at\":\"1970-01-01T00:00:02."
                  "000000Z\",\"score\":null}],"
                  "\"hash\":\"3031323334353637383961626364656630313233343536373839616263646566\"}\n");
    mr_buf_free(&pack);
    mr_buf_free(&out);
}

static void broken_replies_are_refused(void **state) {
    (void)state;
    mr_error err;
    mr_buf pack, out;
    mr_buf_init(&pack, NULL, 1 << 16);
    mr_buf_init(&out, NULL, 1 << 16);
    put_list(&pack);
    for (size_t n = 0; n < pack.len; n++) {
        mr_buf_clear(&out);
        uint8_t *cut = malloc(n + 1); /* its own memory, so that a read behind the end is seen */
        memcpy(cut, pack.data, n);
        assert_int_not_equal(mr_view_table((mr_span){cut, n}, 0, &out, &err), MR_OK);
        assert_int_not_equal(mr_view_json((mr_span){cut, n}, &out, &err), MR_OK);
        free(cut);
    }
    mr_buf_free(&pack);
    mr_buf_free(&out);
}

/* ---- paths ---- */

static void make_file(const char *folder, const char *name) {
    char path[512];
    mr_error err;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mr_file_write(path, mr_span_of("{}\n"), 0600, &err), MR_OK);
}

static void paths_are(char *const operand, bool tables, const char *want) {
    mr_paths p;
    mr_error err = {0};
    char have[2048] = "";
    mr_status status = mr_paths_find((char *const[]){operand}, 1, tables, &p, &err);
    for (size_t i = 0; status == MR_OK && i < p.count; i++) {
        strcat(have, strrchr(p.items[i], '/') + 1);
        strcat(have, " ");
    }
    if (status != MR_OK) strcpy(have, mr_status_of((int)status)->name);
    mr_paths_free(&p);
    assert_string_equal(have, want);
}

static void paths_are_found_in_order(void **state) {
    (void)state;
    char folder[] = "/tmp/millrace-test-XXXXXX", inner[64], pattern[64];
    static const char *const names[] = {"b.jsonl", "a.jsonl", "c.txt", "d.csv", "in/e.ndjson"};
    mr_error err;
    assert_non_null(mkdtemp(folder));
    snprintf(inner, sizeof inner, "%s/in", folder);
    assert_int_equal(mr_make_dirs(inner, 0700, &err), MR_OK);
    for (size_t i = 0; i < 5; i++) make_file(folder, names[i]);
    paths_are(folder, false, "a.jsonl b.jsonl e.ndjson ");
    paths_are(folder, true, "a.jsonl b.jsonl d.csv e.ndjson ");
    snprintf(pattern, sizeof pattern, "%s/*.jsonl", folder);
    paths_are(pattern, false, "a.jsonl b.jsonl ");
    snprintf(pattern, sizeof pattern, "%s/*.none", folder);
    paths_are(pattern, false, "E_NOT_FOUND");
    snprintf(pattern, sizeof pattern, "%s/absent", folder);
    paths_are(pattern, false, "E_NOT_FOUND");
    for (size_t i = 0; i < 5; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    paths_are(folder, true, "E_NOT_FOUND");
    rmdir(inner);
    rmdir(folder);
}

static void durations_and_bars_read_well(void **state) {
    (void)state;
    char text[32], bar[16];
    mr_duration_text(850, text);
    assert_string_equal(text, "850 ms");
    mr_duration_text(12400, text);
    assert_string_equal(text, "12.4 s");
    mr_duration_text(200000, text);
    assert_string_equal(text, "3 min 20 s");
    mr_duration_text(7500000, text);
    assert_string_equal(text, "2 h 5 min");
    mr_bar(5, 10, bar, 10);
    assert_string_equal(bar, "[#####.....]");
    mr_bar(0, 0, bar, 10);
    assert_string_equal(bar, "[..........]");
}

int main(void) {
    setenv("TZ", "UTC", 1);
    tzset();
    setlocale(LC_CTYPE, "C.UTF-8");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_whole),
        cmocka_unit_test(defaults_of_every_command_are_valid),
        cmocka_unit_test(settings_of_the_broker_are_known),
        cmocka_unit_test(wrong_command_lines_end_with_2),
        cmocka_unit_test(an_absent_broker_ends_with_10),
        cmocka_unit_test(committed_pages_are_fresh),
        cmocka_unit_test(migrations_are_the_files_of_deploy_sql),
        cmocka_unit_test(lists_become_aligned_tables),
        cmocka_unit_test(lists_become_arrays_of_objects),
        cmocka_unit_test(broken_replies_are_refused),
        cmocka_unit_test(paths_are_found_in_order),
        cmocka_unit_test(durations_and_bars_read_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
