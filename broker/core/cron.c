#include "broker/core/cron.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS = 5 };
static const int64_t MINUTE_US = 60 * 1000000ll, DAY_MINUTES = 1440;

static const struct field {
    const char *name;
    unsigned least, most;
} fields[FIELDS] = {{"minute", 0, 59}, {"hour", 0, 23}, {"day", 1, 31}, {"month", 1, 12}, {"weekday", 0, 7}};

/* ---- days: H. Hinnant, chrono-compatible low-level date algorithms, 2013 ---- */

static int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }

typedef struct date {
    int64_t year;
    unsigned month, day;
} date;

static date date_of(int64_t days) {
    int64_t z = days + 719468, era = floor_div(z, 146097);
    int64_t doe = z - era * 146097, yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    return (date){yoe + era * 400 + (month <= 2), month, (unsigned)(doy - (153 * mp + 2) / 5 + 1)};
}

static unsigned weekday_of(int64_t days) { return (unsigned)(((days + 4) % 7 + 7) % 7); }

/* ---- reading ---- */

static bool number(const char **at, unsigned *out) {
    if (!isdigit((unsigned char)**at)) return false;
    char *end;
    unsigned long v = strtoul(*at, &end, 10);
    if (end - *at > 3) return false;
    *at = end;
    *out = (unsigned)v;
    return true;
}

/* "*", "a", "a-b", each with "/step"; sets its bits. */
static bool part(const char **at, const struct field *f, uint64_t *bits) {
    unsigned low = f->least, high = f->most, step = 1;
    bool range = **at == '*';
    if (range) {
        ++*at;
    } else {
        if (!number(at, &low)) return false;
        high = low;
        if (**at == '-') {
            ++*at;
            range = true;
            if (!number(at, &high)) return false;
        }
    }
    if (**at == '/') {
        ++*at;
        if (!range || !number(at, &step) || step == 0) return false;
    }
    if (low < f->least || high > f->most || low > high) return false;
    for (unsigned v = low; v <= high; v += step) *bits |= UINT64_C(1) << v;
    return true;
}

static bool read_field(const char **at, const struct field *f, uint64_t *bits) {
    *bits = 0;
    while (**at == ' ' || **at == '\t') ++*at;
    do {
        if (!part(at, f, bits)) return false;
    } while (**at == ',' && *++*at);
    return **at == '\0' || **at == ' ' || **at == '\t';
}

mr_status mr_cron_parse(const char *text, mr_cron *out, mr_error *err) {
    uint64_t bits[FIELDS];
    const char *at = text;
    for (int i = 0; i < FIELDS; i++)
        if (!read_field(&at, &fields[i], &bits[i]))
            return mr_fail(
                err, MR_E_INVALID,
                "'%.80s': the %s is not understood; a cron line is 'minute hour day month weekday', such as "
                "'30 4 * * 1-5'",
                text, fields[i].name);
    if (at[strspn(at, " \t")])
        return mr_fail(err, MR_E_INVALID, "'%.80s': a cron line has five fields", text);
    if (bits[4] & 1u << 7) bits[4] |= 1; /* 7 is Sunday too */
    *out = (mr_cron){.minute = bits[0],
                     .hour = (uint32_t)bits[1],
                     .day = (uint32_t)bits[2],
                     .month = (uint32_t)bits[3],
                     .weekday = (uint32_t)bits[4] & 0x7f,
                     .any_day = bits[2] == 0xfffffffe,
                     .any_weekday = (bits[4] & 0x7f) == 0x7f};
    if (mr_cron_next(out, 0) == MR_NEVER)
        return mr_fail(err, MR_E_INVALID, "'%.80s': there is no such day", text);
    return MR_OK;
}

/* ---- times ---- */

static bool day_fits(const mr_cron *c, int64_t day) {
    date d = date_of(day);
    if (!(c->month >> d.month & 1)) return false;
    bool by_day = c->day >> d.day & 1, by_weekday = c->weekday >> weekday_of(day) & 1;
    if (c->any_day) return by_weekday;
    if (c->any_weekday) return by_day;
    return by_day || by_weekday;
}

/* The first minute of the day, from that one on, that fits; DAY_MINUTES: none. */
static int64_t minute_from(const mr_cron *c, int64_t minute) {
    for (; minute < DAY_MINUTES; minute++)
        if (c->hour >> (minute / 60) & 1 && c->minute >> (minute % 60) & 1) break;
    return minute;
}

int64_t mr_cron_next(const mr_cron *c, int64_t after_us) {
    enum {
        DAYS = 40 * 366
    }; /* 29 February on a given weekday comes within 40 years, also around a year like 2100 */
    int64_t start = floor_div(after_us, MINUTE_US) + 1, day = floor_div(start, DAY_MINUTES);
    for (int64_t n = 0, from = start - day * DAY_MINUTES; n < DAYS; n++, day++, from = 0) {
        int64_t minute = day_fits(c, day) ? minute_from(c, from) : DAY_MINUTES;
        if (minute < DAY_MINUTES) return (day * DAY_MINUTES + minute) * MINUTE_US;
    }
    return MR_NEVER;
}

/* The last one that is not after `until`; there is one at `pending`. */
static int64_t cron_last(const mr_cron *c, int64_t pending, int64_t until) {
    static const int64_t minutes[] = {60, DAY_MINUTES, 40 * DAY_MINUTES};
    int64_t last = pending;
    for (size_t i = 0; last == pending && i < sizeof minutes / sizeof *minutes; i++) {
        int64_t from = until - minutes[i] * MINUTE_US;
        for (int64_t at = from > pending ? from : pending; (at = mr_cron_next(c, at)) <= until;) last = at;
        if (from <= pending) return last;
    }
    if (last == pending) /* rarer than each 40 days */
        for (int64_t at = pending; (at = mr_cron_next(c, at)) <= until;) last = at;
    return last;
}

void mr_timetable_fire(const mr_timetable *t, int64_t pending, int64_t now, int64_t *due, int64_t *next) {
    *due = pending;
    *next = MR_NEVER;
    if (t->kind == MR_EVERY) {
        if (now > pending) *due = pending + (now - pending) / t->every_us * t->every_us;
        *next = *due + t->every_us;
    }
    if (t->kind == MR_CRON) {
        *due = cron_last(&t->cron, pending, now);
        *next = mr_cron_next(&t->cron, *due);
    }
}
