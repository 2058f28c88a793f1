#include "worker/core/serve.h"

#include "common/clock.h"
#include "common/net.h"
#include "common/redis.h"
#include "common/wakes.h"
#include "worker/core/catalogue.h"
#include "worker/core/link.h"
#include "worker/core/slots.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    POLL_MS = 50,
    MESSAGES_PER_TURN = 64,
    PROGRESS_MS = 1000,
    SLOT_GRACE_MS = 1000,
    SLOT_LATE_MS = 50,
    CATALOGUE_MAX = 8 * 1024 * 1024,
    BROKERS_MAX = 16,
    BODY_MAX = MR_RESULT_MAX + MR_ARTIFACTS_MAX
};

/* The loop waits for the cache, so a slow one must be given up well before the broker misses heartbeats. */
static const mr_redis_options cache_limits = {
    .connect_timeout_ms = 200, .call_timeout_ms = 600, .breaker_failures = 2, .breaker_pause_ms = 5000};

typedef struct server server;

/* One broker, as this worker sees it. */
typedef struct side {
    server *server;
    const char *address;
    mr_socket *socket; /* NULL between connections */
    mr_link *link;
} side;

struct server {
    const mr_worker_settings *settings;
    mr_log log;
    mr_net *net;
    side side[BROKERS_MAX];
    size_t sides, turn; /* turn: whose waiting work comes first */
    mr_net_keys keys;
    bool plain; /* there are no keys */
    mr_slots *slots;
    mr_redis *redis;
    char redis_told[MR_MAX_WELCOME_REDIS + 1]; /* the address that `redis` was made for */
    mr_wakes wakes;
    int signals;
    uint64_t jobs; /* that were to be started, so far */
    uint64_t drain_until_ms, progress_at_ms; /* 0: not draining */
};

static uint64_t now_ms(void) { return mr_clock_monotonic_ns() / 1000000; }

/* ---- the link's port ---- */

static void release_copy(void *data, void *hint) { mr_free(NULL, data, (size_t)(uintptr_t)hint, 1); }

/* The link keeps a result until it is acknowledged, so what is sent is a copy. */
static mr_status send_message(void *self, mr_span envelope, mr_span body) {
    const side *s = self;
    mr_error err;
    if (!s->socket) return MR_E_FULL;
    if (!body.len) return mr_net_send(s->socket, (mr_span){0}, envelope, NULL, &err);
    void *copy = mr_new(NULL, body.len, 1);
    if (!copy) return MR_E_FULL;
    memcpy(copy, body.data, body.len);
    mr_net_body out = {
        .data = copy, .len = body.len, .release = release_copy, .hint = (void *)(uintptr_t)body.len};
    mr_status status = mr_net_send(s->socket, (mr_span){0}, envelope, &out, &err);
    if (status != MR_OK) mr_net_body_free(&out);
    return status;
}

static void reconnect(void *self) {
    side *to = self;
    server *s = to->server;
    mr_error err;
    mr_net_options options = {
        .max_frame = MR_WIRE_BODY_MAX, .linger_ms = 500, .keys = s->plain ? NULL : &s->keys};
    mr_socket_close(&to->socket);
    if (mr_net_connect(s->net, MR_DEALER, to->address, &options, &to->socket, &err) == MR_OK) return;
    MR_LOG(&s->log, MR_LOG_ERROR, "worker", "connect_failed", MR_LOG_TEXT("broker", to->address),
           MR_LOG_TEXT("reason", err.text));
}

static mr_status start_job(void *self, const mr_slot_job *job, mr_span options, mr_span input,
                           mr_error *err) {
    server *s = ((side *)self)->server;
    s->jobs++;
    return mr_slots_start(s->slots, mr_clock_monotonic_ns(), job, options, input, err);
}

static void stop_job(void *self, uint64_t attempt, mr_status why) {
    mr_slots_stop(((side *)self)->server->slots, mr_clock_monotonic_ns(), attempt, why);
}

