#include "worker/core/link_state.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

/* ---- steps ---- */

static link_step *step_find(mr_link *l, uint64_t run, uint16_t step) {
    for (uint32_t i = l->step_count; i-- > 0;)
        if (l->steps[i].run == run && l->steps[i].step == step) return &l->steps[i];
    return NULL;
}

/* A place for one more; when there are too many, the oldest one's. */
static link_step *step_place(mr_link *l) {
    if (l->step_count == LINK_STEPS_MAX) {
        link_step *s = &l->steps[l->step_oldest++ % LINK_STEPS_MAX];
        mr_buf_free(&s->options);
        return s;
    }
    if (l->step_count == l->step_cap) {
        uint32_t cap = l->step_cap ? 2 * l->step_cap : 16;
        link_step *fresh = mr_grow(l->config.mem, l->steps, l->step_cap, cap, sizeof *fresh);
        if (!fresh) return NULL;
        l->steps = fresh;
        l->step_cap = cap;
    }
    return &l->steps[l->step_count++];
}

static int32_t component_place(const mr_link *l, mr_span name) {
    for (int32_t i = 0; l->config.table[i]; i++)
        if (mr_span_eq(mr_span_of(l->config.table[i]->name), name)) return i;
    return -1;
}

void mr_link_on_step(mr_link *l, const mr_wire_step *step) {
    link_step *s = step_find(l, step->run, step->step);
    if (s)
        mr_buf_free(&s->options);
    else
        s = step_place(l);
    if (!s) return; /* its work is then answered as of an unknown step */
    *s = (link_step){.run = step->run,
                     .step = step->step,
                     .seed = step->seed,
                     .version = step->version,
                     .component = component_place(l, step->component)};
    snprintf(s->name, sizeof s->name, "%.*s", MR_SPAN_ARG(step->component));
    mr_buf_init(&s->options, l->config.mem, MR_MAX_STEP_OPTIONS);
    mr_buf_put(&s->options, step->options.data, step->options.len);
}

void mr_link_forget_steps(mr_link *l) {
    for (uint32_t i = 0; i < l->step_count; i++) mr_buf_free(&l->steps[i].options);
    l->step_count = 0;
    l->step_oldest = 0;
}

/* MR_OK when this worker can do the step's work; else the reason in `text`. */
static mr_status step_check(mr_link *l, const mr_wire_work_item *w, char *text, size_t room) {
    const link_step *s = step_find(l, w->run, w->step);
    text[0] = 0;
    if (!s || mr_buf_status(&s->options) != MR_OK) {
        snprintf(text, room, "the worker was not told what step %u of run %llu is", w->step,
                 (unsigned long long)w->run);
        return MR_E_NOT_FOUND;
    }
    if (s->component < 0) {
        snprintf(text, room, "this worker has no component '%s'", s->name);
        return MR_E_NOT_FOUND;
    }
    uint32_t version = l->config.table[s->component]->version;
    if (version == s->version) return MR_OK;
    snprintf(text, room, "this worker has version %u of %s, not %u", version, s->name, s->version);
    return MR_E_CONFLICT;
}

/* ---- items ---- */

/* Work mostly ends in the order it came. */
link_item *mr_link_item_find(mr_link *l, uint64_t attempt) {
    if (l->items && l->items->work.attempt == attempt) return l->items;
    return mr_map_get(&l->item_of, attempt);
}

/* Counts what is ready and what runs. */
void mr_link_item_state(mr_link *l, link_item *item, link_item_state state) {
    l->ready += (state == ITEM_READY) - (uint32_t)(item->state == ITEM_READY);
    l->running += (state == ITEM_RUNNING) - (uint32_t)(item->state == ITEM_RUNNING);
    item->state = state;
}

static link_item *item_new(mr_link *l) {
    link_item *item = l->spare_items;
    if (!item) return mr_new(l->config.mem, 1, sizeof *item);
    l->spare_items = item->next;
    l->spares--;
    *item = (link_item){0};
    return item;
}

static void item_free(mr_link *l, link_item *item) {
    if (l->spares >= LINK_SPARES_MAX) {
        mr_free(l->config.mem, item, 1, sizeof *item);
        return;
    }
    item->next = l->spare_items;
    l->spare_items = item;
    l->spares++;
}

