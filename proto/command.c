#include "proto/gen/session.h"

#include "common/pack.h"
#include "proto/codec.h"
#include "proto/gen/wire.h"

#include <string.h>

const mr_command_row *mr_command_find(uint16_t number) {
    for (size_t i = 0; i < MR_COMMAND_COUNT; i++)
        if ((unsigned)mr_commands[i].number == number) return &mr_commands[i];
    return NULL;
}

const mr_command_row *mr_command_by_name(mr_span name) {
    for (size_t i = 0; i < MR_COMMAND_COUNT; i++)
        if (mr_span_eq(mr_span_of(mr_commands[i].name), name)) return &mr_commands[i];
    return NULL;
}

bool mr_role_by_name(mr_span name, mr_role *out) {
    for (unsigned i = 0; i < MR_ROLES; i++) {
        if (!mr_span_eq(mr_span_of(mr_role_name((mr_role)i)), name)) continue;
        *out = (mr_role)i;
        return true;
    }
    return false;
}

static bool fits(mr_arg_type type, const mr_pack_value *v) {
    switch (type) {
    case MR_ARG_U32:
        return v->type == MR_PACK_UINT && v->as.u <= UINT32_MAX;
    case MR_ARG_U64:
        return v->type == MR_PACK_UINT;
    case MR_ARG_TEXT:
        return v->type == MR_PACK_STR;
    case MR_ARG_BOOL:
        return v->type == MR_PACK_BOOL;
    case MR_ARG_MAP:
        return v->type == MR_PACK_MAP;
    case MR_ARG_LIST:
        return v->type == MR_PACK_ARRAY;
    }
    return false;
}

/* One value that fills the bytes, and every text in it, however deep, fit to be stored. */
static mr_status check_bytes(mr_span args, mr_error *err) {
    size_t length;
    MR_TRY(mr_pack_scan(args, MR_WIRE_DEPTH_MAX, args.len, &length, err));
    if (length != args.len) return mr_fail(err, MR_E_INVALID, "%zu bytes follow the map", args.len - length);
    mr_unpack u;
    mr_unpack_init(&u, args);
    while (!mr_unpack_done(&u)) {
        mr_pack_value v;
        MR_TRY(mr_unpack_next(&u, &v, err));
        if (v.type == MR_PACK_STR && !mr_codec_text_ok(v.as.bytes))
            return mr_fail(err, MR_E_INVALID, "a text is not UTF-8, or holds a NUL");
    }
    return MR_OK;
}

/* The number of the argument with that name; arg_count when there is none. */
static uint16_t place(const mr_command_row *row, mr_span name) {
    uint16_t i = 0;
    while (i < row->arg_count && !mr_span_eq(mr_span_of(row->args[i].name), name)) i++;
    return i;
}

static mr_status check_pair(const mr_command_row *row, mr_unpack *u, uint32_t *seen, mr_error *err) {
    mr_span name;
    mr_pack_value v;
    MR_TRY(mr_unpack_str(u, UINT32_MAX, &name, err));
    uint16_t i = place(row, name);
    if (i == row->arg_count)
        return mr_fail(err, MR_E_INVALID, "there is no argument '%.*s'",
                       MR_SPAN_ARG(mr_codec_text_cut(name, 64)));
    const mr_command_arg *arg = &row->args[i];
    if (*seen & 1u << i) return mr_fail(err, MR_E_INVALID, "'%s' is given twice", arg->name);
    *seen |= 1u << i;
    mr_unpack value = *u;
    MR_TRY(mr_unpack_next(&value, &v, err));
    if (!fits(arg->type, &v))
        return mr_fail(err, MR_E_INVALID, "'%s' is not of type %s", arg->name, mr_arg_type_name(arg->type));
    return mr_unpack_skip(u, err);
}

static mr_status check_map(const mr_command_row *row, mr_span args, mr_error *err) {
    mr_unpack u;
    uint32_t count = 0, seen = 0;
    mr_unpack_init(&u, args);
    if (args.len) {
        MR_TRY(check_bytes(args, err));
        MR_TRY(mr_unpack_map(&u, UINT32_MAX, &count, err));
    }
    for (uint32_t i = 0; i < count; i++) MR_TRY(check_pair(row, &u, &seen, err));
    for (uint16_t i = 0; i < row->arg_count; i++)
        if (row->args[i].required && !(seen & 1u << i))
            return mr_fail(err, MR_E_INVALID, "'%s' is missing", row->args[i].name);
    return MR_OK;
}

mr_status mr_command_check_args(const mr_command_row *row, mr_span args, mr_error *err) {
    mr_status status = check_map(row, args, err);
    if (status == MR_OK || !err) return status == MR_OK ? MR_OK : MR_E_INVALID;
    err->status = MR_E_INVALID;
    return mr_fail_in(err, "%s", row->name);
}
