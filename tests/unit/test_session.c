/* Who may send what in which state, and the arguments of commands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/pack.h"
#include "proto/gen/session.h"
#include "proto/gen/wire.h"

#include <stdio.h>
#include <string.h>

static void before_hello_nothing_else_is_taken(void **state) {
    (void)state;
    for (unsigned type = 0; type < 256; type++)
        assert_int_equal(mr_session_accepts(MR_SESSION_NEW, (uint8_t)type), type == MR_MSG_HELLO);
}

static void workers_and_clients_may_not_send_each_others_messages(void **state) {
    (void)state;
    assert_true(mr_session_accepts(MR_SESSION_WORKER, MR_MSG_RESULT));
    assert_true(mr_session_accepts(MR_SESSION_WORKER, MR_MSG_CREDIT));
    assert_false(mr_session_accepts(MR_SESSION_WORKER, MR_MSG_CALL));
    assert_true(mr_session_accepts(MR_SESSION_CLIENT, MR_MSG_CALL));
    assert_false(mr_session_accepts(MR_SESSION_CLIENT, MR_MSG_RESULT));
    assert_true(mr_session_sends(MR_SESSION_WORKER, MR_MSG_WORK));
    assert_false(mr_session_sends(MR_SESSION_CLIENT, MR_MSG_WORK));
    assert_true(mr_session_sends(MR_SESSION_CLIENT, MR_MSG_REPLY));
    assert_true(mr_session_sends(MR_SESSION_NEW, MR_MSG_REFUSE));
}

static void no_peer_may_send_what_only_the_broker_sends(void **state) {
    (void)state;
    static const mr_msg brokers[] = {MR_MSG_WELCOME, MR_MSG_REFUSE, MR_MSG_STEP,  MR_MSG_WORK, MR_MSG_ACK,
                                     MR_MSG_CANCEL,  MR_MSG_BLOB,   MR_MSG_REPLY, MR_MSG_EVENT};
    for (unsigned s = 0; s <= MR_SESSION_STATES; s++)
        for (size_t i = 0; i < sizeof brokers / sizeof *brokers; i++)
            assert_false(mr_session_accepts((mr_session_state)s, (uint8_t)brokers[i]));
}

static void each_command_is_found_by_number_and_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < MR_COMMAND_COUNT; i++) {
        const mr_command_row *row = &mr_commands[i];
        assert_ptr_equal(mr_command_find((uint16_t)row->number), row);
        assert_ptr_equal(mr_command_by_name(mr_span_of(row->name)), row);
        assert_true(row->arg_count <= MR_COMMAND_ARGS_MAX);
        assert_true(strlen(row->doc) > 0);
    }
    assert_null(mr_command_find(0));
    assert_null(mr_command_find(UINT16_MAX));
    assert_null(mr_command_by_name(mr_span_of("statu")));
    assert_null(mr_command_by_name(mr_span_of("")));
    assert_int_equal(mr_command_find(MR_CMD_STOP)->role, MR_ROLE_ADMIN);
    assert_int_equal(mr_command_find(MR_CMD_RUN)->role, MR_ROLE_PRODUCER);
}

static void roles_have_names_and_an_order(void **state) {
    (void)state;
    mr_role role = MR_ROLE_VIEWER;
    assert_true(MR_ROLE_VIEWER < MR_ROLE_PRODUCER && MR_ROLE_PRODUCER < MR_ROLE_OPERATOR);
    assert_true(MR_ROLE_OPERATOR < MR_ROLE_ADMIN);
    assert_true(mr_role_by_name(mr_span_of("operator"), &role));
    assert_int_equal(role, MR_ROLE_OPERATOR);
    assert_false(mr_role_by_name(mr_span_of("root"), &role));
    assert_string_equal(mr_role_name(MR_ROLE_ADMIN), "admin");
    assert_string_equal(mr_role_name(MR_ROLES), "unknown");
    assert_string_equal(mr_session_state_name(MR_SESSION_CLIENT), "client");
}

/* ---- arguments, on rows of our own so that new commands do not disturb the tests ---- */

static const mr_command_arg args_of_all_types[] = {
    {"small", MR_ARG_U32, true},  {"big", MR_ARG_U64, false}, {"text", MR_ARG_TEXT, false},
    {"flag", MR_ARG_BOOL, false}, {"map", MR_ARG_MAP, false}, {"list", MR_ARG_LIST, false},
};
static const mr_command_row all_types = {
    .name = "example", .doc = "An example.", .args = args_of_all_types, .arg_count = 6};

#define BYTES(s)                                                                                             \
    (mr_span) { (const uint8_t *)(s), sizeof(s) - 1 }

