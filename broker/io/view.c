/* view.c: the live state, as the documents that clients read. */
#include "broker/io/broker.h"

#include "broker/io/delivery.h"
#include "common/json.h"
#include "common/pack.h"

#include <string.h>

static void number(mr_buf *out, const char *name, uint64_t v) {
    mr_pack_text(out, name);
    mr_pack_u64(out, v);
}

static void text(mr_buf *out, const char *name, const char *v) {
    mr_pack_text(out, name);
    mr_pack_text(out, v);
}

static void columns(mr_buf *out, const char *const *names, uint32_t n) {
    mr_pack_text(out, "columns");
    mr_pack_array(out, n);
    for (uint32_t i = 0; i < n; i++) mr_pack_text(out, names[i]);
    mr_pack_text(out, "rows");
}

static void view_workers_summary(mr_broker *b, mr_buf *out, uint32_t workers) {
    uint64_t slots = 0, sent = 0;
    mr_worker_view w;
    for (uint32_t i = 0; mr_core_worker_at(b->core, i, &w); i++) {
        slots += w.slots;
        sent += w.sent;
    }
    mr_pack_text(out, "workers");
    mr_pack_map(out, 3);
    number(out, "count", workers);
    number(out, "slots", slots);
    number(out, "sent", sent);
}

void mr_view_status(mr_broker *b, mr_buf *out) {
    mr_core_stats s;
    mr_core_stats_get(b->core, &s);
    mr_pack_map(out, 6);
    mr_pack_text(out, "broker");
    mr_pack_map(out, 6);
    text(out, "name", b->settings.name);
    text(out, "version", MR_VERSION);
    text(out, "address", mr_socket_address(b->router));
    number(out, "uptime_ms", mr_broker_now_ms() - b->started_ms);
    number(out, "partitions", mr_partitions_count(atomic_load(&b->lease.open)));
    text(out, "state", b->phase == MR_SERVING ? "serving" : "draining");
    view_workers_summary(b, out, s.workers);
    mr_pack_text(out, "runs");
    mr_pack_map(out, 1);
    number(out, "running", s.runs);
    mr_pack_text(out, "work");
    mr_pack_map(out, 5);
    number(out, "loading", s.loading);
    number(out, "ready", s.ready);
    number(out, "sent", s.sent);
    number(out, "committing", s.committing);
    number(out, "waiting_retry", s.waiting_retry);
    mr_pack_text(out, "totals");
    mr_pack_map(out, 7);
    number(out, "dispatched", s.dispatched);
    number(out, "messages", b->work_messages); /* in which they went */
    number(out, "committed", s.committed);
    number(out, "stale", s.stale);
    number(out, "refused", s.refused);
    number(out, "failed", s.failed);
    number(out, "lost", s.lost);
    mr_pack_text(out, "queues"); /* jobs that wait for a desk */
    mr_pack_map(out, 6);
    number(out, "ledger", mr_queue_count(&b->ledger.in));
    number(out, "loader", mr_queue_count(&b->loader.in));
    number(out, "reader", mr_queue_count(&b->reader.in));
    number(out, "intake", mr_queue_count(&b->intake.in));
    number(out, "planner", mr_queue_count(&b->planner.in));
    number(out, "submit", mr_queue_count(&b->submits.in));
}

void mr_view_workers(mr_broker *b, mr_buf *out) {
    static const char *const names[] = {"name", "slots", "sent", "credit", "done", "failed", "silent_ms", "components"};
    mr_worker_view w;
    uint64_t now = mr_broker_now_ms();
    mr_pack_map(out, 2);
    columns(out, names, 8);
    size_t at = mr_pack_open_array(out);
    uint32_t n = 0;
    for (; mr_core_worker_at(b->core, n, &w); n++) {
        mr_pack_array(out, 8);
        mr_pack_text(out, w.name);
        mr_pack_u64(out, w.slots);
        mr_pack_u64(out, w.sent);
        mr_pack_u64(out, w.credit);
        mr_pack_u64(out, w.done);
        mr_pack_u64(out, w.failed);
        mr_pack_u64(out, now > w.seen_ms ? now - w.seen_ms : 0);
        mr_pack_u64(out, w.offers);
    }
    mr_pack_patch(out, at, n);
}

static uint32_t workers_with(mr_broker *b, mr_span component) {
    mr_worker_view w;
    uint32_t n = 0;
    for (uint32_t i = 0; mr_core_worker_at(b->core, i, &w); i++)
        for (uint32_t o = 0; o < w.offers; o++) n += mr_span_eq(mr_span_of(w.offer[o].name), component);
    return n;
}

void mr_view_components(mr_broker *b, mr_buf *out) {
    static const char *const names[] = {"name", "version", "kind", "shape", "tier", "workers"};
    const mr_json *list = b->catalogue.count ? b->catalogue.doc[0].list : NULL;
    mr_pack_map(out, 3);
    columns(out, names, 6);
    mr_pack_array(out, (uint32_t)mr_json_count(list));
    for (size_t i = 0; i < mr_json_count(list); i++) {
        const mr_json *c = mr_json_item(list, i);
        mr_span name = {0};
        mr_json_text(mr_json_member(c, "name"), &name);
        mr_pack_array(out, 6);
        for (int m = 0; m < 5; m++) mr_json_to_pack(mr_json_member(c, names[m]), out);
        mr_pack_u64(out, workers_with(b, name));
    }
    mr_pack_text(out, "catalogue");
    mr_pack_str(out, mr_catalogue_text(&b->catalogue));
}

void mr_view_limits(mr_broker *b, mr_buf *out) {
    static const char *const names[] = {"kind", "name", "max_concurrent", "per_second", "burst", "out", "paused"};
    mr_rule_view v;
    uint32_t n = 0;
    mr_pack_map(out, 2);
    columns(out, names, 7);
    size_t at = mr_pack_open_array(out);
    for (uint32_t i = 0; mr_core_rule_at(b->core, i, &v); i++) {
        if (!v.rule->max_concurrent && v.rule->per_second <= 0) continue;
        n++;
        mr_pack_array(out, 7);
        mr_pack_text(out, mr_rule_word(v.rule->of));
        mr_pack_text(out, v.rule->name);
        mr_pack_u64(out, v.rule->max_concurrent);
        mr_pack_f64(out, v.rule->per_second);
        mr_pack_u64(out, v.rule->per_second > 0 ? v.rule->burst : 0);
        mr_pack_u64(out, v.sent);
        mr_pack_bool(out, v.rule->paused);
    }
    mr_pack_patch(out, at, n);
}

void mr_view_config(mr_broker *b, mr_buf *out) {
    static const char *const names[] = {"name", "value", "source", "help"};
    mr_buf word;
    uint32_t n = 0;
    mr_buf_init(&word, NULL, 4096);
    mr_pack_map(out, 2);
    columns(out, names, 4);
    size_t at = mr_pack_open_array(out);
    for (const mr_option *row = mr_broker_options; row->name; row++, n++) {
        mr_pack_array(out, 4);
        mr_pack_text(out, row->name);
        mr_buf_clear(&word);
        mr_option_get(row, &b->settings, &word);
        mr_pack_str(out, mr_buf_span(&word));
        mr_buf_clear(&word);
        mr_origin_text(mr_broker_options, row, &b->origins, &word);
        mr_pack_str(out, mr_buf_span(&word));
        mr_pack_text(out, row->help);
    }
    mr_pack_patch(out, at, n);
    mr_buf_free(&word);
}