void mr_link_item_remove(mr_link *l, link_item *item) {
    mr_link_item_state(l, item, ITEM_FETCHING);
    mr_map_remove(&l->item_of, item->work.attempt);
    DL_DELETE(l->items, item);
    l->item_count--;
    mr_buf_free(&item->input);
    item_free(l, item);
}

static link_item *item_add(mr_link *l, const mr_wire_work_item *w) {
    if (mr_map_reserve(&l->item_of, l->config.mem, 1) != MR_OK) return NULL;
    link_item *item = item_new(l);
    if (!item) return NULL;
    item->work = *w;
    mr_buf_init(&item->input, l->config.mem, w->size);
    mr_map_put(&l->item_of, w->attempt, item);
    DL_APPEND(l->items, item);
    l->item_count++;
    if (w->attempt > l->newest) l->newest = w->attempt;
    mr_link_lately(&l->input_bytes, w->size);
    l->totals.taken++;
    return item;
}

void mr_link_give_back(mr_link *l, const uint64_t *attempts, uint32_t n) {
    mr_wire m = {.type = MR_MSG_RELEASE, .as.release = {.attempts = attempts, .attempt_count = n}};
    /* Unsent, the broker finds them lost with the session; so no more than a log line is due. */
    if (n && l->session == SESSION_OPEN && mr_link_send(l, &m, (mr_span){0}) != MR_OK)
        MR_LOG(l->config.log, MR_LOG_WARN, "link", "release_unsent", MR_LOG_INT("attempts", n));
}

void mr_link_release(mr_link *l, bool tell, bool with_running) {
    enum { AT_ONCE = 256 };
    uint64_t attempts[AT_ONCE];
    uint32_t n = 0;
    for (link_item *i = l->items, *next; i; i = next) {
        next = i->next;
        if (i->state == ITEM_RUNNING && !with_running) continue;
        attempts[n++] = i->work.attempt;
        mr_link_item_remove(l, i);
        if (n < AT_ONCE) continue;
        if (tell) mr_link_give_back(l, attempts, n);
        n = 0;
    }
    if (tell) mr_link_give_back(l, attempts, n);
}

/* ---- inputs ---- */

/* An input that came in its message may come without a hash. */
static bool is_sound(const mr_wire_work_item *w, mr_span input) {
    static const mr_hash none;
    if (input.len != w->size) return false;
    if (w->inlined && mr_hash_eq(&w->hash, &none)) return true;
    mr_hash hash = mr_hash_of(input);
    return mr_hash_eq(&hash, &w->hash);
}

static bool input_is_sound(const link_item *item) { return is_sound(&item->work, mr_buf_span(&item->input)); }

static void ask(mr_link *l, uint64_t now_ms, link_item *item) {
    uint64_t left = item->work.size - item->input.len;
    item->request = ++l->next_request;
    item->asked_ms = now_ms;
    mr_wire m = {.type = MR_MSG_FETCH,
                 .as.fetch = {.request = item->request,
                              .attempt = item->work.attempt,
                              .offset = item->input.len,
                              .length = left < LINK_FETCH_CHUNK ? (uint32_t)left : LINK_FETCH_CHUNK}};
    if (mr_link_send(l, &m, (mr_span){0}) != MR_OK) item->asked_ms = 0; /* again at the next tick */
}

void mr_link_fetch_again(mr_link *l, uint64_t now_ms) {
    for (link_item *i = l->items; i; i = i->next)
        if (i->state == ITEM_FETCHING && now_ms - i->asked_ms >= l->config.resend_ms) ask(l, now_ms, i);
}

static void refuse_input(mr_link *l, link_item *item) {
    mr_link_answer(l, item, MR_E_CORRUPT, "the input's bytes do not match their hash");
}

static void check_input(mr_link *l, link_item *item) {
    if (input_is_sound(item))
        mr_link_item_state(l, item, ITEM_READY);
    else
        refuse_input(l, item);
}

