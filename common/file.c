#include "common/file.h"
#include "common/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

mr_status mr_file_fail(mr_error *err, int error_number, const char *what, const char *path) {
    mr_status status = MR_E_IO;
    switch (error_number) {
    case ENOENT:
    case ENOTDIR:
        status = MR_E_NOT_FOUND;
        break;
    case EACCES:
    case EPERM:
    case EROFS:
        status = MR_E_DENIED;
        break;
    case EISDIR:
    case ENAMETOOLONG:
        status = MR_E_INVALID;
        break;
    case ENOSPC:
    case EDQUOT:
        status = MR_E_UNAVAILABLE;
        break;
    case EMFILE:
    case ENFILE:
        status = MR_E_LIMIT;
        break;
    case ENOMEM:
        status = MR_E_MEMORY;
        break;
    default:
        break;
    }
    return mr_fail(err, status, "cannot %s %.300s: %s", what, path, strerror(error_number));
}

/* A folder can be opened for reading; only reading it fails, and with less clear words. */
static mr_status open_for_reading(const char *path, int *fd, mr_error *err) {
    struct stat s;
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return mr_file_fail(err, errno, "read", path);
    if (fstat(*fd, &s) == 0 && !S_ISDIR(s.st_mode)) return MR_OK;
    close(*fd);
    *fd = -1;
    return mr_file_fail(err, EISDIR, "read", path);
}

static ssize_t read_some(int fd, void *to, size_t n) {
    ssize_t got;
    do got = read(fd, to, n);
    while (got < 0 && errno == EINTR);
    return got;
}

static mr_status read_all(int fd, const char *path, size_t max, mr_buf *out, mr_error *err) {
    uint8_t block[16384];
    size_t sum = 0;
    for (;;) {
        ssize_t got = read_some(fd, block, sizeof block);
        if (got < 0) return mr_file_fail(err, errno, "read", path);
        if (got == 0) return MR_OK;
        if ((size_t)got > max - sum)
            return mr_fail(err, MR_E_LIMIT, "%.300s is larger than %zu bytes", path, max);
        sum += (size_t)got;
        mr_buf_put(out, block, (size_t)got);
        mr_status status = mr_buf_status(out);
        if (status != MR_OK) return mr_fail(err, status, "no room for the bytes of %.300s", path);
    }
}

mr_status mr_file_read(const char *path, size_t max, mr_buf *out, mr_error *err) {
    int fd;
    MR_TRY(open_for_reading(path, &fd, err));
    mr_status status = read_all(fd, path, max, out, err);
    close(fd);
    return status;
}

/* ---- writing ---- */