static bool cached(void *self, const mr_hash *hash, uint64_t size, mr_buf *out) {
    server *s = ((side *)self)->server;
    char hex[MR_HASH_HEX], key[MR_HASH_HEX + 16];
    mr_error err;
    if (!s->redis) return false;
    mr_hash_hex(hash, hex);
    snprintf(key, sizeof key, "millrace:blob:%s", hex);
    mr_status status = mr_redis_get(s->redis, mr_clock_monotonic_ns(), mr_span_of(key), out, &err);
    return status == MR_OK && out->len == size;
}

/* ---- start and end ---- */

static mr_status open_signals(server *s, mr_error *err) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0 ? MR_OK : mr_fail(err, MR_E_IO, "signals cannot be watched: %s", strerror(errno));
}

/* What may wait for a slot is shared out among the brokers, and each keeps all slots busy when it is the only one with
 * work. Credit that was given cannot be taken back, so the shares are fixed. */
static uint32_t prefetch_of(const server *s) {
    uint32_t prefetch = (uint32_t)s->settings->credit / (uint32_t)s->sides;
    return prefetch ? prefetch : 1;
}

static mr_status open_link(server *s, side *to, const mr_component *const *table, mr_span catalogue, mr_error *err) {
    uint64_t seed;
    mr_random_bytes(&seed, sizeof seed);
    mr_link_port port = {.self = to,
                         .send = send_message,
                         .reconnect = reconnect,
                         .start = start_job,
                         .stop = stop_job,
                         .cached = cached};
    mr_link_config config = {.table = table,
                             .name = s->settings->name,
                             .catalogue = catalogue,
                             .slots = (uint16_t)s->settings->threads,
                             .prefetch = prefetch_of(s),
                             .held_max = (uint32_t)s->settings->held_max,
                             .held_bytes_max = (size_t)1 << 29,
                             .input_max = (size_t)s->settings->input_max_mb << 20,
                             .resend_ms = 5000,
                             .hello_ms = 3000,
                             .backoff_ms = 100,
                             .backoff_max_ms = 3000,
                             .seed = seed,
                             .log = &s->log};
    return mr_link_new(&config, &port, &to->link, err);
}

static mr_status name_sides(server *s, mr_error *err) {
    const mr_option_list *list = &s->settings->broker;
    if (!list->count || list->count > BROKERS_MAX)
        return mr_fail(err, MR_E_USAGE, "a worker serves 1 to %d brokers, not %zu", BROKERS_MAX, list->count);
    for (; s->sides < list->count; s->sides++) {
        const char *address = list->items[s->sides];
        MR_TRY(mr_net_check_address(address, s->plain ? NULL : &s->keys, err));
        for (size_t i = 0; i < s->sides; i++)
            if (!strcmp(s->side[i].address, address)) return mr_fail(err, MR_E_USAGE, "the broker %s is named twice", address);
        s->side[s->sides] = (side){.server = s, .address = address};
    }
    return MR_OK;
}

static mr_status open_all(server *s, const mr_component *const *table, const char *program, mr_buf *catalogue,
                          mr_error *err) {
    mr_slots_config slots = {.program = program,
                             .count = (uint32_t)s->settings->threads,
                             .grace_ms = SLOT_GRACE_MS,
                             .late_ms = SLOT_LATE_MS,
                             .log = &s->log};
    MR_TRY(mr_crypto_init(err));
    MR_TRY(mr_keys_to_connect(s->settings->key_file, s->settings->server_key, &s->keys.own, &s->keys.server,
                              &s->plain, err));
    MR_TRY(name_sides(s, err));
    MR_TRY(mr_catalogue_json(table, catalogue, err));
    MR_TRY(open_signals(s, err));
    MR_TRY(mr_wakes_open(MR_WAKES_FILE, s->settings->wake_us, &s->wakes, err));
    MR_TRY(mr_slots_new(&slots, &s->slots, err));
    MR_TRY(mr_net_new(NULL, &s->net, err));
    if (s->settings->redis_url[0])
        MR_TRY(mr_redis_new(s->settings->redis_url, &cache_limits, NULL, &s->redis, err));
    for (size_t i = 0; i < s->sides; i++) MR_TRY(open_link(s, &s->side[i], table, mr_buf_span(catalogue), err));
    return MR_OK;
}

