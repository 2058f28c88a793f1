/* work.c: the slots of works, and the lists that they are on. */
#include "broker/core/state.h"

#include <string.h>

void mr_list_init(mr_list *l) {
    l->head = (mr_link){&l->head, &l->head};
    l->count = 0;
}

static void list_put(mr_list *l, mr_link *link, bool front) {
    mr_link *before = front ? l->head.next : &l->head;
    *link = (mr_link){before->prev, before};
    before->prev->next = link;
    before->prev = link;
    l->count++;
}

static void list_remove(mr_list *l, mr_link *link) {
    MR_ASSERT(l->count > 0);
    link->prev->next = link->next;
    link->next->prev = link->prev;
    *link = (mr_link){NULL, NULL};
    l->count--;
}

static mr_work *from_link(const mr_list *l, mr_link *link) {
    return link == &l->head ? NULL : (mr_work *)((char *)link - offsetof(mr_work, link));
}

static mr_work *from_side(const mr_list *l, mr_link *side) {
    return side == &l->head ? NULL : (mr_work *)((char *)side - offsetof(mr_work, side));
}

mr_work *mr_work_first(const mr_list *l) { return from_link(l, l->head.next); }
mr_work *mr_work_last_of(const mr_list *l) { return from_link(l, l->head.prev); }
mr_work *mr_work_next(const mr_list *l, const mr_work *w) { return from_link(l, w->link.next); }
mr_work *mr_work_side_first(const mr_list *l) { return from_side(l, l->head.next); }
mr_work *mr_work_side_last(const mr_list *l) { return from_side(l, l->head.prev); }
mr_work *mr_work_side_next(const mr_list *l, const mr_work *w) { return from_side(l, w->side.next); }

/* ---- slots ---- */

static mr_status add_chunk(mr_core *core) {
    void *grown = mr_room(core, core->chunk, &core->chunk_cap, core->chunks + 1);
    if (!grown) return MR_E_MEMORY;
    core->chunk = grown;
    mr_work *chunk = mr_new(core->config.mem, MR_POOL_CHUNK, sizeof *chunk);
    if (!chunk) return MR_E_MEMORY;
    for (uint32_t i = 0; i < MR_POOL_CHUNK; i++) {
        chunk[i].id = core->chunks * MR_POOL_CHUNK + i;
        list_put(&core->free, &chunk[i].link, false);
    }
    core->count[MR_W_FREE] += MR_POOL_CHUNK;
    core->chunk[core->chunks++] = chunk;
    return MR_OK;
}

mr_status mr_works_reserve(mr_core *core, uint32_t extra) {
    while (core->free.count < extra) MR_TRY(add_chunk(core));
    return mr_map_reserve(&core->by_key, core->config.mem, extra);
}

void mr_works_free(mr_core *core) {
    for (uint32_t i = 0; i < core->chunks; i++)
        mr_free(core->config.mem, core->chunk[i], MR_POOL_CHUNK, sizeof(mr_work));
    mr_free(core->config.mem, core->chunk, core->chunk_cap, sizeof *core->chunk);
}

mr_work *mr_work_by_id(const mr_core *core, uint32_t id) {
    return id / MR_POOL_CHUNK < core->chunks ? &core->chunk[id / MR_POOL_CHUNK][id % MR_POOL_CHUNK] : NULL;
}

/* ---- keys ---- */

/* 30 bits of serial, 3 of level, 31 of index. */
static uint64_t map_key(const mr_step *step, uint32_t level, uint32_t index) {
    return (uint64_t)step->serial << 34 | (uint64_t)level << 31 | index;
}

mr_work *mr_work_find(const mr_core *core, const mr_step *step, uint32_t level, uint32_t index) {
    return mr_map_get(&core->by_key, map_key(step, level, index));
}

mr_work_key mr_work_key_of(const mr_work *w) {
    return (mr_work_key){w->step->run->id, w->step->number, w->level, w->index};
}

bool mr_work_last(const mr_work *w) { return w->level + 1 == w->step->plan.levels; }

/* ---- moving ---- */

static bool of_step(mr_work_list list) { return list != MR_W_FREE && list != MR_W_ABANDONED; }

static mr_list *list_of(mr_core *core, const mr_work *w, mr_work_list list) {
    if (list == MR_W_FREE) return &core->free;
    if (list == MR_W_ABANDONED) return &core->abandoned;
    return &w->step->list[list];
}