/* MR_E_FULL when no slot is free. */
static mr_status start(mr_link *l, link_item *item, mr_span input, mr_error *err) {
    const link_step *s = step_find(l, item->work.run, item->work.step);
    if (!s) return mr_fail(err, MR_E_NOT_FOUND, "the step of this work was forgotten");
    mr_slot_job job = {.attempt = item->work.attempt,
                       .seed = s->seed,
                       .component = (uint32_t)s->component,
                       .level = item->work.level,
                       .index = item->work.index,
                       .last = item->work.last,
                       .deadline_ms = item->work.deadline_ms,
                       .options_len = (uint32_t)s->options.len,
                       .input_len = input.len};
    if (!job.deadline_ms) job.deadline_ms = l->config.table[s->component]->deadline_ms;
    return l->port.start(l->port.self, &job, mr_buf_span(&s->options), input, err);
}

/* False when it has to wait for a slot. */
static bool start_now(mr_link *l, link_item *item, mr_span input) {
    mr_error err = {0};
    mr_status status = start(l, item, input, &err);
    if (status == MR_E_FULL) return false;
    if (status != MR_OK) {
        mr_link_answer(l, item, status, err.text);
        return true;
    }
    mr_link_item_state(l, item, ITEM_RUNNING);
    mr_buf_free(&item->input); /* the slot has its own copy */
    return true;
}

/* Straight from the message into a slot, when nothing waits that came before. */
static void take_inline(mr_link *l, link_item *item, mr_span bytes) {
    if (!is_sound(&item->work, bytes)) {
        refuse_input(l, item);
        return;
    }
    if (!l->ready && start_now(l, item, bytes)) return;
    mr_buf_put(&item->input, bytes.data, bytes.len);
    if (mr_buf_status(&item->input) != MR_OK)
        mr_link_answer(l, item, MR_E_MEMORY, "no memory for the input");
    else
        mr_link_item_state(l, item, ITEM_READY);
}

static void get_input(mr_link *l, uint64_t now_ms, link_item *item, mr_span bytes) {
    if (item->work.inlined) {
        take_inline(l, item, bytes);
        return;
    }
    if (l->port.cached && l->port.cached(l->port.self, &item->work.hash, item->work.size, &item->input) &&
        input_is_sound(item)) {
        mr_link_item_state(l, item, ITEM_READY);
        return;
    }
    mr_buf_clear(&item->input);
    mr_link_item_state(l, item, ITEM_FETCHING);
    ask(l, now_ms, item);
}

void mr_link_on_blob(mr_link *l, uint64_t now_ms, const mr_wire_blob *blob, mr_span body) {
    link_item *i = l->items;
    while (i && !(i->state == ITEM_FETCHING && i->request == blob->request)) i = i->next;
    if (!i) return; /* of an earlier request */
    if (blob->status != MR_OK) {
        mr_link_answer(l, i, mr_status_of(blob->status)->status, "the broker did not have the input");
        return;
    }
    bool fits = blob->total == i->work.size && blob->offset == i->input.len && body.len &&
                body.len <= i->work.size - i->input.len;
    if (!fits) {
        mr_link_answer(l, i, MR_E_CORRUPT, "the pieces of the input do not fit together");
        return;
    }
    mr_buf_put(&i->input, body.data, body.len);
    if (mr_buf_status(&i->input) != MR_OK)
        mr_link_answer(l, i, MR_E_MEMORY, "no memory for the input");
    else if (i->input.len < i->work.size)
        ask(l, now_ms, i);
    else
        check_input(l, i);
}

/* ---- work ---- */

/* How many attempts are worth holding: enough that no slot waits for the broker, and few where each takes long. */
static uint32_t capacity(const mr_link *l) {
    uint32_t least = l->config.slots * l->config.prefetch, most = LINK_WINDOW_US / (l->pace_us ? l->pace_us : 1);
    if (most > LINK_WINDOW_MAX) most = LINK_WINDOW_MAX;
    uint32_t bytes = l->input_bytes ? LINK_WINDOW_BYTES / l->input_bytes : LINK_WINDOW_MAX;
    if (most > bytes) most = bytes;
    most *= l->config.slots;
    return most > least ? most : least;
}

static bool was_delivered(mr_link *l, uint64_t attempt) {
    return attempt <= l->newest && (mr_link_item_find(l, attempt) || mr_link_holds(l, attempt));
}

