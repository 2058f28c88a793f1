#include "broker/cli/term.h"
#include "broker/cli/view.h"

#include <stdio.h>

#include "common/json.h"
#include "common/net.h"
#include "common/prompt.h"
#include "proto/gen/wire.h"

typedef struct settings {
    mr_globals globals;
    int64_t count;
    char topic[MR_OPTION_TEXT];
} settings;

static const mr_option options[] = {
    {.name = "count",
     .type = MR_OPT_INT,
     .offset = offsetof(settings, count),
     .min = 0,
     .max = 9e15,
     .unit = "events",
     .help = "end after this many; 0: Ctrl-C ends it",
     .flag = 'n'},
    {.name = "topic",
     .type = MR_OPT_TEXT,
     .offset = offsetof(settings, topic),
     .help = "only events whose topic starts so, such as run"},
    MR_GLOBAL_OPTIONS,
};

static void put_event(const mr_cli *cli, const mr_wire_event *e, mr_buf *out) {
    if (cli->globals->json) {
        char at[MR_TIME_TEXT];
        mr_time_format(e->at_us, at);
        mr_buf_printf(out, "{\"at\":\"%s\",\"event\":", at);
        mr_json_put_text(out, e->name);
        mr_buf_text(out, ",\"object\":");
        mr_json_put_text(out, e->object);
        mr_buf_text(out, ",\"detail\":");
        mr_json_put_text(out, e->detail);
        mr_buf_text(out, "}\n");
    } else {
        char at[MR_LOCAL_TIME];
        mr_local_time(e->at_us, at);
        mr_buf_printf(out, "%s  %-14.*s %-20.*s %.*s\n", at, MR_SPAN_ARG(e->object), MR_SPAN_ARG(e->name),
                      MR_SPAN_ARG(e->detail));
    }
}

static mr_status print_event(const mr_cli *cli, mr_span envelope, mr_arena *arena, mr_error *err) {
    mr_wire_event e;
    mr_buf out;
    mr_arena_reset(arena);
    MR_TRY(mr_wire_decode_event(envelope, arena, &e, err));
    mr_buf_init(&out, NULL, 1 << 16);
    put_event(cli, &e, &out);
    mr_status status = mr_program_print(&out, err);
    mr_buf_free(&out);
    return status;
}

static mr_status follow(const mr_cli *cli, const settings *s, mr_socket *socket, mr_stop *stop,
                        mr_arena *arena, mr_error *err) {
    for (int64_t seen = 0; !s->count || seen < s->count;) {
        mr_net_msg msg = {0};
        bool got;
        mr_status status = mr_net_receive(socket, &msg, &got, err);
        if (status == MR_OK && got) {
            status = print_event(cli, msg.envelope, arena, err);
            seen++;
        }
        mr_net_msg_free(&msg);
        MR_TRY(status);
        if (got) continue;
        mr_poll_item items[2] = {{.socket = socket}, {.fd = stop->fd}};
        MR_TRY(mr_net_poll(items, 2, -1, err));
        if (mr_stop_asked(stop)) return MR_OK;
    }
    return MR_OK;
}

static mr_status subscribe(const mr_cli *cli, const settings *s, const char *address, mr_stop *stop,
                           mr_error *err) {
    mr_net *net;
    mr_socket *socket = NULL;
    mr_arena *arena = mr_arena_new(NULL, 1 << 20);
    if (!arena) return mr_fail(err, MR_E_MEMORY, "out of memory");
    mr_status status = mr_net_new(NULL, &net, err);
    if (status == MR_OK) {
        mr_net_keys keys;
        bool plain = true;
        status = mr_keys_to_connect(cli->globals->key_file, cli->globals->server_key, &keys.own, &keys.server, &plain, err);
        mr_net_options net_options = {.keys = plain ? NULL : &keys};
        if (status == MR_OK) status = mr_net_connect(net, MR_SUB, address, &net_options, &socket, err);
        if (status == MR_OK) status = mr_socket_subscribe(socket, mr_span_of(s->topic), err);
        if (status == MR_OK) {
            fprintf(stderr, "following %s; Ctrl-C ends it\n", address);
            status = follow(cli, s, socket, stop, arena, err);
        }
        if (socket) mr_socket_close(&socket);
        mr_net_free(&net);
    }
    mr_arena_free(&arena);
    return status;
}

static mr_status run(mr_cli *cli, const void *config, mr_error *err) {
    const settings *s = config;
    mr_client *c;
    mr_stop stop;
    char address[MR_OPTION_TEXT];
    MR_TRY(mr_stop_init(&stop, err));
    mr_status status = mr_client_connect(cli, &c, err);
    if (status == MR_OK) {
        snprintf(address, sizeof address, "%s", mr_client_events(c));
        mr_client_close(&c);
        status = address[0] ? subscribe(cli, s, address, &stop, err)
                            : mr_fail(err, MR_E_UNAVAILABLE, "the broker publishes no live events");
    }
    mr_stop_close(&stop);
    return status;
}

const mr_cli_command mr_cli_tail = {
    .name = "tail",
    .summary = "follow live events",
    .detail = "Events are hints for people who watch: one that is missed is not sent again.",
    .example = "millrace tail --topic run --count 20\n",
    .options = options,
    .config_size = sizeof(settings),
    .run = run,
};