static void well_formed_arguments_pass(void **state) {
    (void)state;
    static const mr_span good[] = {
        BYTES("\x81\xa5small\x07"),
        BYTES("\x81\xa5small\xce\xff\xff\xff\xff"),
        BYTES("\x82\xa3"
              "big\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa5small\x00"),
        BYTES("\x84\xa5small\x00\xa4text\xa3\xe2\x82\xac\xa4"
              "flag\xc2\xa4list\x92\x01\x81\xa1k\xc0"),
        BYTES("\xdf\x00\x00\x00\x02\xa5small\x00\xa3map\x81\xa1k\xa1v"),
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        mr_error err = {0};
        if (mr_command_check_args(&all_types, good[i], &err)) fail_msg("row %zu: %s", i, err.text);
    }
}

static void other_arguments_are_refused_with_the_reason(void **state) {
    (void)state;
    static const struct {
        mr_span args;
        const char *reason;
    } bad[] = {
        {{NULL, 0}, "example: 'small' is missing"},
        {BYTES("\x80"), "example: 'small' is missing"},
        {BYTES("\x81\xa5small\xc0"), "example: 'small' is not of type u32"},
        {BYTES("\x81\xa5small\xff"), "example: 'small' is not of type u32"},
        {BYTES("\x81\xa5small\xcf\x00\x00\x00\x01\x00\x00\x00\x00"), "example: 'small' is not of type u32"},
        {BYTES("\x82\xa5small\x01\xa5small\x01"), "example: 'small' is given twice"},
        {BYTES("\x82\xa5small\x01\xa4smal\x01"), "example: there is no argument 'smal'"},
        {BYTES("\x82\xa5small\x01\xa0\x01"), "example: there is no argument ''"},
        {BYTES("\x82\xa5small\x01\xa3"
               "big\xa1"
               "1"),
         "'big' is not of type u64"},
        {BYTES("\x82\xa5small\x01\xa4text\xc4\x01x"), "'text' is not of type text"},
        {BYTES("\x82\xa5small\x01\xa4"
               "flag\x01"),
         "'flag' is not of type bool"},
        {BYTES("\x82\xa5small\x01\xa3map\x90"), "'map' is not of type map"},
        {BYTES("\x82\xa5small\x01\xa4list\x80"), "'list' is not of type list"},
        {BYTES("\x82\xa5small\x01\xa4text\xa2\xc3("), "a text is not UTF-8"},
        {BYTES("\x82\xa5small\x01\xa4list\x91\xa3"
               "a\0b"),
         "a text is not UTF-8, or holds a NUL"},
        {BYTES("\x81\xa5small\x01\x00"), "1 bytes follow the map"},
        {BYTES("\x91\xa5small"), "example: "},
        {BYTES("\x81\x05\x05"), "example: "},
        {BYTES("\x82\xa5small\x01"), "example: "},
        {BYTES("\xdf\xff\xff\xff\xff\xa5small\x01"), "example: "},
        {BYTES("\x82\xa5small\x01\xa4list\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\xc0"),
         "nested too deep"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mr_error err = {0};
        assert_int_equal(mr_command_check_args(&all_types, bad[i].args, &err), MR_E_INVALID);
        assert_int_equal(err.status, MR_E_INVALID);
        if (!strstr(err.text, bad[i].reason)) fail_msg("row %zu: %s", i, err.text);
        assert_int_equal(mr_command_check_args(&all_types, bad[i].args, NULL), MR_E_INVALID);
    }
}

static void a_command_without_arguments_takes_an_empty_map_or_nothing(void **state) {
    (void)state;
    const mr_command_row *status = mr_command_find(MR_CMD_STATUS);
    assert_int_equal(mr_command_check_args(status, (mr_span){NULL, 0}, NULL), MR_OK);
    assert_int_equal(mr_command_check_args(status, BYTES("\x80"), NULL), MR_OK);
    assert_int_equal(mr_command_check_args(status, BYTES("\x81\xa1x\x01"), NULL), MR_E_INVALID);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_hello_nothing_else_is_taken),
        cmocka_unit_test(workers_and_clients_may_not_send_each_others_messages),
        cmocka_unit_test(no_peer_may_send_what_only_the_broker_sends),
        cmocka_unit_test(each_command_is_found_by_number_and_by_name),
        cmocka_unit_test(roles_have_names_and_an_order),
        cmocka_unit_test(well_formed_arguments_pass),
        cmocka_unit_test(other_arguments_are_refused_with_the_reason),
        cmocka_unit_test(a_command_without_arguments_takes_an_empty_map_or_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
