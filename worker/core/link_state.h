/* link_state.h: the inside of mr_link, shared by link.c (session), link_work.c (attempts) and link_held.c
 * (results). */
#ifndef MR_WORKER_CORE_LINK_STATE_H
#define MR_WORKER_CORE_LINK_STATE_H

#include "common/map.h"
#include "common/rng.h"
#include "worker/core/link.h"

enum { LINK_STEPS_MAX = 65536, LINK_FETCH_CHUNK = 4 * 1024 * 1024 };

/* Credit covers about so much work of a slot, at the pace that was seen; but never less than `prefetch` attempts, and
 * never more than so many or so many bytes of inputs. */
enum { LINK_WINDOW_US = 15000, LINK_WINDOW_MAX = 512, LINK_WINDOW_BYTES = 8 * 1024 * 1024, LINK_PACE_UNKNOWN_US = 1000000 };

/* A component of a run, as the broker told it in this session. */
typedef struct link_step {
    uint64_t run, seed;
    uint16_t step;
    uint32_t version;
    int32_t component; /* its place in the table; -1: this worker does not have it */
    char name[MR_MAX_STEP_COMPONENT + 1];
    mr_buf options;
} link_step;

typedef enum link_item_state {
    ITEM_FETCHING, /* its input is on the way, in pieces */
    ITEM_READY,    /* waits for a slot */
    ITEM_RUNNING   /* is in a slot */
} link_item_state;

/* An attempt in this worker's hands. */
typedef struct link_item {
    struct link_item *prev, *next;
    mr_wire_work_item work; /* of a span, this attempt alone */
    link_item_state state;
    mr_buf input;     /* empty when it went into its slot at once */
    uint32_t request; /* of the fetch that is under way */
    uint64_t asked_ms;
} link_item;

/* What few results have. */
typedef struct link_more {
    mr_wire_artifact_item artifacts[MR_ARTIFACT_COUNT];
    char names[MR_ARTIFACT_COUNT][2][MR_ARTIFACT_NAME + 1];
    char text[sizeof((mr_slot_done *)0)->text], log[sizeof((mr_slot_done *)0)->log];
} link_more;

/* A result that waits for its acknowledgement. `body` is the result, then its artifacts. */
typedef struct link_held {
    struct link_held *prev, *next;
    mr_wire_result_item result; /* its spans point into `more` */
    link_more *more;            /* NULL: neither text nor artifacts */
    mr_buf body;
    bool sent;                  /* on l->held; else on l->fresh */
    bool named;                 /* result.hash is set */
    uint64_t send_at_ms;
} link_held;

enum { LINK_SPARES_MAX = 2048, LINK_SPARE_BYTES = 1024 };

enum { LINK_OUT_MAX = MR_MAX_RESULT_ITEMS, LINK_OUT_BYTES = 1024 * 1024 };

/* Results that go in one message. */
typedef struct link_out {
    uint32_t items, results;
    mr_wire_result_item item[LINK_OUT_MAX];
    link_held *held[LINK_OUT_MAX];
    uint64_t sizes[LINK_OUT_MAX], times[LINK_OUT_MAX], sums[LINK_OUT_MAX];
    uint8_t hashes[LINK_OUT_MAX][MR_HASH_BYTES];
    size_t bytes;
    mr_buf body;
} link_out;

typedef enum link_session {
    SESSION_CLOSED, /* waits until retry_at_ms */
    SESSION_HELLO,  /* waits for the welcome */
    SESSION_OPEN
} link_session;

struct mr_link {
    mr_link_config config;
    mr_link_port port;
    mr_rng rng;
    mr_arena *arena; /* of the message that is being read */
    link_session session;
    uint64_t session_id, retry_at_ms, hello_until_ms, heard_ms, beat_at_ms;
    uint64_t away_ms; /* since when there is no session, after one that was open */
    uint32_t failures; /* sessions that did not open since the last that did */
    uint32_t heartbeat_ms, lost_after_ms, granted, next_request;
    uint32_t span; /* most outcomes of a result item that the broker takes; 0: one */
    bool sums;     /* it computes the names of a span's outcomes */
    uint32_t pace_us, input_bytes; /* of an attempt, as they were lately */
    uint64_t took_us;              /* what the last attempt took */
    bool draining, closed;
    char redis[MR_MAX_WELCOME_REDIS + 1];
    link_step *steps;
    uint32_t step_count, step_cap, step_oldest;
    link_item *items;           /* in the order they came */
    link_held *fresh;           /* results that were not sent in this session, in the order they ended */
    link_held *held;            /* those that were, in the order of sending */
    mr_map item_of, held_of;    /* items, and both kinds of results, by attempt */
    link_item *spare_items;     /* to be used again: attempts come and go by the thousand */
    link_held *spare_held;
    uint64_t newest; /* the highest attempt of all that were taken: numbers rise, so most are new without a search */
    uint32_t item_count, held_count, ready, running, spares;
    size_t held_bytes;
    uint64_t due_ms; /* nothing of `held` is to be sent again before */
    uint64_t fresh_ms; /* since when `fresh` has waited for more; 0: it has not */
    link_out *out;
    mr_link_stats totals;
};

/* link.c */
mr_status mr_link_send(mr_link *l, const mr_wire *message, mr_span body);
void mr_link_lose(mr_link *l, uint64_t now_ms, const char *why);

/* Follows `v` up at once and down slowly. */
void mr_link_lately(uint32_t *mean, uint64_t v);

/* link_work.c */
void mr_link_on_step(mr_link *l, const mr_wire_step *step);
void mr_link_on_work(mr_link *l, uint64_t now_ms, const mr_wire_work *work, mr_span body);
void mr_link_on_blob(mr_link *l, uint64_t now_ms, const mr_wire_blob *blob, mr_span body);
void mr_link_on_cancel(mr_link *l, const mr_wire_cancel *cancel);
void mr_link_start_ready(mr_link *l);
void mr_link_fetch_again(mr_link *l, uint64_t now_ms);
void mr_link_top_up(mr_link *l);
/* Forgets what has not started; with `tell` the broker hears of it. `running` takes those that run too. */
void mr_link_release(mr_link *l, bool tell, bool running);
void mr_link_item_state(mr_link *l, link_item *item, link_item_state state);
void mr_link_give_back(mr_link *l, const uint64_t *attempts, uint32_t n);
void mr_link_forget_steps(mr_link *l);
link_item *mr_link_item_find(mr_link *l, uint64_t attempt);
void mr_link_item_remove(mr_link *l, link_item *item);
void mr_link_free_spares(mr_link *l);

/* link_held.c */
/* The outcome of an item, which is removed. `body` as of mr_link_done; NULL for none. */
void mr_link_hold(mr_link *l, link_item *item, const mr_slot_done *done, mr_buf *body);
void mr_link_answer(mr_link *l, link_item *item, mr_status status, const char *text);
bool mr_link_holds(const mr_link *l, uint64_t attempt);
void mr_link_on_ack(mr_link *l, uint64_t now_ms, const mr_wire_ack *ack);
void mr_link_send_due(mr_link *l, uint64_t now_ms);
/* All of them are to be sent again in a new session. */
void mr_link_all_due(mr_link *l);
void mr_link_forget_held(mr_link *l);

#endif
