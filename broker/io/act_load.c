/* act_load.c: inputs that are asked for and come. */
#include "broker/io/act.h"
#include "broker/io/repair.h"

#include <string.h>
#include <utlist.h>

static void load_failed(mr_broker *b, uint32_t work, mr_status status, const char *text) {
    mr_event e = {.type = MR_EV_LOAD_FAILED};
    e.as.loaded.work = work;
    e.as.loaded.status = status;
    e.as.loaded.text = text;
    mr_broker_event(b, &e);
}

static void repaired(mr_broker *b, mr_job *head) {
    mr_repair_job *job = (mr_repair_job *)head;
    if (mr_status_of((int)head->status)->retryable) {
        mr_broker_try_again(b, head);
        return;
    }
    mr_event e = {.type = MR_EV_LOAD_DAMAGED};
    e.as.loaded.work = job->work;
    e.as.loaded.key = job->key;
    e.as.loaded.children = job->children;
    if (head->status == MR_OK) mr_broker_event(b, &e);
    else if (head->status != MR_E_CANCELLED) load_failed(b, job->work, head->status, head->error.text);
    mr_free(NULL, job, 1, sizeof *job);
}

/* Damaged partials are moved aside first; then the core is told, and has them computed again. */
static bool repair(mr_broker *b, const mr_load_job *load) {
    mr_repair_job *job = load->damaged ? mr_new(NULL, 1, sizeof *job) : NULL;
    uint32_t count;
    if (!job) return false;
    job->head.work = mr_repair_work;
    job->head.done = repaired;
    job->epoch = mr_broker_epoch(b, load->key.run);
    job->key = load->key;
    job->children = load->damaged;
    job->work = load->work[0];
    mr_plan_children(&load->info->plan[load->key.step], load->key.level, load->key.index, &job->first, &count);
    mr_broker_publish(b, "damaged", "broker", "run=%llu step=%u level=%u first=%u children=%x", (unsigned long long)load->key.run,
                      load->key.step, load->key.level - 1, job->first, load->damaged);
    mr_desk_give(&b->ledger, &job->head);
    return true;
}

/* Takes the bytes. */
static void loaded(mr_broker *b, uint32_t work, mr_bytes **bytes) {
    mr_input *input = mr_new(NULL, 1, sizeof *input);
    if (!input) {
        load_failed(b, work, MR_E_MEMORY, "no memory for an input");
        return;
    }
    input->bytes = *bytes;
    *bytes = NULL;
    DL_APPEND(b->loaded, input);
    mr_event e = {.type = MR_EV_LOADED};
    e.as.loaded.work = work;
    e.as.loaded.blob = (uint64_t)(uintptr_t)input;
    mr_broker_event(b, &e);
}

/* What comes behind a batch that failed is still to be loaded. True when the job goes on. */
static bool load_the_rest(mr_broker *b, mr_load_job *job) {
    uint32_t past = job->loaded + 1;
    for (uint32_t i = 0; i < job->loaded; i++) mr_bytes_drop(job->bytes[i]);
    memset(job->bytes, 0, sizeof job->bytes);
    job->count -= past;
    memmove(job->work, job->work + past, job->count * sizeof *job->work);
    job->key.index += past;
    job->loaded = 0;
    job->head.status = MR_OK;
    if (job->count) mr_broker_gather(&b->out_loads, &job->head);
    return job->count > 0;
}

static void load_done(mr_broker *b, mr_job *head) {
    mr_load_job *job = (mr_load_job *)head;
    mr_status s = head->status;
    bool stopped = s == MR_E_CANCELLED; /* the loader has stopped, and so does the core */
    for (uint32_t i = 0; i < job->loaded && !stopped; i++) loaded(b, job->work[i], &job->bytes[i]);
    if (s != MR_OK && !stopped) {
        MR_LOG(&b->log, MR_LOG_WARN, "loader", "load_failed", MR_LOG_INT("run", job->key.run), MR_LOG_INT("step", job->key.step),
               MR_LOG_INT("batch", job->key.index + job->loaded), MR_LOG_TEXT("reason", head->error.text));
        if (repair(b, job)) {
            mr_load_job_free(job);
            return;
        }
        bool of_all = s != MR_E_CORRUPT && mr_status_of((int)s)->retryable; /* the database is away */
        for (uint32_t i = job->loaded; i < (of_all ? job->count : job->loaded + 1); i++)
            load_failed(b, job->work[i], s, head->error.text);
        if (!of_all && load_the_rest(b, job)) return;
    }
    mr_load_job_free(job);
}

/* A task that is in memory needs no loader. */
static bool load_task(mr_broker *b, const mr_action *a) {
    const mr_live_run *run = mr_broker_run(b, a->key.run);
    mr_bytes *bytes;
    mr_status s = run && run->stream ? mr_stream_input(b, run->stream, a->key.index, &bytes) : MR_E_NOT_FOUND;
    if (s == MR_E_MEMORY) load_failed(b, a->work, s, "no memory for an input");
    if (s != MR_OK) return s == MR_E_MEMORY;
    loaded(b, a->work, &bytes);
    mr_bytes_drop(bytes); /* NULL, but when there was no memory */
    return true;
}

static bool loads_with_last(const mr_broker *b, const mr_action *a) {
    mr_load_job *last = (mr_load_job *)b->out_loads.last;
    if (!last || a->key.level || last->key.level || last->count == MR_LOAD_MAX || last->key.run != a->key.run ||
        last->key.step != a->key.step || last->key.index + last->count != a->key.index)
        return false;
    last->work[last->count++] = a->work;
    return true;
}

void mr_broker_load(mr_broker *b, const mr_action *a) {
    if (load_task(b, a) || loads_with_last(b, a)) return;
    mr_live_run *run = mr_broker_run(b, a->key.run);
    mr_load_job *job = run ? mr_new(NULL, 1, sizeof *job) : NULL;
    if (!job) {
        load_failed(b, a->work, MR_E_MEMORY, "no memory for an input");
        return;
    }
    job->head.work = mr_load_work;
    job->head.done = load_done;
    job->info = mr_run_info_share(run->info);
    job->key = a->key;
    job->work[job->count++] = a->work;
    mr_broker_gather(&b->out_loads, &job->head);
}

void mr_broker_unload(mr_broker *b, mr_input *input) {
    if (input->attempt) HASH_DELETE(hh, b->inputs, input);
    DL_DELETE(b->loaded, input);
    mr_bytes_drop(input->bytes);
    mr_free(NULL, input, 1, sizeof *input);
}
