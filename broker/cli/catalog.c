#include "broker/cli/catalog.h"

#include "broker/cli/proc.h"

enum { CATALOG_MAX = 16 << 20, WORKER_MS = 10000 };

mr_status mr_catalog_local(mr_json **out, mr_error *err) {
    char worker[PATH_MAX];
    int code;
    MR_TRY(mr_proc_beside("millrace-worker", worker, err));
    const char *argv[] = {worker, "--components", "--json", NULL};
    mr_buf text;
    mr_buf_init(&text, NULL, CATALOG_MAX);
    mr_status status = mr_proc_capture(argv, WORKER_MS, false, &text, &code, err);
    if (status == MR_OK && code)
        status = mr_fail(err, MR_E_INTERNAL, "%s --components ended with %d", worker, code);
    if (status == MR_OK) status = mr_json_parse(mr_buf_span(&text), CATALOG_MAX, MR_JSON_DEPTH, out, err);
    mr_buf_free(&text);
    return status;
}

mr_status mr_catalog_of_reply(mr_span reply, mr_json **out, mr_error *err) {
    mr_unpack map, v;
    mr_span text;
    mr_unpack_init(&map, reply);
    if (mr_unpack_find(&map, "catalogue", &v) != MR_OK)
        return mr_fail(err, MR_E_PROTOCOL, "the broker's answer has no catalogue");
    MR_TRY(mr_unpack_str(&v, CATALOG_MAX, &text, err));
    return mr_json_parse(text, CATALOG_MAX, MR_JSON_DEPTH, out, err);
}
