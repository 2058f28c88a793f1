#include "common/pg.h"
#include "common/clock.h"
#include "common/pg_wire.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { PREPARED_MAX = 256, URL_MAX = 1024 };

struct mr_pg {
    const mr_mem *mem;
    PGconn *conn;
    char url[URL_MAX], application[64], place[256];
    mr_pg_options options;
    bool broken; /* no use before a reconnect */
    uint64_t session;
    char sqlstate[6];
    unsigned prepared_count;
    const mr_pg_statement *prepared[PREPARED_MAX];
};

/* ---- what libpq says, as a status and a sentence ---- */

/* SQLSTATE classes and codes (PostgreSQL 15, appendix A); the first row whose code is a prefix counts. */
static const struct {
    const char *code;
    mr_status status;
    const char *hint; /* put behind what the server says, or NULL */
} states[] = {
    {"08", MR_E_UNAVAILABLE, NULL},
    {"53100", MR_E_UNAVAILABLE, "the database's disk is full; free some space there"},
    {"53200", MR_E_UNAVAILABLE, "the database is out of memory"},
    {"53300", MR_E_UNAVAILABLE,
     "the database has no free connection; raise max_connections or stop other clients"},
    {"57014", MR_E_CANCELLED, NULL},
    {"57", MR_E_UNAVAILABLE, NULL},
    {"58", MR_E_UNAVAILABLE, NULL},
    {"25006", MR_E_UNAVAILABLE, "the server is a read-only standby"},
    {"23505", MR_E_EXISTS, NULL},
    {"23", MR_E_CONFLICT, NULL},
    {"40", MR_E_CONFLICT, NULL},
    {"55P03", MR_E_CONFLICT, NULL},
    {"42501", MR_E_DENIED, NULL},
    {"28", MR_E_DENIED, NULL},
    {"3D000", MR_E_NOT_FOUND, "create the database first"},
    {"42P01", MR_E_NOT_FOUND, "run `millrace migrate up`"},
    {"42703", MR_E_NOT_FOUND, "run `millrace migrate up`"},
    {"42883", MR_E_NOT_FOUND, "run `millrace migrate up`"},
    {"22", MR_E_INVALID, NULL},
    {"54", MR_E_LIMIT, NULL},
    {"MR", MR_E_CONFLICT, NULL}, /* raised by our own functions */
    {"", MR_E_INTERNAL, NULL},
};

static size_t state_row(const char *sqlstate) {
    size_t i = 0;
    while (strncmp(sqlstate, states[i].code, strlen(states[i].code))) i++;
    return i;
}

/* libpq's messages end with a newline and may have several lines; a sentence has one. */
static void one_line(const char *message, char out[300]) {
    size_t n = strcspn(message, "\n");
    snprintf(out, 300, "%.*s", (int)(n < 299 ? n : 299), message);
}

static mr_status lost(mr_pg *pg, const char *what, mr_error *err) {
    char message[300];
    one_line(PQerrorMessage(pg->conn), message);
    pg->broken = true;
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "08006");
    return mr_fail(err, MR_E_UNAVAILABLE, "the connection to the database %s is lost in %.100s: %s",
                   pg->place, what, message);
}

/* A dead connection can look like an error of the statement: then it is the connection that counts. */
static mr_status failed(mr_pg *pg, const PGresult *r, const char *what, mr_error *err) {
    const char *state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : NULL;
    if (PQstatus(pg->conn) == CONNECTION_BAD && (!state || strncmp(state, "57P0", 4)))
        return lost(pg, what, err);
    const char *said = r ? PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    char message[300];
    one_line(said ? said : PQerrorMessage(pg->conn), message);
    snprintf(pg->sqlstate, sizeof pg->sqlstate, "%.5s", state ? state : "");
    if (PQstatus(pg->conn) == CONNECTION_BAD) pg->broken = true;
    size_t i = state_row(pg->sqlstate);
    const char *hint = states[i].hint;
    return mr_fail(err, states[i].status, "database, %.100s: %s%s%s", what, message, hint ? "; " : "",
                   hint ? hint : "");
}

