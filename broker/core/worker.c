/* worker.c: the sessions of workers: what they offer, their credit, and when they were last heard of. */
#include "broker/core/state.h"

#include <string.h>

mr_worker *mr_worker_by_peer(const mr_core *core, uint32_t peer) { return mr_map_get(&core->by_peer, peer); }

bool mr_worker_offers(const mr_worker *w, const mr_lane *lane) {
    for (uint32_t i = 0; i < w->lanes; i++)
        if (w->lane[i] == lane) return true;
    return false;
}

void mr_worker_credit(mr_core *core, mr_worker *w, int64_t change) {
    int64_t credit = (int64_t)w->credit + change;
    MR_ASSERT(credit >= 0);
    if (credit > UINT32_MAX) credit = UINT32_MAX;
    uint64_t added = (uint64_t)credit - w->credit;
    w->credit = (uint32_t)credit;
    core->credit += added;
    for (uint32_t i = 0; i < w->lanes; i++) w->lane[i]->credit += added;
}

/* ---- joining ---- */

static mr_status check_hello(const mr_event *event, mr_error *err) {
    const char *name = event->as.joined.name;
    if (!name || strnlen(name, MR_NAME_MAX) == MR_NAME_MAX)
        return mr_fail(err, MR_E_INVALID, "peer %u: a worker needs a name of less than %d bytes", event->peer,
                       MR_NAME_MAX);
    if (event->as.joined.offers > MR_OFFERS_MAX)
        return mr_fail(err, MR_E_LIMIT, "worker %s offers %u components; %d is the most", name,
                       event->as.joined.offers, MR_OFFERS_MAX);
    for (uint32_t i = 0; i < event->as.joined.offers; i++)
        if (strnlen(event->as.joined.offer[i].name, MR_NAME_MAX) == MR_NAME_MAX)
            return mr_fail(err, MR_E_INVALID, "worker %s: the name of offer %u has no end", name, i);
    return MR_OK;
}

void mr_worker_free(mr_core *core, mr_worker *w) {
    const mr_mem *mem = core->config.mem;
    mr_free(mem, w->offer, w->offers, sizeof *w->offer);
    mr_free(mem, w->lane, w->offers, sizeof *w->lane);
    mr_map_free(&w->told, mem);
    mr_free(mem, w, 1, sizeof *w);
}

static mr_status lane_room(mr_core *core, mr_lane *lane) {
    void *grown = mr_room(core, lane->worker, &lane->cap, lane->workers + 1);
    if (!grown) return MR_E_MEMORY;
    lane->worker = grown;
    return MR_OK;
}

/* Copies the offers and finds the lane of each, with room for one more worker; nobody sees the worker yet. */
static mr_status fill(mr_core *core, mr_worker *w, const mr_event *event) {
    mr_list_init(&w->sent);
    mr_sentence(w->name, sizeof w->name, event->as.joined.name);
    w->peer = event->peer;
    w->slots = event->as.joined.slots;
    w->seen_ms = core->now_ms;
    uint32_t offers = event->as.joined.offers;
    if (!offers) return MR_OK;
    w->offer = mr_new(core->config.mem, offers, sizeof *w->offer);
    w->lane = mr_new(core->config.mem, offers, sizeof *w->lane);
    w->offers = offers;
    if (!w->offer || !w->lane) return MR_E_MEMORY;
    memcpy(w->offer, event->as.joined.offer, offers * sizeof *w->offer);
    for (uint32_t i = 0; i < offers; i++) {
        mr_lane *lane;
        MR_TRY(mr_lane_get(core, w->offer[i].name, w->offer[i].version, &lane));
        if (mr_worker_offers(w, lane)) continue;
        MR_TRY(lane_room(core, lane));
        w->lane[w->lanes++] = lane;
    }
    return MR_OK;
}

static mr_status worker_room(mr_core *core) {
    void *grown = mr_room(core, core->worker, &core->worker_cap, core->workers + 1);
    if (!grown) return MR_E_MEMORY;
    core->worker = grown;
    return mr_map_reserve(&core->by_peer, core->config.mem, 1);
}

static void attach(mr_core *core, mr_worker *w) {
    core->worker[core->workers++] = w;
    mr_map_put(&core->by_peer, w->peer, w);
    for (uint32_t i = 0; i < w->lanes; i++) w->lane[i]->worker[w->lane[i]->workers++] = w;
}

/* ---- leaving ---- */

static void detach(mr_core *core, mr_worker *w) {
    mr_worker_credit(core, w, -(int64_t)w->credit);
    for (uint32_t i = 0; i < w->lanes; i++) {
        mr_lane *lane = w->lane[i];
        for (uint32_t k = 0; k < lane->workers; k++)
            if (lane->worker[k] == w) lane->worker[k--] = lane->worker[--lane->workers];
    }
    for (uint32_t i = 0; i < core->workers; i++)
        if (core->worker[i] == w) core->worker[i--] = core->worker[--core->workers];
    mr_map_remove(&core->by_peer, w->peer);
}

void mr_worker_gone(mr_core *core, mr_worker *w) {
    detach(core, w);
    for (uint32_t i = 0; i < w->lanes; i++) mr_lane_trim(core, w->lane[i]);
    /* From the last to the first, each to the front: so they come again in their order. */
    for (mr_work *work; (work = mr_work_side_last(&w->sent));) mr_work_back(core, work);
    mr_worker_free(core, w);
}

mr_status mr_worker_joined(mr_core *core, const mr_event *event, mr_error *err) {
    MR_TRY(check_hello(event, err));
    mr_worker *w = mr_new(core->config.mem, 1, sizeof *w);
    mr_status status = w ? fill(core, w, event) : MR_E_MEMORY;
    if (status == MR_OK) status = worker_room(core);
    if (status != MR_OK) {
        if (w) mr_worker_free(core, w);
        return mr_fail(err, status, "no memory for worker %s; it may try again later", event->as.joined.name);
    }
    mr_worker *before = mr_worker_by_peer(core, w->peer);
    if (before) mr_worker_gone(core, before);
    attach(core, w);
    return MR_OK;
}

static void lost(mr_core *core, mr_worker *w) {
    mr_act(core, MR_ACT_WORKER_LOST)->peer = w->peer;
    core->total.lost++;
    mr_worker_gone(core, w);
}

void mr_workers_tick(mr_core *core) {
    for (uint32_t i = core->workers; i-- > 0;)
        if (core->now_ms - core->worker[i]->seen_ms >= core->config.lost_after_ms)
            lost(core, core->worker[i]);
}