static int write_all(int fd, mr_span bytes) {
    while (bytes.len) {
        ssize_t n = write(fd, bytes.data, bytes.len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
    return fsync(fd) ? errno : 0;
}

/* The folder's own entry must be on disk too, or the rename may be lost. */
static int sync_folder(const char *path) {
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (size_t)(slash - path) : 1;
    snprintf(folder, sizeof folder, "%.*s", (int)(n ? n : 1), slash ? path : ".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    int failed = fsync(fd) ? errno : 0;
    close(fd);
    return failed;
}

mr_status mr_file_write(const char *path, mr_span bytes, unsigned mode, mr_error *err) {
    char temporary[PATH_MAX];
    uint64_t id;
    mr_random_bytes(&id, sizeof id);
    int n = snprintf(temporary, sizeof temporary, "%s.%016llx.tmp", path, (unsigned long long)id);
    if (n >= (int)sizeof temporary) return mr_file_fail(err, ENAMETOOLONG, "write", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0) return mr_file_fail(err, errno, "write", path);
    int failed = write_all(fd, bytes);
    if (close(fd) && !failed) failed = errno;
    if (!failed && rename(temporary, path)) failed = errno;
    if (failed)
        unlink(temporary);
    else
        failed = sync_folder(path);
    return failed ? mr_file_fail(err, failed, "write", path) : MR_OK;
}

static mr_status make_dir(const char *path, unsigned mode, mr_error *err) {
    struct stat s;
    if (!mkdir(path, mode)) return MR_OK;
    int why = errno;
    if (stat(path, &s)) return mr_file_fail(err, why, "make the folder", path);
    if (S_ISDIR(s.st_mode)) return MR_OK;
    return mr_fail(err, MR_E_EXISTS, "cannot make the folder %.300s: a file of that name is in the way",
                   path);
}

mr_status mr_make_dirs(const char *path, unsigned mode, mr_error *err) {
    char part[PATH_MAX];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof part) return mr_file_fail(err, ENAMETOOLONG, "make the folder", path);
    for (size_t i = 0; i <= len; i++) {
        part[i] = path[i];
        if (i == 0 || (path[i] != '/' && path[i])) continue;
        part[i] = 0;
        MR_TRY(make_dir(part, mode, err));
        part[i] = path[i];
    }
    return MR_OK;
}

/* ---- lines ---- */

enum { READ_BLOCK = 256 * 1024 };

mr_status mr_lines_open(mr_lines *l, const char *path, size_t max_line, const mr_mem *mem, mr_error *err) {
    *l = (mr_lines){.mem = mem, .fd = STDIN_FILENO, .max_line = max_line, .path = path};
    if (strcmp(path, "-")) {
        MR_TRY(open_for_reading(path, &l->fd, err));
        l->own_fd = true;
        posix_fadvise(l->fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    } else {
        l->path = "standard input";
    }
    l->cap = max_line + READ_BLOCK;
    l->data = mr_new(mem, l->cap, 1);
    if (l->data) return MR_OK;
    mr_lines_close(l);
    return mr_fail(err, MR_E_MEMORY, "no memory to read %.300s", path);
}

void mr_lines_close(mr_lines *l) {
    if (l->own_fd) close(l->fd);
    mr_free(l->mem, l->data, l->cap, 1);
    l->own_fd = false;
    l->data = NULL;
    l->eof = true;
    l->start = l->end = 0;
}

/* Reads one block behind what is there. What is left is at most one line that goes on, so moving it is cheap.
 */
static mr_status fill(mr_lines *l, mr_error *err) {
    memmove(l->data, l->data + l->start, l->end - l->start);
    l->end -= l->start;
    l->start = 0;
    ssize_t got = read_some(l->fd, l->data + l->end, l->cap - l->end);
    if (got < 0) return mr_file_fail(err, errno, "read", l->path);
    l->eof = got == 0;
    l->end += (size_t)got;
    return MR_OK;
}

/* Finds the line's end, from `from` bytes behind start on, reading more as long as the line may fit. *len is
 * the number of bytes before "\n"; false when none was found in them. */
static mr_status find_end(mr_lines *l, size_t *len, bool *ended, mr_error *err) {
    size_t looked = 0;
    for (;;) {
        uint8_t *from = l->data + l->start;
        uint8_t *newline = memchr(from + looked, '\n', l->end - l->start - looked);
        *ended = newline != NULL;
        *len = newline ? (size_t)(newline - from) : l->end - l->start;
        if (newline || l->eof || *len > l->max_line + 1) return MR_OK; /* + 1: a "\r" may be the last byte */
        looked = *len;
        MR_TRY(fill(l, err));
    }
}

/* Reads off the rest of an over-long line behind its first max_line bytes, which stay where they are. */
static mr_status pass_over(mr_lines *l, mr_line *out, mr_error *err) {
    uint8_t *room = l->data + l->max_line;
    size_t seen = l->end - l->start;
    memmove(l->data, l->data + l->start, l->max_line);
    for (;;) {
        ssize_t got = read_some(l->fd, room, READ_BLOCK);
        if (got < 0) return mr_file_fail(err, errno, "read", l->path);
        uint8_t *newline = got ? memchr(room, '\n', (size_t)got) : NULL;
        l->eof = got == 0;
        out->ended = newline != NULL;
        out->length = seen + (newline ? (size_t)(newline - room) : (size_t)got);
        seen += (size_t)got;
        l->start = newline ? (size_t)(newline + 1 - l->data) : l->max_line;
        l->end = newline ? l->max_line + (size_t)got : l->max_line;
        if (newline || l->eof) return MR_OK;
    }
}

static mr_status skip_byte_order_mark(mr_lines *l, mr_error *err) {
    while (l->end - l->start < 3 && !l->eof) MR_TRY(fill(l, err));
    if (l->end - l->start >= 3 && !memcmp(l->data + l->start, "\xef\xbb\xbf", 3))
        l->start += 3, l->offset += 3;
    return MR_OK;
}

mr_status mr_lines_next(mr_lines *l, mr_line *out, bool *got, mr_error *err) {
    *got = false;
    if (l->number == 0) MR_TRY(skip_byte_order_mark(l, err));
    size_t len;
    bool ended;
    MR_TRY(find_end(l, &len, &ended, err));
    if (len == 0 && !ended) return MR_OK;
    *out = (mr_line){.number = ++l->number, .offset = l->offset, .length = len, .ended = ended};
    const uint8_t *text = l->data + l->start;
    if (ended || l->eof)
        l->start += len + ended;
    else {
        MR_TRY(pass_over(l, out, err));
        text = l->data;
    }
    l->offset += out->length + out->ended;
    size_t bare = (size_t)out->length;
    if (ended && bare && text[bare - 1] == '\r') bare--;
    out->too_long = bare > l->max_line;
    out->text = (mr_span){text, out->too_long ? l->max_line : bare};
    *got = true;
    return MR_OK;
}