static mr_list *side_of(mr_core *core, const mr_work *w, mr_work_list list) {
    if (list == MR_W_SENT) return &w->worker->sent;
    if (list == MR_W_WAITING) return &core->wheel[w->at_ms / MR_WHEEL_MS % MR_WHEEL_SLOTS];
    return NULL;
}

/* What follows from being on a list; +1 when it comes, -1 when it goes. */
static void count(mr_core *core, const mr_work *w, mr_work_list list, uint32_t change) {
    core->count[list] += change;
    if (!of_step(list)) return;
    w->step->lane->count[list] += change;
    if (list == MR_W_LOADING || list == MR_W_READY) w->step->share->coming += change;
    if (list == MR_W_COMMITTING) w->step->run->committing += change;
}

static void leave(mr_core *core, mr_work *w, mr_work_list to) {
    mr_list *side = side_of(core, w, w->list);
    list_remove(list_of(core, w, w->list), &w->link);
    if (side) list_remove(side, &w->side);
    if (w->list == MR_W_SENT) mr_map_remove(&core->by_attempt, w->attempt);
    if (of_step(w->list) && !of_step(to)) mr_map_remove(&core->by_key, map_key(w->step, w->level, w->index));
    count(core, w, w->list, (uint32_t)-1);
}

static void enter(mr_core *core, mr_work *w, mr_work_list to, bool front) {
    mr_list *side = side_of(core, w, to);
    list_put(list_of(core, w, to), &w->link, front);
    if (side) list_put(side, &w->side, false);
    if (to == MR_W_SENT) mr_map_put(&core->by_attempt, w->attempt, w);
    if (of_step(to) && !of_step(w->list)) mr_map_put(&core->by_key, map_key(w->step, w->level, w->index), w);
    count(core, w, to, 1);
}

void mr_work_move(mr_core *core, mr_work *w, mr_work_list to, bool front) {
    leave(core, w, to);
    enter(core, w, to, front);
    w->list = to;
    if (to != MR_W_SENT) {
        w->attempt = 0;
        w->worker = NULL;
    }
    if (!of_step(to)) w->step = NULL;
}

mr_work *mr_work_new(mr_core *core, mr_step *step, uint32_t level, uint32_t index, mr_work_list to) {
    mr_work *w = mr_work_first(&core->free);
    MR_ASSERT(w);
    *w = (mr_work){.link = w->link, .id = w->id, .step = step, .level = level, .index = index};
    mr_work_move(core, w, to, false);
    return w;
}

void mr_work_unload(mr_core *core, mr_work *w) {
    if (w->list != MR_W_READY && w->list != MR_W_SENT) return;
    mr_action *a = mr_act(core, MR_ACT_UNLOAD);
    a->key = mr_work_key_of(w);
    a->work = w->id;
    a->handle = w->blob;
}

void mr_act_cancel(mr_core *core, const mr_work *w) {
    mr_action *a = mr_act(core, MR_ACT_CANCEL_ATTEMPT);
    a->peer = w->worker->peer;
    a->attempt = w->attempt;
    a->key = mr_work_key_of(w);
}

void mr_work_recall(mr_core *core, mr_work *w) {
    if (w->list == MR_W_SENT) mr_act_cancel(core, w);
    mr_work_unload(core, w);
}

void mr_work_drop(mr_core *core, mr_work *w) {
    mr_work_recall(core, w);
    mr_work_move(core, w, w->list == MR_W_LOADING ? MR_W_ABANDONED : MR_W_FREE, true);
}

mr_work *mr_work_leave_load(mr_core *core, mr_work *w, mr_work_list to) {
    mr_work before = *w;
    mr_work_move(core, w, MR_W_ABANDONED, false);
    w = mr_work_new(core, before.step, before.level, before.index, to);
    memcpy(w->failed, before.failed, sizeof w->failed);
    w->load_failures = before.load_failures;
    return w;
}

void mr_work_back(mr_core *core, mr_work *w) {
    const mr_lane *lane = w->step->lane;
    MR_ASSERT(w->list == MR_W_SENT);
    uint64_t coming = (uint64_t)lane->count[MR_W_READY] + lane->count[MR_W_LOADING];
    if (!mr_limit_paused(w->step) && coming < mr_lane_limit(core, lane)) {
        mr_work_move(core, w, MR_W_READY, true);
        return;
    }
    mr_work_unload(core, w);
    mr_work_move(core, w, MR_W_PENDING, true);
}
