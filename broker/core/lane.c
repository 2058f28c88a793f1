/* lane.c: the components, as meeting places of steps and workers. */
#include "broker/core/state.h"

#include <string.h>

mr_status mr_lane_get(mr_core *core, const char *name, uint32_t version, mr_lane **out) {
    for (uint32_t i = 0; i < core->lanes; i++) {
        if (core->lane[i]->version != version || strcmp(core->lane[i]->name, name)) continue;
        *out = core->lane[i];
        return MR_OK;
    }
    void *grown = mr_room(core, core->lane, &core->lane_cap, core->lanes + 1);
    if (!grown) return MR_E_MEMORY;
    core->lane = grown;
    mr_lane *lane = mr_new(core->config.mem, 1, sizeof *lane);
    if (!lane) return MR_E_MEMORY;
    mr_sentence(lane->name, sizeof lane->name, name);
    lane->version = version;
    core->lane[core->lanes++] = *out = lane;
    return MR_OK;
}

static void lane_free(mr_core *core, mr_lane *lane) {
    mr_free(core->config.mem, lane->share, lane->share_cap, sizeof *lane->share);
    mr_free(core->config.mem, lane->worker, lane->cap, sizeof *lane->worker);
    mr_free(core->config.mem, lane, 1, sizeof *lane);
}

void mr_lanes_sweep(mr_core *core) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < core->lanes; i++) {
        mr_lane *lane = core->lane[i];
        if (lane->steps || lane->workers)
            core->lane[kept++] = lane;
        else
            lane_free(core, lane);
    }
    core->lanes = kept;
}

uint64_t mr_lane_limit(const mr_core *core, const mr_lane *lane) {
    return core->draining || !lane->workers ? 0 : lane->credit + core->config.load_ahead;
}

/* The step that has most inputs: its last is what would be sent last. */
static mr_step *fullest(const mr_core *core, const mr_lane *lane) {
    mr_step *best = NULL;
    for (uint32_t i = 0; i < core->lives; i++) {
        mr_step *step = core->live[i];
        if (step->lane != lane || !step->list[MR_W_READY].count) continue;
        if (!best || step->list[MR_W_READY].count > best->list[MR_W_READY].count) best = step;
    }
    return best;
}

void mr_lane_trim(mr_core *core, mr_lane *lane) {
    while (lane->count[MR_W_READY] > mr_lane_limit(core, lane)) {
        mr_step *step = fullest(core, lane);
        mr_work *w = mr_work_last_of(&step->list[MR_W_READY]);
        mr_work_unload(core, w);
        mr_work_move(core, w, MR_W_PENDING, true);
    }
}
