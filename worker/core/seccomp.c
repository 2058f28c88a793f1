#include "worker/core/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

#ifdef OUR_ARCH

static const int allowed[] = {
    /* memory; mmap and mprotect are looked at more closely below */
    SYS_brk, SYS_munmap, SYS_mremap, SYS_madvise, SYS_memfd_create, SYS_ftruncate,
    /* descriptors that it has or is given */
    SYS_read, SYS_readv, SYS_pread64, SYS_write, SYS_writev, SYS_pwrite64, SYS_lseek, SYS_close, SYS_fstat, SYS_recvmsg,
    SYS_sendmsg,
    /* itself */
    SYS_futex, SYS_sched_yield, SYS_clock_gettime, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getrandom,
    SYS_getpid, SYS_gettid, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
    SYS_getrlimit, SYS_setrlimit, SYS_getrusage, SYS_restart_syscall, SYS_sched_getaffinity, SYS_exit,
    SYS_exit_group,
};

static const int deadly[] = {
    SYS_execve,    SYS_execveat,         SYS_socket,         SYS_connect, SYS_bind, SYS_listen, SYS_accept4, SYS_ptrace,
    SYS_process_vm_readv, SYS_process_vm_writev, SYS_bpf, SYS_keyctl,  SYS_mount, SYS_unshare, SYS_setns,
};

enum { COUNT = sizeof allowed / sizeof *allowed, DEADLY = sizeof deadly / sizeof *deadly, LENGTH_MAX = 2 * (COUNT + DEADLY) + 32 };

typedef struct program {
    struct sock_filter line[LENGTH_MAX];
    unsigned short n;
} program;

static void put(program *p, unsigned short code, uint32_t k, uint8_t yes, uint8_t no) {
    MR_ASSERT(p->n < LENGTH_MAX);
    p->line[p->n++] = (struct sock_filter){code, yes, no, k};
}

static void load(program *p, size_t offset) { put(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0); }

static void answer(program *p, uint32_t action) { put(p, BPF_RET | BPF_K, action, 0, 0); }

static void when(program *p, int call, uint32_t action) {
    put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 1);
    answer(p, action);
}

/* Memory may not become code: neither mapped so nor turned so. prot is the third argument of both. */
static void without_code(program *p, int call) {
    put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4);
    load(p, offsetof(struct seccomp_data, args[2]));
    put(p, BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1);
    answer(p, SECCOMP_RET_ERRNO | EPERM);
    answer(p, SECCOMP_RET_ALLOW);
}

/* Only of one process: the worker belongs to the same user and must not be killed or starved of descriptors from here. */
static void with_first(program *p, int call, uint32_t value) {
    put(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 4);
    load(p, offsetof(struct seccomp_data, args[0]));
    put(p, BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
    answer(p, SECCOMP_RET_ALLOW);
    answer(p, SECCOMP_RET_ERRNO | EPERM);
}

static void compile(program *p) {
    load(p, offsetof(struct seccomp_data, arch));
    put(p, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
    answer(p, SECCOMP_RET_KILL_PROCESS);
    load(p, offsetof(struct seccomp_data, nr));
    without_code(p, SYS_mmap);
    without_code(p, SYS_mprotect);
    with_first(p, SYS_tgkill, (uint32_t)getpid());
    with_first(p, SYS_prlimit64, 0);
    for (size_t i = 0; i < COUNT; i++) when(p, allowed[i], SECCOMP_RET_ALLOW);
    for (size_t i = 0; i < DEADLY; i++) when(p, deadly[i], SECCOMP_RET_KILL_PROCESS);
#ifdef SYS_newfstatat
    /* fstat(3) asks so, with an empty path, and gets an answer about a descriptor; with a path it would tell of files. The
     * flags alone can be seen here. */
    put(p, BPF_JMP | BPF_JEQ | BPF_K, SYS_newfstatat, 0, 3);
    load(p, offsetof(struct seccomp_data, args[3]));
    put(p, BPF_JMP | BPF_JSET | BPF_K, 0x1000 /* AT_EMPTY_PATH */, 0, 1);
    answer(p, SECCOMP_RET_ALLOW);
#endif
    answer(p, SECCOMP_RET_ERRNO | EPERM);
}

mr_status mr_seccomp_confine(mr_error *err) {
    program p = {.n = 0};
    compile(&p);
    struct sock_fprog filter = {.len = p.n, .filter = p.line};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0) return MR_OK;
    return mr_fail(err, MR_E_UNAVAILABLE, "the kernel or the container allows no system call filter: %s", strerror(errno));
}

#else

mr_status mr_seccomp_confine(mr_error *err) {
    return mr_fail(err, MR_E_UNAVAILABLE, "there is no system call filter for this machine's architecture");
}

#endif
