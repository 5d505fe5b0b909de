// Makes the disk under the log of the process that preloads it fail for good. The first FAIL_AT - 1 syncs (fdatasync, fsync) of what lies
// below FAIL_UNDER work. Then, by FAIL_CALL, either the next sync and all after it say EIO (sync), or it works and every pwritev after it
// says EIO (write). From the failure on, each of these calls is told in the file FAIL_TOLD, a line each; none should follow the first.
//
// pwritev is called past libc, so it is caught by the kernel: a filter of system calls, for all threads.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static atomic_long syncs;
static long at;
static int writes_fail;
static const char *under = "/nowhere";
static int told = -1;

static void tell(const char *line) {
    if (write(told, line, strlen(line)) < 0) _exit(99);
}

// Instead of pwritev.
static void trapped(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    tell("write\n");
    ucontext_t *calling = context;
#if defined(__x86_64__)
    calling->uc_mcontext.gregs[REG_RAX] = -EIO;
#elif defined(__aarch64__)
    calling->uc_mcontext.regs[0] = -EIO;
#else
#error "which register says what a system call returns?"
#endif
}

static void trap_writes(void) {
    struct sigaction action = {.sa_sigaction = trapped, .sa_flags = SA_SIGINFO};
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof code / sizeof *code, code};
    int is_set = sigaction(SIGSYS, &action, NULL) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                 syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &filter) == 0;
    if (!is_set) tell("no filter\n");
}

__attribute__((constructor)) static void init(void) {
    writes_fail = !strcmp(getenv("FAIL_CALL"), "write");
    at = atol(getenv("FAIL_AT"));
    under = getenv("FAIL_UNDER");
    told = open(getenv("FAIL_TOLD"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static int is_watched(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return !strncmp(path, under, strlen(under));
}

static int synced(const char *name, int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    if (!is_watched(fd)) return real(fd);
    long sync = atomic_fetch_add(&syncs, 1) + 1;
    if (sync < at) return real(fd);
    if (sync == at) trap_writes();
    if (sync == at && writes_fail) return real(fd);
    tell("sync\n");
    errno = EIO;
    return -1;
}

int fdatasync(int fd) { return synced("fdatasync", fd); }

int fsync(int fd) { return synced("fsync", fd); }
