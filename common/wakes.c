#include "common/wakes.h"

#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { LINGER_MS = 1000 };
static const int32_t as_you_like = INT32_MAX;

mr_status mr_wakes_open(const char *path, int64_t us, mr_wakes *out, mr_error *err) {
    *out = (mr_wakes){.fd = -1, .us = (int32_t)us};
    if (us < 0) return MR_OK;
    out->fd = open(path, O_WRONLY | O_CLOEXEC);
    if (out->fd >= 0 && write(out->fd, &as_you_like, sizeof as_you_like) == sizeof as_you_like) return MR_OK;
    mr_error why;
    mr_status s = mr_file_fail(&why, errno, "write", path);
    mr_wakes_close(out);
    return mr_fail(err, s, "wake_us: %s; let this user write it, or leave wake_us at -1", why.text);
}

static void ask(mr_wakes *w, int32_t us) { (void)!write(w->fd, &us, sizeof us); }

void mr_wakes_follow(mr_wakes *w, uint64_t work, uint64_t now_ms) {
    if (w->fd < 0) return;
    bool moved = work != w->work;
    w->work = work;
    if (moved) w->moved_ms = now_ms;
    bool hold = moved || (w->held && now_ms - w->moved_ms < LINGER_MS);
    if (hold != w->held) ask(w, hold ? w->us : as_you_like);
    w->held = hold;
}

void mr_wakes_close(mr_wakes *w) {
    if (w->fd >= 0) close(w->fd);
    w->fd = -1;
}
