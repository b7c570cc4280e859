// Limits on the address space: set, in force for what is asked from then on, kept over fork and exec.
#include "show.h"
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int limit(int resource, rlim_t soft) {
    struct rlimit l;
    getrlimit(resource, &l);
    l.rlim_cur = soft;
    return setrlimit(resource, &l);
}

static int fits(size_t size) {
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return -1;
    return munmap(p, size);
}

// Uses so much of the stack.
static __attribute__((noinline)) int deep(int kilobytes) {
    volatile char frame[1024];
    frame[0] = kilobytes;
    return kilobytes ? deep(kilobytes - 1) + (frame[0] != 0 && kilobytes < 0) : 0;
}

static int ended(void (*act)(void)) {
    int status;
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        act();
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

static void space(void) { SHOW(fits(200 << 20)); SHOW(fits(1 << 20)); }
static char *self;
static void again(rlim_t stack) {
    SHOW(limit(RLIMIT_STACK, stack));
    fflush(stdout);
    execl(self, self, "deep", NULL);
}
static void little(void) { again(1 << 20); }
static void enough(void) { again(4 << 20); }

int main(int argc, char **argv) {
    struct rlimit old, both = {100 << 20, RLIM_INFINITY};
    self = argv[0];
    if (argc > 1) {
        if (!strcmp(argv[1], "deep")) SHOW(deep(2000));
        else space();
        return 0;
    }
    SHOW(fits(200 << 20));
    // The old limit goes where the new one came from.
    SHOW(prlimit(0, RLIMIT_AS, &both, &both));
    SHOW(both.rlim_cur == RLIM_INFINITY);
    SHOW(getrlimit(RLIMIT_AS, &old));
    SHOW(old.rlim_cur);
    space();
    SHOW(ended(space));
    fflush(stdout);
    if (fork() == 0) execl(argv[0], argv[0], "again", NULL);
    wait(NULL);
    SHOW(limit(RLIMIT_AS, RLIM_INFINITY));
    SHOW(fits(200 << 20));
    SHOW(limit(RLIMIT_DATA, 50 << 20));
    SHOW(fits(60 << 20));
    SHOW(sbrk(60 << 20) == (void *)-1);
    SHOW(mmap(NULL, 60 << 20, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    SHOW(limit(RLIMIT_DATA, RLIM_INFINITY));
    SHOW(ended(enough));
    SHOW(ended(little));
}