static void take(mr_link *l, uint64_t now_ms, const mr_wire_work_item *w, mr_span bytes) {
    char text[160];
    bool flooded = !l->granted && l->item_count >= 2 * capacity(l) + 16;
    if (l->granted) l->granted--;
    if (was_delivered(l, w->attempt)) return;
    link_item *item = l->draining || flooded ? NULL : item_add(l, w);
    if (!item) {
        mr_link_give_back(l, &w->attempt, 1);
        return;
    }
    mr_status status = step_check(l, w, text, sizeof text);
    if (status == MR_OK && w->size > l->config.input_max) {
        status = MR_E_LIMIT;
        snprintf(text, sizeof text, "the input of %llu bytes is over this worker's limit of %zu",
                 (unsigned long long)w->size, l->config.input_max);
    }
    if (status != MR_OK)
        mr_link_answer(l, item, status, text);
    else
        get_input(l, now_ms, item, bytes);
}

/* Takes an attempt, with its input cut off the body. */
static bool take_next(mr_link *l, uint64_t now_ms, const mr_wire_work_item *w, mr_span *rest) {
    size_t n = w->inlined ? w->size : 0;
    if (n > rest->len) return false;
    take(l, now_ms, w, (mr_span){rest->data, n});
    if (n) *rest = (mr_span){rest->data + n, rest->len - n};
    return true;
}

/* Each batch of it is an attempt of its own from here on. */
static bool take_span(mr_link *l, uint64_t now_ms, const mr_wire_work_item *span, mr_span *rest) {
    mr_wire_work_item one = *span;
    one.count = one.size_count = 0;
    one.sizes = NULL;
    if (span->size_count != span->count || !span->inlined) return false;
    for (uint32_t i = 0; i < span->count; i++) {
        one.attempt = span->attempt + i;
        one.index = span->index + i;
        one.size = span->sizes[i];
        if (!take_next(l, now_ms, &one, rest)) return false;
    }
    return true;
}

void mr_link_on_work(mr_link *l, uint64_t now_ms, const mr_wire_work *work, mr_span body) {
    for (uint32_t i = 0; i < work->item_count; i++) {
        const mr_wire_work_item *w = &work->items[i];
        if (w->count > 1 ? take_span(l, now_ms, w, &body) : take_next(l, now_ms, w, &body)) continue;
        mr_link_lose(l, now_ms, "the body of a work message does not fit what its items say");
        return;
    }
}

void mr_link_on_cancel(mr_link *l, const mr_wire_cancel *cancel) {
    for (uint32_t i = 0; i < cancel->attempt_count; i++) {
        link_item *item = mr_link_item_find(l, cancel->attempts[i]);
        if (!item) continue;
        if (item->state == ITEM_RUNNING)
            l->port.stop(l->port.self, item->work.attempt, MR_E_CANCELLED);
        else
            mr_link_answer(l, item, MR_E_CANCELLED, "cancelled before it started");
    }
}

void mr_link_start_ready(mr_link *l) {
    link_item *i, *next;
    DL_FOREACH_SAFE(l->items, i, next) {
        if (!l->ready) return;
        if (i->state != ITEM_READY) continue;
        if (!start_now(l, i, mr_buf_span(&i->input))) return;
    }
}

/* Work that turned out to take longer than it was asked for is given back from the end, so that others can do it. */
static void shed(mr_link *l, uint32_t room) {
    bool slow = room <= l->config.slots * l->config.prefetch;
    uint32_t most = slow ? room : 2 * room + l->config.slots;
    uint64_t attempts[MR_MAX_RELEASE_ATTEMPTS];
    uint32_t n = 0;
    while (l->items && l->item_count > most && n < MR_MAX_RELEASE_ATTEMPTS) {
        link_item *last = l->items->prev;
        if (last->state != ITEM_READY) break;
        attempts[n++] = last->work.attempt;
        mr_link_item_remove(l, last);
    }
    mr_link_give_back(l, attempts, n);
}

/* Small steps are saved up, so that work comes in stretches, unless nothing is left. */
void mr_link_top_up(mr_link *l) {
    uint32_t room = capacity(l), used = l->granted + l->item_count;
    shed(l, room);
    if (l->draining || l->held_count >= l->config.held_max || l->held_bytes >= l->config.held_bytes_max)
        return;
    if (used >= room || (used && room - used < room / 8)) return;
    mr_wire m = {.type = MR_MSG_CREDIT, .as.credit = {.amount = room - used}};
    if (mr_link_send(l, &m, (mr_span){0}) == MR_OK) l->granted += room - used;
}
