#include "worker/kit/policy_put.h"
#include "worker/kit/put.h"

void mr_put_ends(mr_out *out, const char *field, mr_value v) {
    mr_put_pair(out, field, v.low, v.high);
}

static void put_value(mr_out *out, const char *field, const char *ends, mr_value v) {
    mr_out_number(out, field, v.value);
    mr_put_ends(out, ends, v);
}

void mr_put_off_policy(mr_out *out, const mr_off_policy *v) {
    put_value(out, "ips", "ips_interval", v->ips);
    put_value(out, "snips", "snips_interval", v->snips);
    put_value(out, "dr", "dr_interval", v->dr);
    mr_out_number(out, "largest_weight", v->largest_weight);
    mr_out_number(out, "effective_rows", v->effective);
}

void mr_put_policy(mr_out *out, const char *name, const mr_off_policy *v) {
    mr_out_open_map(out, NULL);
    mr_out_text(out, "policy", "%s", name);
    mr_put_off_policy(out, v);
    mr_out_close(out);
}
