// Makes each sync (fdatasync, fsync) of the process that preloads it take SLOW_MS milliseconds longer.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static struct timespec longer;

__attribute__((constructor)) static void init(void) {
    long ms = atol(getenv("SLOW_MS"));
    longer = (struct timespec){ms / 1000, ms % 1000 * 1000000};
}

static int synced(const char *name, int fd) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    nanosleep(&longer, NULL);
    return real(fd);
}

int fdatasync(int fd) { return synced("fdatasync", fd); }

int fsync(int fd) { return synced("fsync", fd); }
