/* share.c: which step is next. Priorities come first: of those that can go, the highest. So that nobody
 * starves, a share ages: its effective priority is its own plus one point for each `age_ms` since it last
 * sent something. A share of priority p therefore waits at most (q - p) * age_ms longer than any of priority
 * q does, and then goes once.
 *
 * Among equals there are fair shares in a tree by virtual time (stride scheduling: Waldspurger and Weihl
 * 1995, here with equal tickets): components under the core, clients under a component, steps under a client.
 * Each node counts the computing time that it was given, and of the children that could go the one with the
 * least is next. What a batch costs is known when its result is there: as with the nonuniform quanta of that
 * paper the count is then set right, and until then it has an estimate, the mean of what such batches took
 * lately. So the error is what is out, and what one was given too much the others get after it, as with the
 * deficits of Shreedhar and Varghese 1995. Where workers do not say what a batch took, all count alike.
 */
#include "broker/core/state.h"

#include <string.h>

/* What had work but could not go for a while may catch up by this many works, not by all that it missed; quick ones by as
 * much time as lets them make good what a turn of slow ones took before their inputs were there. */
enum { CATCH_UP = 16, CATCH_UP_US = 1000000, UNKNOWN_US = 1000 };

mr_status mr_share_get(mr_core *core, mr_lane *lane, const char *client, uint32_t priority, mr_share **out) {
    for (uint32_t i = 0; i < lane->shares; i++) {
        if (lane->share[i]->priority != priority || strcmp(lane->share[i]->client, client)) continue;
        *out = lane->share[i];
        return MR_OK;
    }
    void *grown = mr_room(core, lane->share, &lane->share_cap, lane->shares + 1);
    if (!grown) return MR_E_MEMORY;
    lane->share = grown;
    mr_share *share = mr_new(core->config.mem, 1, sizeof *share);
    if (!share) return MR_E_MEMORY;
    mr_sentence(share->client, sizeof share->client, client);
    share->priority = priority;
    lane->share[lane->shares++] = *out = share;
    return MR_OK;
}

void mr_share_leave(mr_core *core, mr_step *step) {
    mr_lane *lane = step->lane;
    mr_share *share = step->share;
    step->share = NULL;
    if (!share || --share->steps) return;
    for (uint32_t i = 0; i < lane->shares; i++)
        if (lane->share[i] == share) lane->share[i--] = lane->share[--lane->shares];
    mr_free(core->config.mem, share, 1, sizeof *share);
}

/* Whoever had nothing to send has saved nothing up. */
static void begin_at(uint64_t *pass, uint64_t parent_vtime) {
    if (*pass < parent_vtime) *pass = parent_vtime;
}

void mr_share_open(mr_core *core, mr_step *step) {
    bool lane_lives = false, share_lives = false;
    for (uint32_t i = 0; i < core->lives; i++) {
        lane_lives |= core->live[i]->lane == step->lane;
        share_lives |= core->live[i]->share == step->share;
    }
    if (!lane_lives) begin_at(&step->lane->pass, core->vtime);
    if (!share_lives) begin_at(&step->share->pass, step->lane->vtime);
    if (!share_lives) step->share->served_ms = core->now_ms;
    step->pass = step->share->vtime;
}

void mr_share_wake(mr_core *core, const mr_step *step) {
    for (uint32_t i = 0; i < core->lives; i++)
        if (core->live[i]->share == step->share && mr_step_has_more(core->live[i])) return;
    if (!step->share->coming) step->share->served_ms = core->now_ms;
}

/* ---- what a batch costs ---- */

/* A mean in which each new one weighs an eighth; kept as eight times its value. */
static void learn(uint64_t *cost8, uint64_t us) { *cost8 = *cost8 ? *cost8 - *cost8 / 8 + us : us * 8; }

static uint64_t lane_cost(const mr_core *core, const mr_lane *lane) {
    uint64_t cost8 = lane->cost8 ? lane->cost8 : core->cost8 ? core->cost8 : 8 * UNKNOWN_US;
    return cost8 / 8;
}

uint64_t mr_share_estimate(const mr_core *core, const mr_step *step) {
    return step->cost8 ? step->cost8 / 8 : lane_cost(core, step->lane);
}

/* ---- virtual time ---- */

static uint64_t catch_up(const mr_core *core, const mr_lane *lane) {
    uint64_t most = CATCH_UP * lane_cost(core, lane);
    return core->cost8 && most < CATCH_UP_US ? CATCH_UP_US : most;
}

