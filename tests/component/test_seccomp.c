/* What a confined process can do and what not: each check is a process of its own, told apart by how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "worker/core/seccomp.h"

enum { UNAVAILABLE = 77, DENIED = 1, DONE = 0 };

typedef int attempt(void); /* errno, or 0 when it succeeded */

/* The wait status of a process that confines itself and then tries. */
static int confined(attempt *try) {
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        mr_error err;
        if (mr_seccomp_confine(&err) != MR_OK) _exit(UNAVAILABLE);
        int error = try();
        _exit(error == EPERM ? DENIED : error ? 2 : DONE);
    }
    int state;
    assert_int_equal(waitpid(pid, &state, 0), pid);
    if (WIFEXITED(state) && WEXITSTATUS(state) == UNAVAILABLE) skip();
    return state;
}

static void ends_with(attempt *try, int exit_code) {
    int state = confined(try);
    assert_true(WIFEXITED(state));
    assert_int_equal(WEXITSTATUS(state), exit_code);
}

static void dies_of_it(attempt *try) {
    int state = confined(try);
    assert_true(WIFSIGNALED(state));
    assert_int_equal(WTERMSIG(state), SIGSYS);
}

/* ---- attempts ---- */

static int open_file(void) { return open("/etc/passwd", O_RDONLY | O_CLOEXEC) < 0 ? errno : 0; }
static int make_file(void) { return open("/tmp/millrace-seccomp", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) < 0 ? errno : 0; }
static int look_at_file(void) { return access("/etc/passwd", F_OK) ? errno : 0; }
static int remove_file(void) { return unlink("/tmp/millrace-seccomp") ? errno : 0; }
static int start_process(void) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    return pid < 0 ? errno : 0;
}
static int kill_parent(void) { return kill(getppid(), 0) ? errno : 0; }
static int make_code(void) {
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? errno : 0;
}
static int turn_into_code(void) {
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mprotect(p, 4096, PROT_READ | PROT_EXEC) ? errno : 0;
}
static int limit_parent(void) {
    struct rlimit limit = {0, 0};
    return prlimit(getppid(), RLIMIT_NOFILE, &limit, NULL) ? errno : 0;
}

static int open_socket(void) { return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0; }
static int open_unix_socket(void) { return socket(AF_UNIX, SOCK_STREAM, 0) < 0 ? errno : 0; }
static int run_program(void) {
    char *argv[] = {"true", NULL};
    execv("/bin/true", argv);
    return errno;
}

static int compute(void) {
    struct rlimit limit;
    char byte = 'x';
    int fd = memfd_create("test", MFD_CLOEXEC);
    void *map = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fd < 0 || map == MAP_FAILED || write(fd, &byte, 1) != 1 || pread(fd, &byte, 1, 0) != 1) return EIO;
    memset(map, 1, 1 << 20);
    struct stat s;
    if (fstat(fd, &s) || getrlimit(RLIMIT_AS, &limit) || setrlimit(RLIMIT_AS, &limit)) return EIO;
    return munmap(map, 1 << 20) || close(fd) ? EIO : 0;
}

/* ---- the tests ---- */

static void it_computes(void **state) {
    (void)state;
    ends_with(compute, DONE);
}

static void it_reaches_no_file_no_process_and_makes_no_code(void **state) {
    (void)state;
    attempt *const tries[] = {open_file,   make_file, look_at_file,   remove_file, start_process,
                              kill_parent, make_code, turn_into_code, limit_parent};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) ends_with(tries[i], DENIED);
}

static void a_socket_or_a_program_is_its_end(void **state) {
    (void)state;
    attempt *const tries[] = {open_socket, open_unix_socket, run_program};
    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) dies_of_it(tries[i]);
}

static int give_up(void) {
    abort();
    return 0;
}

static void abort_still_aborts(void **state) {
    (void)state;
    int how = confined(give_up);
    assert_true(WIFSIGNALED(how));
    assert_int_equal(WTERMSIG(how), SIGABRT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_computes),
        cmocka_unit_test(it_reaches_no_file_no_process_and_makes_no_code),
        cmocka_unit_test(a_socket_or_a_program_is_its_end),
        cmocka_unit_test(abort_still_aborts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