const char *mr_pg_sqlstate(const mr_pg *pg) { return pg->sqlstate; }
bool mr_pg_retryable(const mr_pg *pg) {
    return !strcmp(pg->sqlstate, "40001") || !strcmp(pg->sqlstate, "40P01");
}

/* ---- connection ---- */

static const char *option_value(const PQconninfoOption *all, const char *keyword) {
    for (; all->keyword; all++)
        if (!strcmp(all->keyword, keyword)) return all->val ? all->val : "";
    return "";
}

void mr_pg_describe(const char *url, mr_buf *out) {
    PQconninfoOption *all = PQconninfoParse(url, NULL);
    if (!all) {
        mr_buf_text(out, "(not a database URL)");
        return;
    }
    const char *user = option_value(all, "user"), *host = option_value(all, "host"),
               *port = option_value(all, "port");
    if (!*host) host = option_value(all, "hostaddr");
    mr_buf_printf(out, "%s%s%s:%s/%s", user, *user ? "@" : "", *host ? host : "localhost",
                  *port ? port : "5432", option_value(all, "dbname"));
    PQconninfoFree(all);
}

static mr_status refused(const char *place, PGconn *conn, mr_error *err) {
    static const struct {
        const char *words;
        mr_status status;
    } reasons[] = {
        {"password authentication failed", MR_E_DENIED},
        {"no pg_hba.conf entry", MR_E_DENIED},
        {"authentication failed", MR_E_DENIED},
        {"no password supplied", MR_E_DENIED},
        {"role \"", MR_E_DENIED},
        {"permission denied for database", MR_E_DENIED},
        {"database \"", MR_E_NOT_FOUND},
    };
    /* A failed start has no result and so no SQLSTATE: only the server's words are left. */
    char message[300];
    one_line(PQerrorMessage(conn), message);
    mr_status status = MR_E_UNAVAILABLE;
    const char *fatal = strstr(message, "FATAL:");
    for (size_t i = 0; fatal && i < sizeof reasons / sizeof *reasons; i++)
        if (strstr(fatal, reasons[i].words)) {
            status = reasons[i].status;
            break;
        }
    return mr_fail(err, status, "cannot connect to the database %s: %s", place, fatal ? fatal : message);
}

static void ignore_notice(void *self, const PGresult *r) {
    (void)self;
    (void)r;
}

/* To a server on the same machine: what a COPY sends may wait in the socket, so that the server goes on while the sender has not
 * been woken yet. The kernel gives as much as it allows; over TCP it chooses by itself. */
static void widen(const mr_pg *pg) {
    struct sockaddr_storage here;
    socklen_t len = sizeof here;
    const int ahead = 1 << 20;
    if (!getsockname(PQsocket(pg->conn), (struct sockaddr *)&here, &len) && here.ss_family == AF_UNIX)
        setsockopt(PQsocket(pg->conn), SOL_SOCKET, SO_SNDBUF, &ahead, sizeof ahead);
}