static uint64_t at(uint64_t pass, uint64_t parent_vtime, uint64_t most) {
    uint64_t least = parent_vtime > most ? parent_vtime - most : 0;
    return pass > least ? pass : least;
}

/* The parent's time is when the turn began: were it the end of it, the others would be late for what is still out. */
static void advance(uint64_t *pass, uint64_t *parent_vtime, uint64_t most, uint64_t charge) {
    uint64_t now = at(*pass, *parent_vtime, most);
    if (now > *parent_vtime) *parent_vtime = now;
    *pass = now + charge;
}

void mr_share_sent(mr_core *core, mr_step *step, uint32_t n) {
    uint64_t most = catch_up(core, step->lane), charge = n * mr_share_estimate(core, step);
    advance(&step->lane->pass, &core->vtime, most, charge);
    advance(&step->share->pass, &step->lane->vtime, most, charge);
    advance(&step->pass, &step->share->vtime, most, charge);
    step->share->served_ms = core->now_ms;
}

static void set_right(const mr_work *w, uint64_t us) {
    uint64_t *const passes[] = {&w->step->lane->pass, &w->step->share->pass, &w->step->pass};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++) {
        uint64_t pass = *passes[i] + us;
        *passes[i] = pass > w->charged_us ? pass - w->charged_us : 0;
    }
}

void mr_share_took(mr_core *core, const mr_work *w, uint64_t us) {
    uint64_t most = (core->now_ms - w->at_ms + 1) * 1000;
    if (!us) return;
    if (us > most) us = most; /* whatever a worker says */
    set_right(w, us);
    learn(&core->cost8, us);
    learn(&w->step->lane->cost8, us);
    learn(&w->step->cost8, us);
}

void mr_share_refund(const mr_work *w) { set_right(w, 0); }

/* ---- order ---- */

static uint64_t effective(const mr_core *core, const mr_share *share, bool loading) {
    uint64_t waited = core->now_ms - share->served_ms;
    if (!core->config.age_ms || (loading && share->coming)) waited = 0; /* its turn is on the way */
    return share->priority + (waited ? waited / core->config.age_ms : 0);
}

typedef struct rank {
    uint64_t lane, share, step;
} rank;

static uint64_t coming(const uint32_t count[MR_W_LISTS]) {
    return (uint64_t)count[MR_W_LOADING] + count[MR_W_READY];
}

static rank rank_of(const mr_core *core, const mr_step *s, bool loading) {
    uint64_t most = catch_up(core, s->lane), cost = lane_cost(core, s->lane);
    rank r = {at(s->lane->pass, core->vtime, most), at(s->share->pass, s->lane->vtime, most),
              at(s->pass, s->share->vtime, most)};
    if (!loading) return r;
    r.lane += coming(s->lane->count) * cost;
    r.share += s->share->coming * cost;
    r.step += ((uint64_t)s->list[MR_W_LOADING].count + s->list[MR_W_READY].count) * mr_share_estimate(core, s);
    return r;
}

static bool before(const rank *a, const rank *b) {
    if (a->lane != b->lane) return a->lane < b->lane;
    if (a->share != b->share) return a->share < b->share;
    return a->step < b->step;
}

mr_step *mr_share_next(const mr_core *core, bool loading,
                       bool (*may)(const mr_core *, const mr_step *, const void *), const void *context) {
    uint64_t highest = 0;
    uint32_t priority = 0;
    for (uint32_t i = 0; i < core->lives; i++) {
        const mr_share *share = core->live[i]->share;
        uint64_t here = effective(core, share, loading);
        if (here < highest || (here == highest && share->priority <= priority)) continue;
        if (!may(core, core->live[i], context)) continue;
        highest = here;
        priority = share->priority;
    }
    mr_step *best = NULL;
    rank least = {0};
    for (uint32_t i = 0; priority && i < core->lives; i++) {
        if (core->live[i]->share->priority != priority || !may(core, core->live[i], context)) continue;
        rank r = rank_of(core, core->live[i], loading);
        if (best && !before(&r, &least)) continue;
        best = core->live[i];
        least = r;
    }
    return best;
}

uint32_t mr_share_turn(const mr_core *core, const mr_step *step,
                       bool (*may)(const mr_core *, const mr_step *, const void *), const void *context) {
    uint32_t turn = UINT32_MAX;
    for (uint32_t i = 0; i < core->lives; i++) {
        const mr_step *other = core->live[i];
        if (other == step || !may(core, other, context)) continue;
        if (other->share->priority > step->share->priority) return 1; /* age alone let it go */
        turn = core->config.turn ? core->config.turn : 1;
    }
    return turn;
}
