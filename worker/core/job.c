#include "worker/core/job.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
} control;

mr_status mr_slot_send(int socket, const void *message, size_t size, int fd) {
    struct iovec part = {.iov_base = (void *)(uintptr_t)message, .iov_len = size};
    struct msghdr msg = {.msg_iov = &part, .msg_iovlen = 1};
    control c = {0};
    if (fd >= 0) {
        msg.msg_control = c.bytes;
        msg.msg_controllen = sizeof c.bytes;
        struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(head), &fd, sizeof fd);
    }
    ssize_t n;
    do n = sendmsg(socket, &msg, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)size ? MR_OK : MR_E_IO;
}

mr_status mr_slot_wake(int socket) { return mr_slot_send(socket, "", 1, -1); }

/* What is used goes from `oldest` to `put`, maybe round the end; the two are equal only when nothing of size is used. */
bool mr_box_place(uint32_t room, uint32_t oldest, bool empty, uint32_t size, uint32_t *put, uint32_t *at) {
    if (empty) *put = oldest = 0;
    if (size > room - 15) return false;
    size = (size + 15) / 16 * 16;
    if (*put < oldest && size >= oldest - *put) return false;
    bool fits = *put < oldest || size <= room - *put;
    if (!fits && size >= oldest) return false;
    *at = fits ? *put : 0;
    *put = *at + size;
    return true;
}

static int descriptor_of(struct msghdr *msg) {
    struct cmsghdr *head = CMSG_FIRSTHDR(msg);
    int fd = -1;
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(&fd, CMSG_DATA(head), sizeof fd);
    return fd;
}

mr_status mr_slot_receive(int socket, void *message, size_t size, int flags, size_t *got, int *fd) {
    struct iovec part = {.iov_base = message, .iov_len = size};
    control c = {0};
    struct msghdr msg = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = c.bytes, .msg_controllen = sizeof c.bytes};
    ssize_t n;
    *got = 0;
    *fd = -1;
    do n = recvmsg(socket, &msg, flags | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n < 0) return errno == EAGAIN || errno == EWOULDBLOCK ? MR_E_TIMEOUT : MR_E_IO;
    *fd = descriptor_of(&msg);
    *got = (size_t)n;
    return MR_OK;
}