static void close_all(server *s) {
    for (size_t i = 0; i < s->sides; i++) mr_link_free(&s->side[i].link);
    mr_slots_free(&s->slots);
    for (size_t i = 0; i < s->sides; i++) mr_socket_close(&s->side[i].socket);
    if (s->net) mr_net_free(&s->net);
    if (s->redis) mr_redis_free(&s->redis);
    mr_wakes_close(&s->wakes);
    if (s->signals >= 0) close(s->signals);
    explicit_bzero(&s->keys, sizeof s->keys);
}

/* ---- the loop ---- */

static void receive(side *from) {
    const server *s = from->server;
    for (int i = 0; i < MESSAGES_PER_TURN && from->socket; i++) {
        mr_net_msg msg;
        mr_error err;
        bool got = false;
        mr_status status = mr_net_receive(from->socket, &msg, &got, &err);
        if (status == MR_E_PROTOCOL) {
            MR_LOG(&s->log, MR_LOG_WARN, "worker", "message_dropped", MR_LOG_TEXT("reason", err.text));
            mr_net_msg_free(&msg);
            continue;
        }
        if (status != MR_OK || !got) return;
        mr_link_message(from->link, now_ms(), msg.envelope, msg.body);
        mr_net_msg_free(&msg);
    }
}

/* The link that has it; one that has none of it frees what comes. */
static mr_link *link_of(server *s, uint64_t attempt) {
    for (size_t i = 0; i < s->sides; i++)
        if (mr_link_has(s->side[i].link, attempt)) return s->side[i].link;
    return s->side[0].link;
}

static void collect(server *s) {
    mr_slot_done done;
    mr_buf body;
    mr_buf_init(&body, NULL, BODY_MAX);
    uint64_t now_ns = mr_clock_monotonic_ns();
    while (mr_slots_next(s->slots, now_ns, &done, &body)) {
        bool fine = done.status == MR_OK || done.unbegun;
        MR_LOG(&s->log, fine ? MR_LOG_DEBUG : MR_LOG_WARN, "worker", "attempt_ended",
               MR_LOG_INT("attempt", done.attempt),
               MR_LOG_TEXT("status", mr_status_of((int)done.status)->name),
               MR_LOG_INT("compute_us", done.compute_us), MR_LOG_TEXT("reason", done.text));
        mr_link_done(link_of(s, done.attempt), now_ns / 1000000, &done, &body);
    }
    mr_buf_free(&body);
}

static void tell_progress(void *self, uint64_t attempt, double done) {
    if (done > 0) mr_link_progress(link_of(self, attempt), attempt, done);
}

/* Without an address of its own the worker takes the first broker's word for where the cache is. */
static void follow_cache(server *s) {
    mr_link_stats stats = {0};
    mr_error err;
    if (s->settings->redis_url[0]) return;
    for (size_t i = 0; i < s->sides && !stats.open; i++) mr_link_stats_get(s->side[i].link, &stats);
    if (!stats.open || !strcmp(stats.redis, s->redis_told)) return;
    snprintf(s->redis_told, sizeof s->redis_told, "%s", stats.redis);
    if (s->redis) mr_redis_free(&s->redis);
    if (!stats.redis[0] || mr_redis_new(stats.redis, &cache_limits, NULL, &s->redis, &err) == MR_OK) return;
    MR_LOG(&s->log, MR_LOG_WARN, "worker", "cache_unusable", MR_LOG_TEXT("reason", err.text));
}