/* No compilation of statements: ours take a millisecond each, which is less than it takes. */
static mr_status open_connection(mr_pg *pg, mr_error *err) {
    char timeout[16];
    unsigned ms = pg->options.connect_timeout_ms ? pg->options.connect_timeout_ms : 5000;
    unsigned seconds = (ms + 999) / 1000;
    snprintf(timeout, sizeof timeout, "%u", seconds < 2 ? 2 : seconds); /* libpq takes 1 for 2 */
    const char *const keys[] = {"dbname",           "application_name",    "connect_timeout",
                                "keepalives_idle",  "keepalives_interval", "keepalives_count",
                                "tcp_user_timeout", "client_encoding",     NULL};
    const char *const values[] = {pg->url, pg->application, timeout, "5", "5", "3", "15000", "UTF8", NULL};
    pg->session++;
    pg->conn = PQconnectdbParams(keys, values, 1);
    if (!pg->conn) return mr_fail(err, MR_E_MEMORY, "no memory for a database connection");
    if (PQstatus(pg->conn) != CONNECTION_OK) return refused(pg->place, pg->conn, err);
    widen(pg);
    PQsetNoticeReceiver(pg->conn, ignore_notice, NULL);
    char sql[320];
    snprintf(sql, sizeof sql,
             "SET synchronous_commit = on; SET timezone = 'UTC'; SET jit = off; SET statement_timeout = %u; SET plan_cache_mode = %s;"
             " SET idle_in_transaction_session_timeout = %u; SET effective_io_concurrency = %s",
             pg->options.statement_timeout_ms, pg->options.plan_once ? "force_generic_plan" : "auto", pg->options.idle_transaction_ms,
             pg->options.in_order ? "0" : "default");
    return mr_pg_run(pg, sql, err);
}

static void close_connection(mr_pg *pg) {
    PQfinish(pg->conn);
    pg->conn = NULL;
    pg->prepared_count = 0;
    pg->broken = true;
}

mr_status mr_pg_reconnect(mr_pg *pg, mr_error *err) {
    close_connection(pg);
    pg->broken = false;
    mr_status status = open_connection(pg, err);
    if (status != MR_OK) close_connection(pg);
    return status;
}

static mr_status check_url(const char *url, mr_error *err) {
    char *reason = NULL;
    PQconninfoOption *all = PQconninfoParse(url, &reason);
    PQfreemem(reason); /* it may quote the URL, and so the password */
    PQconninfoFree(all);
    if (all && strlen(url) < URL_MAX) return MR_OK;
    return mr_fail(err, MR_E_INVALID,
                   "the database URL is not valid; write postgresql://user@host:port/database");
}

static void note_place(mr_pg *pg) {
    mr_buf place;
    mr_buf_init(&place, pg->mem, sizeof pg->place);
    mr_pg_describe(pg->url, &place);
    snprintf(pg->place, sizeof pg->place, "%.*s", MR_SPAN_ARG(mr_buf_span(&place)));
    mr_buf_free(&place);
}

mr_status mr_pg_connect(const char *url, const mr_pg_options *options, const mr_mem *mem, mr_pg **out,
                        mr_error *err) {
    MR_TRY(check_url(url, err));
    mr_pg *pg = mr_new(mem, 1, sizeof *pg);
    if (!pg) return mr_fail(err, MR_E_MEMORY, "no memory for a database connection");
    pg->mem = mem;
    if (options) pg->options = *options;
    snprintf(pg->url, sizeof pg->url, "%s", url);
    snprintf(pg->application, sizeof pg->application, "%s",
             pg->options.application ? pg->options.application : "millrace");
    note_place(pg);
    mr_status status = mr_pg_reconnect(pg, err);
    if (status == MR_OK)
        *out = pg;
    else
        mr_pg_free(&pg);
    return status;
}

void mr_pg_free(mr_pg **pg) {
    if (!*pg) return;
    PQfinish((*pg)->conn);
    mr_free((*pg)->mem, *pg, 1, sizeof **pg);
    *pg = NULL;
}

uint64_t mr_pg_session(const mr_pg *pg) { return pg->session; }

bool mr_pg_alive(const mr_pg *pg) { return !pg->broken && PQstatus(pg->conn) == CONNECTION_OK; }

