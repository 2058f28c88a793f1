#include "common/prompt_parts.h"

#include <stdio.h>

/* Days since 1970-01-01 of the proleptic Gregorian calendar: years start in March, so the leap day is the
 * last. */
static int64_t days_from_date(int64_t year, int month, int day) {
    year -= month <= 2;
    int64_t shifted = (month + 9) % 12; /* March is 0 */
    int64_t day_of_year = (153 * shifted + 2) / 5 + day - 1;
    return 365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

static int month_days(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Exactly `digits` digits at the cursor. */
static bool take_number(mr_span *s, int digits, int *out) {
    if (s->len < (size_t)digits) return false;
    *out = 0;
    for (int i = 0; i < digits; i++) {
        if (s->data[i] < '0' || s->data[i] > '9') return false;
        *out = *out * 10 + (s->data[i] - '0');
    }
    s->data += digits;
    s->len -= (size_t)digits;
    return true;
}

static bool take(mr_span *s, const char *any) {
    for (; s->len && *any; any++) {
        if (s->data[0] != (uint8_t)*any) continue;
        s->data++;
        s->len--;
        return true;
    }
    return false;
}

static bool take_date(mr_span *s, int64_t *days) {
    int year, month, day;
    if (!take_number(s, 4, &year) || !take(s, "-") || !take_number(s, 2, &month) || !take(s, "-") ||
        !take_number(s, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > month_days(year, month)) return false;
    *days = days_from_date(year, month, day);
    return true;
}

/* Fractions beyond microseconds are cut off. */
static bool take_clock(mr_span *s, int64_t *us) {
    int hour, minute, second = 0;
    if (!take_number(s, 2, &hour) || !take(s, ":") || !take_number(s, 2, &minute)) return false;
    if (take(s, ":") && !take_number(s, 2, &second)) return false;
    if (hour > 23 || minute > 59 || second > 60) return false;
    *us = ((int64_t)hour * 3600 + minute * 60 + second) * 1000000;
    if (!take(s, ".,")) return true;
    int64_t unit = 100000;
    int digit, count = 0;
    for (; take_number(s, 1, &digit); unit /= 10, count++) *us += digit * unit;
    return count > 0;
}

static bool take_zone(mr_span *s, int64_t *us) {
    int hour, minute = 0;
    *us = 0;
    if (s->len == 0 || take(s, "Zz")) return true;
    int sign = take(s, "-") ? -1 : take(s, "+") ? 1 : 0;
    if (sign == 0 || !take_number(s, 2, &hour)) return false;
    bool colon = take(s, ":");
    if ((colon || s->len) && !take_number(s, 2, &minute)) return false;
    if (hour > 23 || minute > 59) return false;
    *us = sign * ((int64_t)hour * 3600 + minute * 60) * 1000000;
    return true;
}

bool mr_time_parse(mr_span text, int64_t *us) {
    int64_t days, clock = 0, zone = 0;
    if (!take_date(&text, &days)) return false;
    if (text.len && !(take(&text, "Tt ") && take_clock(&text, &clock) && take_zone(&text, &zone)))
        return false;
    if (text.len) return false;
    int64_t t = days * 86400000000ll + clock - zone;
    if (t < MR_TIME_MIN || t > MR_TIME_MAX) return false;
    *us = t;
    return true;
}

void mr_time_format(int64_t us, char out[MR_TIME_TEXT]) {
    if (us < MR_TIME_MIN) us = MR_TIME_MIN;
    if (us > MR_TIME_MAX) us = MR_TIME_MAX;
    int64_t shifted = us - MR_TIME_MIN; /* from 0001-01-01, never negative */
    int64_t days = shifted / 86400000000ll, rest = shifted % 86400000000ll;
    int64_t from_1970 = days - 719162;
    int year = (int)(days / 366) + 1, month = 1;
    while (days_from_date(year + 1, 1, 1) <= from_1970) year++;
    from_1970 -= days_from_date(year, 1, 1);
    while (from_1970 >= month_days(year, month)) from_1970 -= month_days(year, month++);
    unsigned day = (unsigned)from_1970 + 1, seconds = (unsigned)(rest / 1000000),
             micro = (unsigned)(rest % 1000000);
    snprintf(out, MR_TIME_TEXT, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ", (unsigned)year % 10000,
             (unsigned)month % 100, day % 100, seconds / 3600 % 100, seconds / 60 % 60, seconds % 60, micro);
}
