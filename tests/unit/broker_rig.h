/* broker_rig.h: a whole broker in a thread of the test's process, and the peers that speak to it: made of common/net.h and
 * proto alone, so they share nothing with the real worker and CLI. */
#ifndef MR_TESTS_BROKER_RIG_H
#define MR_TESTS_BROKER_RIG_H

#include "broker/io/broker.h"
#include "tests/unit/io_rig.h"

enum { ITEMS = 256 };

typedef struct served {
    rig *r;
    char folder[64], address[96];
    int64_t lost_after_ms, max_runs; /* 0: the default */
    mr_broker *b;
    pthread_t thread;
    mr_status status;
    mr_error err;
} served;

typedef struct party {
    mr_net *net;
    mr_socket *socket;
    mr_arena *arena;
    mr_net_msg msg;
    mr_wire in; /* the last message; borrows from msg */
    mr_buf text;
    uint32_t calls;
    char *said; /* the last answer */
} party;

void rig_run_broker(served *s, const char *name);
mr_status rig_join_broker(served *s);
void rig_make_folder(served *s);
void rig_start_broker(served *s, void **state);
void rig_remove_folder(served *s);
void rig_connect_party(party *p, const served *s);
void rig_leave(party *p);
void rig_send_raw(party *p, mr_span envelope, mr_span body);
void rig_send_wire(party *p, const mr_wire *m, mr_span body);
void rig_receive(party *p);
void rig_expect(party *p, mr_msg type);
void rig_hello(party *p, uint8_t role, const char *name);
void rig_hello_spans(party *p, const char *name, uint32_t span); /* a worker that takes spans */
void rig_open_party(party *p, const served *s, uint8_t role, const char *name);
mr_status rig_call_with(party *p, mr_command command, mr_span body, const char *args);
mr_status rig_call(party *p, mr_command command, const char *args);
void rig_said(const party *p, const char *words);
void rig_ingest(party *client, int n);
uint64_t rig_run_of(party *client, const char *component);
void rig_credit(party *worker, uint32_t amount);
void rig_take_work(party *worker, uint32_t n, mr_wire_work_item *items);
void rig_give_result(party *worker, const mr_wire_work_item *item, bool right);
mr_verdict rig_next_ack(party *worker, uint64_t attempt);
void rig_wait_for(rig *r, const char *sql);
void rig_stop_broker(served *s, party *client);
extern const char rig_catalogue[];

#endif
