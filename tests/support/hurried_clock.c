// Hurries the wall clock of the process that preloads it: HURRY times as fast from its start on. Other clocks go on as ever.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int (*real)(clockid_t, struct timespec *);
static struct timespec start;
static long hurry = 1;

__attribute__((constructor)) static void init(void) {
    real = dlsym(RTLD_NEXT, "clock_gettime");
    if (getenv("HURRY")) hurry = atol(getenv("HURRY"));
    real(CLOCK_REALTIME, &start);
}

int clock_gettime(clockid_t id, struct timespec *now) {
    if (!real) init();
    int result = real(id, now);
    if (result != 0 || id != CLOCK_REALTIME) return result;
    long long passed = (now->tv_sec - start.tv_sec) * 1000000000LL + (now->tv_nsec - start.tv_nsec);
    long long hurried = start.tv_nsec + passed * hurry;
    now->tv_sec = start.tv_sec + hurried / 1000000000LL;
    now->tv_nsec = hurried % 1000000000LL;
    return 0;
}