/* False when a second signal ends it all. */
static bool take_signal(server *s) {
    struct signalfd_siginfo info;
    if (read(s->signals, &info, sizeof info) != (ssize_t)sizeof info) return true;
    if (s->drain_until_ms) return false;
    s->drain_until_ms = now_ms() + (uint64_t)s->settings->grace_s * 1000;
    MR_LOG(&s->log, MR_LOG_INFO, "worker", "draining", MR_LOG_INT("signal", info.ssi_signo));
    for (size_t i = 0; i < s->sides; i++) mr_link_drain(s->side[i].link, now_ms());
    return true;
}

static bool drained(const server *s) {
    for (size_t i = 0; i < s->sides; i++)
        if (!mr_link_drained(s->side[i].link)) return false;
    return true;
}

/* Each time another broker's waiting work is the first to get a free slot. */
static void tick(server *s) {
    uint64_t now = now_ms();
    s->turn = (s->turn + 1) % s->sides;
    for (size_t i = 0; i < s->sides; i++) mr_link_tick(s->side[(s->turn + i) % s->sides].link, now);
    for (size_t i = 0; i < s->sides; i++)
        for (size_t k = 0; k < s->sides; k++) mr_link_hand_on(s->side[i].link, s->side[k].link, now);
}

static bool wait_for_events(server *s) {
    mr_poll_item items[2 + BROKERS_MAX] = {{.fd = mr_slots_fd(s->slots)}, {.fd = s->signals}};
    mr_error err;
    size_t n = 2;
    for (size_t i = 0; i < s->sides; i++)
        if (s->side[i].socket) items[n++].socket = s->side[i].socket;
    mr_slots_wake(s->slots);
    mr_status status = mr_net_poll(items, n, POLL_MS, &err);
    if (status != MR_OK && status != MR_E_INTERRUPTED)
        MR_LOG(&s->log, MR_LOG_ERROR, "worker", "poll_failed", MR_LOG_TEXT("reason", err.text));
    return status != MR_OK || !items[1].readable || take_signal(s);
}

static const char *run_until_ended(server *s) {
    for (;;) {
        if (!wait_for_events(s)) return "ended by a second signal";
        for (size_t i = 0; i < s->sides; i++) receive(&s->side[i]);
        collect(s);
        tick(s);
        mr_wakes_follow(&s->wakes, s->jobs, now_ms());
        follow_cache(s);
        if (now_ms() >= s->progress_at_ms) {
            mr_slots_progress(s->slots, tell_progress, s);
            s->progress_at_ms = now_ms() + PROGRESS_MS;
        }
        if (drained(s)) return "drained";
        if (s->drain_until_ms && now_ms() >= s->drain_until_ms) return "the grace is over";
    }
}

mr_status mr_serve(const mr_worker_settings *settings, const mr_component *const *table, const char *program,
                   mr_error *err) {
    server s = {.settings = settings, .signals = -1, .wakes.fd = -1};
    mr_buf catalogue;
    mr_heap_keep();
    mr_log_init(&s.log, STDERR_FILENO, (mr_log_level)settings->log_level, settings->log_json);
    mr_buf_init(&catalogue, NULL, CATALOGUE_MAX);
    mr_status status = open_all(&s, table, program, &catalogue, err);
    if (status == MR_OK) {
        MR_LOG(&s.log, MR_LOG_INFO, "worker", "started", MR_LOG_TEXT("name", settings->name),
               MR_LOG_TEXT("broker", s.side[0].address), MR_LOG_INT("brokers", s.sides),
               MR_LOG_INT("threads", settings->threads));
        const char *why = run_until_ended(&s);
        for (size_t i = 0; i < s.sides; i++) mr_link_close(s.side[i].link, why);
        MR_LOG(&s.log, MR_LOG_INFO, "worker", "stopped", MR_LOG_TEXT("reason", why));
    }
    close_all(&s);
    mr_buf_free(&catalogue);
    return status;
}
