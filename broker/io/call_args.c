#include "broker/io/call_args.h"

bool mr_arg_find(mr_span args, const char *name, mr_unpack *value) {
    mr_unpack map;
    mr_unpack_init(&map, args);
    return args.len && mr_unpack_find(&map, name, value) == MR_OK;
}

uint64_t mr_arg_number(mr_span args, const char *name, uint64_t def) {
    mr_unpack value;
    uint64_t v;
    mr_error err;
    if (!mr_arg_find(args, name, &value)) return def;
    return mr_unpack_u64(&value, INT64_MAX, &v, &err) == MR_OK ? v : def;
}

bool mr_arg_beyond(mr_span args, const char *name) {
    mr_unpack value;
    uint64_t v;
    mr_error err;
    return mr_arg_find(args, name, &value) && mr_unpack_u64(&value, UINT64_MAX, &v, &err) == MR_OK && v > INT64_MAX;
}

mr_span mr_arg_text(mr_span args, const char *name) {
    mr_unpack value;
    mr_span v;
    mr_error err;
    if (!mr_arg_find(args, name, &value) || mr_unpack_str(&value, SIZE_MAX, &v, &err) != MR_OK) return (mr_span){0};
    return v;
}

bool mr_arg_flag(mr_span args, const char *name) {
    mr_unpack value;
    bool v = false;
    mr_error err;
    return mr_arg_find(args, name, &value) && mr_unpack_bool(&value, &v, &err) == MR_OK && v;
}
