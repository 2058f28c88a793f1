/* libchaos-clock.so: preloaded into a process, it shifts what the process sees as the time of day by a number of nanoseconds
 * that stands in a file (CHAOS_CLOCK, eight bytes), whenever it changes; the monotonic clock and the machine's own stay as
 * they are. For the chaos run (F24) only. Where the shift is found must be kept somewhere, hence the one variable. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *shift_ns;

__attribute__((constructor)) static void find_shift(void) {
    const char *path = getenv("CHAOS_CLOCK");
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    const void *page = mmap(NULL, sizeof *shift_ns, PROT_READ, MAP_SHARED, fd, 0);
    close(fd);
    if (page != MAP_FAILED) shift_ns = page;
}

static void shift(struct timespec *t) {
    const int64_t second = 1000000000;
    if (!shift_ns) return;
    int64_t ns = (int64_t)t->tv_sec * second + t->tv_nsec + *shift_ns;
    t->tv_sec = (time_t)(ns / second);
    t->tv_nsec = (long)(ns % second);
}

int clock_gettime(clockid_t id, struct timespec *t) {
    if (syscall(SYS_clock_gettime, id, t)) return -1;
    if (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE) shift(t);
    return 0;
}

int gettimeofday(struct timeval *restrict tv, void *restrict zone) {
    struct timespec t;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &t);
    *tv = (struct timeval){.tv_sec = t.tv_sec, .tv_usec = t.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *out) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    if (out) *out = t.tv_sec;
    return t.tv_sec;
}

int timespec_get(struct timespec *t, int base) {
    return base == TIME_UTC && !clock_gettime(CLOCK_REALTIME, t) ? base : 0;
}
