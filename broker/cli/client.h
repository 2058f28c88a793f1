/* client.h: a session with the broker: hello, then calls and their replies. Several calls may be under way.
 * Heartbeats are sent whenever this waits; who works long between calls asks for mr_client_alive. */
#ifndef MR_BROKER_CLI_CLIENT_H
#define MR_BROKER_CLI_CLIENT_H

#include "broker/cli/command.h"
#include "common/pack.h"
#include "proto/gen/session.h"

typedef struct mr_client mr_client;

typedef struct mr_client_reply {
    uint32_t call;
    mr_status status;
    char text[504]; /* the error's sentence */
    mr_span body;   /* msgpack; borrowed until the next wait or call */
} mr_client_reply;

/* `addresses`: one, or several with commas between, of which the first that answers is taken. Errors: E_UNAVAILABLE
 * nothing answers within `hello_ms` (and what to do), E_DENIED, E_PROTOCOL, those of net.h. */
mr_status mr_client_open(const char *addresses, unsigned hello_ms, mr_client **out,
                         mr_error *err) MR_MUST_CHECK;
/* The same with the keys that the settings name, if they do. */
mr_status mr_client_open_with(const mr_globals *g, const char *addresses, unsigned hello_ms, mr_client **out,
                              mr_error *err) MR_MUST_CHECK;
/* The broker of the command line, or the first of its brokers that answers. */
mr_status mr_client_connect(const mr_cli *cli, mr_client **out, mr_error *err) MR_MUST_CHECK;
void mr_client_close(mr_client **c);
const char *mr_client_address(const mr_client *c);
/* The broker's address for live events, as it can be reached from here; "" for none. */
const char *mr_client_events(const mr_client *c);

/* Sends and does not wait. `args`: msgpack map, may be empty. The body's bytes are not copied: they must stay
 * until the reply came or the client is closed. */
mr_status mr_client_send(mr_client *c, mr_command command, mr_span args, mr_span body, uint32_t *call,
                         mr_error *err) MR_MUST_CHECK;
/* The next reply of any call. E_TIMEOUT when none came within `timeout_ms`; E_INTERRUPTED when `stop_fd` (-1:
 * none) became readable. A failed command is MR_OK here with its own status in the reply. */
mr_status mr_client_wait(mr_client *c, unsigned timeout_ms, int stop_fd, mr_client_reply *out,
                         mr_error *err) MR_MUST_CHECK;
/* One call and its reply; the command's error comes as this function's. `body` is borrowed until the next
 * call. */
mr_status mr_client_call(mr_client *c, mr_command command, mr_span args, unsigned timeout_ms, mr_span *body,
                         mr_error *err) MR_MUST_CHECK;
/* Sends a heartbeat when one is due. */
mr_status mr_client_alive(mr_client *c, mr_error *err) MR_MUST_CHECK;

/* ---- arguments: a msgpack map whose members are put one by one ---- */
typedef struct mr_params {
    mr_buf buf;
    size_t at;
    uint32_t count;
} mr_params;
void mr_params_init(mr_params *p);
void mr_params_free(mr_params *p);
void mr_params_u64(mr_params *p, const char *name, uint64_t v);
void mr_params_bool(mr_params *p, const char *name, bool v);
void mr_params_text(mr_params *p, const char *name, const char *v); /* "" and NULL are left out */
/* Writes the name; the caller writes one value into p->buf. */
mr_buf *mr_params_open(mr_params *p, const char *name);
mr_span mr_params_span(mr_params *p);

/* Connects, calls and closes: the reply's body is appended to `out`. */
mr_status mr_client_ask(const mr_cli *cli, mr_command command, mr_params *args, mr_buf *out,
                        mr_error *err) MR_MUST_CHECK;

#endif
