#include "broker/cli/term.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

unsigned mr_term_width(int fd) {
    if (!isatty(fd)) return 0;
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

uint64_t mr_now_ms(void) { return mr_clock_monotonic_ns() / 1000000; }

void mr_local_time(int64_t us, char out[MR_LOCAL_TIME]) {
    int64_t whole = us / 1000000 - (us % 1000000 < 0);
    time_t seconds = (time_t)whole;
    struct tm local;
    if (!localtime_r(&seconds, &local)) {
        snprintf(out, MR_LOCAL_TIME, "%lld us", (long long)us);
        return;
    }
    long offset = local.tm_gmtoff / 60;
    size_t n = strftime(out, MR_LOCAL_TIME, "%Y-%m-%d %H:%M:%S", &local);
    snprintf(out + n, MR_LOCAL_TIME - n, "%c%02ld:%02ld", offset < 0 ? '-' : '+',
             (offset < 0 ? -offset : offset) / 60, (offset < 0 ? -offset : offset) % 60);
}

void mr_duration_text(uint64_t ms, char out[32]) {
    unsigned long long s = ms / 1000;
    if (ms < 1000)
        snprintf(out, 32, "%llu ms", (unsigned long long)ms);
    else if (s < 60)
        snprintf(out, 32, "%.1f s", (double)ms / 1000);
    else if (s < 3600)
        snprintf(out, 32, "%llu min %llu s", s / 60, s % 60);
    else
        snprintf(out, 32, "%llu h %llu min", s / 3600, s / 60 % 60);
}

void mr_progress_init(mr_progress *p) {
    *p = (mr_progress){.width = mr_term_width(2)};
    p->on = p->width > 20;
}

bool mr_progress_due(mr_progress *p) {
    if (!p->on || mr_now_ms() < p->next_ms) return false;
    p->next_ms = mr_now_ms() + 100;
    return true;
}

void mr_progress_show(mr_progress *p, const char *fmt, ...) {
    if (!p->on) return;
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    fprintf(stderr, "\r\033[K%.*s", (int)p->width - 1, line);
    fflush(stderr);
    p->shown = true;
}

void mr_progress_clear(mr_progress *p) {
    if (p->shown) fputs("\r\033[K", stderr);
    p->shown = false;
}

void mr_bar(uint64_t done, uint64_t total, char *out, size_t width) {
    if (done > total) done = total;
    size_t full = total ? (size_t)((double)done / (double)total * (double)width) : 0;
    out[0] = '[';
    for (size_t i = 0; i < width; i++) out[i + 1] = i < full ? '#' : '.';
    out[width + 1] = ']';
    out[width + 2] = 0;
}

/* ---- signals ---- */

mr_status mr_stop_init(mr_stop *s, mr_error *err) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    *s = (mr_stop){.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC)};
    if (s->fd < 0 || sigprocmask(SIG_BLOCK, &set, NULL))
        return mr_fail(err, MR_E_IO, "cannot wait for signals: %s", strerror(errno));
    return MR_OK;
}

bool mr_stop_asked(mr_stop *s) {
    struct signalfd_siginfo info;
    if (s->asked || read(s->fd, &info, sizeof info) != sizeof info) return s->asked;
    s->asked = true;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_UNBLOCK, &set, NULL); /* whoever asks twice does not want to wait */
    return true;
}

bool mr_stop_wait(mr_stop *s, unsigned ms) {
    if (mr_stop_asked(s)) return true;
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    poll(&p, 1, (int)ms);
    return mr_stop_asked(s);
}

void mr_stop_close(mr_stop *s) {
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}