bool mr_pg_idle_alive(const mr_pg *pg) {
    struct pollfd item = {.fd = PQsocket(pg->conn), .events = POLLRDHUP};
    if (!mr_pg_alive(pg)) return false;
    if (PQtransactionStatus(pg->conn) != PQTRANS_IDLE) return true;
    return poll(&item, 1, 0) <= 0 || !(item.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

bool mr_pg_in_transaction(const mr_pg *pg) {
    PGTransactionStatusType t = PQtransactionStatus(pg->conn);
    return t == PQTRANS_INTRANS || t == PQTRANS_INERROR || t == PQTRANS_ACTIVE;
}

int mr_pg_server_version(const mr_pg *pg) { return PQserverVersion(pg->conn); }
int mr_pg_fd(const mr_pg *pg) { return PQsocket(pg->conn); }

/* ---- waiting ---- */

static mr_status usable(mr_pg *pg, const char *what, mr_error *err) {
    pg->sqlstate[0] = 0;
    if (mr_pg_alive(pg)) return MR_OK;
    return mr_fail(err, MR_E_UNAVAILABLE, "there is no connection to the database %s for %.100s", pg->place,
                   what);
}

static int wait_ms(const mr_pg *pg, uint64_t start_ns) {
    if (!pg->options.reply_timeout_ms) return -1;
    uint64_t spent = (mr_clock_monotonic_ns() - start_ns) / 1000000;
    return spent >= pg->options.reply_timeout_ms ? 0 : (int)(pg->options.reply_timeout_ms - spent);
}

/* Waits until a result can be taken without blocking. */
static mr_status await(mr_pg *pg, const char *what, mr_error *err) {
    uint64_t start = mr_clock_monotonic_ns();
    while (PQisBusy(pg->conn)) {
        struct pollfd p = {.fd = PQsocket(pg->conn), .events = POLLIN};
        int n = poll(&p, 1, wait_ms(pg, start));
        if (n < 0 && errno != EINTR) return lost(pg, what, err);
        if (n == 0) {
            pg->broken = true;
            return mr_fail(err, MR_E_TIMEOUT, "the database %s does not answer %.100s within %u ms",
                           pg->place, what, pg->options.reply_timeout_ms);
        }
        if (n > 0 && !PQconsumeInput(pg->conn)) return lost(pg, what, err);
    }
    return MR_OK;
}

static bool is_good(const PGresult *r) {
    ExecStatusType s = PQresultStatus(r);
    return s == PGRES_COMMAND_OK || s == PGRES_TUPLES_OK || s == PGRES_SINGLE_TUPLE || s == PGRES_COPY_IN ||
           s == PGRES_PIPELINE_SYNC || s == PGRES_EMPTY_QUERY;
}

/* Takes all results of one query; the last goes to `out`, the first failure is returned. */
static mr_status collect(mr_pg *pg, const char *what, PGresult **out, mr_error *err) {
    mr_status status = MR_OK;
    PGresult *kept = NULL;
    for (;;) {
        mr_status waited = await(pg, what, err);
        if (waited != MR_OK) {
            PQclear(kept);
            return waited;
        }
        PGresult *r = PQgetResult(pg->conn);
        if (!r) break;
        if (status == MR_OK && !is_good(r)) status = failed(pg, r, what, err);
        PQclear(kept);
        kept = r;
        if (PQresultStatus(r) == PGRES_COPY_IN) break; /* there is no more before the copy ends */
    }
    if (status == MR_OK && !kept) status = lost(pg, what, err);
    if (status == MR_OK && out)
        *out = kept;
    else
        PQclear(kept);
    return status;
}

/* ---- statements ---- */

static bool is_prepared(const mr_pg *pg, const mr_pg_statement *st) {
    for (unsigned i = 0; i < pg->prepared_count; i++)
        if (pg->prepared[i] == st) return true;
    return false;
}

mr_status mr_pg_prepare(mr_pg *pg, const mr_pg_statement *st, mr_error *err) {
    MR_TRY(usable(pg, st->name, err));
    if (is_prepared(pg, st)) return MR_OK;
    if (pg->prepared_count == PREPARED_MAX)
        return mr_fail(err, MR_E_LIMIT, "more than %d prepared statements on one connection", PREPARED_MAX);
    Oid types[MR_PG_PARAMS];
    for (unsigned i = 0; i < st->count; i++) types[i] = mr_pg_oid(st->types[i]);
    if (!PQsendPrepare(pg->conn, st->name, st->sql, (int)st->count, types)) return lost(pg, st->name, err);
    MR_TRY(collect(pg, st->name, NULL, err));
    pg->prepared[pg->prepared_count++] = st;
    return MR_OK;
}

static mr_status check_params(const mr_pg_statement *st, const mr_pg_params *p, mr_error *err) {
    MR_ASSERT((p ? p->count : 0) == st->count);
    for (unsigned i = 0; i < st->count; i++) MR_ASSERT(p->at[i].type == st->types[i]);
    mr_status status = p ? mr_buf_status(&p->bytes) : MR_OK;
    if (status == MR_OK) return MR_OK;
    return mr_fail(err, status, "the values for %s do not fit: %s", st->name,
                   mr_status_of((int)status)->text);
}

static mr_status send_prepared(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *p, mr_error *err) {
    const char *values[MR_PG_PARAMS];
    int lengths[MR_PG_PARAMS], formats[MR_PG_PARAMS];
    MR_TRY(check_params(st, p, err));
    for (unsigned i = 0; i < st->count; i++) {
        values[i] = p->at[i].null ? NULL : (const char *)mr_pg_value(p, i);
        lengths[i] = (int)p->at[i].len;
        formats[i] = 1;
    }
    if (PQsendQueryPrepared(pg->conn, st->name, (int)st->count, values, lengths, formats, 1)) return MR_OK;
    return lost(pg, st->name, err);
}

mr_status mr_pg_exec(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *params, mr_pg_result **out,
                     mr_error *err) {
    MR_TRY(mr_pg_prepare(pg, st, err));
    MR_TRY(send_prepared(pg, st, params, err));
    return collect(pg, st->name, out, err);
}

/* The words at the start of SQL are what errors call it. */
static const char *sql_name(const char *sql, char out[48]) {
    snprintf(out, 48, "%.*s", (int)strcspn(sql, "\n;"), sql);
    return out;
}

mr_status mr_pg_run(mr_pg *pg, const char *sql, mr_error *err) {
    char name[48];
    MR_TRY(usable(pg, sql_name(sql, name), err));
    if (!PQsendQuery(pg->conn, sql)) return lost(pg, name, err);
    return collect(pg, name, NULL, err);
}

/* ---- notifications ---- */

mr_status mr_pg_notified(mr_pg *pg, char *text, size_t size, bool *got, mr_error *err) {
    *got = false;
    if (!mr_pg_alive(pg) || !PQconsumeInput(pg->conn)) return lost(pg, "listening", err);
    PGnotify *n = PQnotifies(pg->conn);
    if (!n) return MR_OK;
    snprintf(text, size, "%s", n->extra);
    PQfreemem(n);
    *got = true;
    return MR_OK;
}

/* ---- transactions ---- */

mr_status mr_pg_begin(mr_pg *pg, mr_error *err) { return mr_pg_run(pg, "BEGIN", err); }

mr_status mr_pg_commit(mr_pg *pg, mr_pg_outcome *outcome, mr_error *err) {
    PGresult *r = NULL;
    *outcome = MR_PG_ROLLED_BACK;
    MR_TRY(usable(pg, "COMMIT", err));
    if (!PQsendQuery(pg->conn, "COMMIT")) { /* part of it may be on the way */
        *outcome = MR_PG_UNKNOWN;
        return lost(pg, "COMMIT", err);
    }
    mr_status status = collect(pg, "COMMIT", &r, err);
    if (status != MR_OK) {
        if (pg->broken) *outcome = MR_PG_UNKNOWN;
        return status;
    }
    bool committed =
        !strcmp(PQcmdStatus(r), "COMMIT"); /* a failed transaction answers ROLLBACK, without an error */
    PQclear(r);
    if (!committed)
        return mr_fail(err, MR_E_CONFLICT, "database: the transaction had failed and was rolled back");
    *outcome = MR_PG_COMMITTED;
    return MR_OK;
}

void mr_pg_rollback(mr_pg *pg) {
    if (!mr_pg_alive(pg) || !mr_pg_in_transaction(pg)) return;
    char state[sizeof pg->sqlstate];
    memcpy(state, pg->sqlstate, sizeof state); /* the caller may still want to know why */
    if (mr_pg_run(pg, "ROLLBACK", NULL) != MR_OK) pg->broken = true;
    memcpy(pg->sqlstate, state, sizeof state);
}

/* ---- streams ---- */

/* Reads off what is left of a query; a connection that breaks meanwhile is noted in it. */
static void drain(mr_pg *pg) {
    for (PGresult *r; await(pg, "the end of a query", NULL) == MR_OK && (r = PQgetResult(pg->conn));)
        PQclear(r);
}

mr_status mr_pg_stream(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *params, mr_error *err) {
    MR_TRY(mr_pg_prepare(pg, st, err));
    MR_TRY(send_prepared(pg, st, params, err));
    MR_ASSERT(PQsetSingleRowMode(pg->conn));
    return MR_OK;
}

mr_status mr_pg_stream_next(mr_pg *pg, mr_pg_result **out, mr_error *err) {
    *out = NULL;
    MR_TRY(await(pg, "a stream of rows", err));
    PGresult *r = PQgetResult(pg->conn);
    if (!r) return MR_OK;
    if (PQresultStatus(r) == PGRES_SINGLE_TUPLE) {
        *out = r;
        return MR_OK;
    }
    mr_status status = is_good(r) ? MR_OK : failed(pg, r, "a stream of rows", err);
    PQclear(r);
    drain(pg);
    return status;
}

void mr_pg_stream_end(mr_pg *pg) {
    if (!mr_pg_alive(pg) || PQtransactionStatus(pg->conn) != PQTRANS_ACTIVE) return;
    char why[128];
    PGcancel *cancel = PQgetCancel(pg->conn);
    if (cancel) PQcancel(cancel, why, sizeof why);
    PQfreeCancel(cancel);
    drain(pg);
}

/* ---- pipeline ---- */

mr_status mr_pg_pipeline_begin(mr_pg *pg, mr_error *err) {
    MR_TRY(usable(pg, "a pipeline", err));
    if (PQenterPipelineMode(pg->conn)) return MR_OK;
    return mr_fail(err, MR_E_CONFLICT, "database: a pipeline cannot begin in mid-query");
}

mr_status mr_pg_pipeline_send(mr_pg *pg, const mr_pg_statement *st, const mr_pg_params *params,
                              mr_error *err) {
    MR_TRY(usable(pg, st->name, err));
    if (!is_prepared(pg, st)) return mr_fail(err, MR_E_CONFLICT, "statement %s is not prepared", st->name);
    return send_prepared(pg, st, params, err);
}

mr_status mr_pg_pipeline_flush(mr_pg *pg, mr_error *err) {
    MR_TRY(usable(pg, "a pipeline", err));
    return PQflush(pg->conn) == 0 ? MR_OK : lost(pg, "a pipeline", err);
}

mr_status mr_pg_pipeline_sync(mr_pg *pg, mr_error *err) {
    MR_TRY(usable(pg, "a pipeline", err));
    return PQpipelineSync(pg->conn) ? MR_OK : lost(pg, "a pipeline", err);
}

mr_status mr_pg_pipeline_next(mr_pg *pg, mr_pg_result **out, bool *synced, mr_error *err) {
    *synced = false;
    if (out) *out = NULL;
    PGresult *r = NULL;
    for (int gaps = 0; !r && gaps < 2; gaps++) { /* each statement's results end with one NULL */
        MR_TRY(await(pg, "a pipeline", err));
        r = PQgetResult(pg->conn);
    }
    if (!r) return lost(pg, "a pipeline", err);
    mr_status status = MR_OK;
    if (PQresultStatus(r) == PGRES_PIPELINE_SYNC)
        *synced = true;
    else if (PQresultStatus(r) == PGRES_PIPELINE_ABORTED)
        status = mr_fail(err, MR_E_CANCELLED, "database: an earlier statement of the pipeline failed");
    else if (!is_good(r))
        status = failed(pg, r, "a pipeline", err);
    if (status == MR_OK && !*synced && out)
        *out = r;
    else
        PQclear(r);
    return status;
}

mr_status mr_pg_pipeline_end(mr_pg *pg, mr_error *err) {
    char state[sizeof pg->sqlstate];
    memcpy(state, pg->sqlstate, sizeof state); /* the caller may still want to know why it failed */
    MR_TRY(usable(pg, "a pipeline", err));
    memcpy(pg->sqlstate, state, sizeof state);
    if (await(pg, "a pipeline", NULL) == MR_OK)
        PQclear(PQgetResult(pg->conn)); /* the NULL behind the last result */
    if (PQexitPipelineMode(pg->conn)) return MR_OK;
    pg->broken = true;
    return mr_fail(err, MR_E_CONFLICT,
                   "database: a pipeline ended with results unread; the connection is given up");
}

/* ---- COPY ---- */

static const char copy_header[19] = "PGCOPY\n\377\r\n\0"; /* then flags and extension length, both 0 */

mr_status mr_pg_copy_begin(mr_pg *pg, const char *sql, mr_error *err) {
    MR_TRY(mr_pg_run(pg, sql, err));
    if (PQputCopyData(pg->conn, copy_header, sizeof copy_header) == 1) return MR_OK;
    return lost(pg, "COPY", err);
}

mr_status mr_pg_copy_row(mr_pg *pg, const mr_pg_params *row, mr_error *err) {
    mr_buf bytes;
    mr_status status = mr_buf_status(&row->bytes);
    if (status == MR_OK) {
        mr_buf_init(&bytes, pg->mem, (size_t)1 << 30);
        mr_pg_copy_put_row(&bytes, row);
        status = mr_buf_status(&bytes);
        if (status == MR_OK && PQputCopyData(pg->conn, (const char *)bytes.data, (int)bytes.len) != 1) {
            mr_buf_free(&bytes);
            return lost(pg, "COPY", err);
        }
        mr_buf_free(&bytes);
    }
    return status == MR_OK
               ? MR_OK
               : mr_fail(err, status, "a row for COPY does not fit: %s", mr_status_of((int)status)->text);
}

mr_status mr_pg_copy_part(mr_pg *pg, mr_span rows, mr_error *err) {
    enum { PIECE = 1 << 20 }; /* libpq takes an int, and keeps what the server has not read yet */
    for (size_t at = 0; at < rows.len; at += PIECE) {
        size_t n = rows.len - at < PIECE ? rows.len - at : PIECE;
        if (PQputCopyData(pg->conn, (const char *)rows.data + at, (int)n) != 1) return lost(pg, "COPY", err);
    }
    return MR_OK;
}

mr_status mr_pg_copy_rows(mr_pg *pg, const mr_buf *rows, mr_error *err) {
    mr_status status = mr_buf_status(rows);
    if (status == MR_OK) return mr_pg_copy_part(pg, mr_buf_span(rows), err);
    return mr_fail(err, status, "rows for COPY do not fit: %s", mr_status_of((int)status)->text);
}

mr_status mr_pg_copy_end(mr_pg *pg, uint64_t *rows, mr_error *err) {
    static const char trailer[2] = "\377\377";
    PGresult *r = NULL;
    if (PQputCopyData(pg->conn, trailer, sizeof trailer) != 1 || PQputCopyEnd(pg->conn, NULL) != 1)
        return lost(pg, "COPY", err);
    MR_TRY(collect(pg, "COPY", &r, err));
    if (rows) *rows = mr_pg_changed(r);
    PQclear(r);
    return MR_OK;
}

void mr_pg_copy_abort(mr_pg *pg) {
    if (!mr_pg_alive(pg)) return;
    PQputCopyEnd(pg->conn, "given up");
    drain(pg);
}
