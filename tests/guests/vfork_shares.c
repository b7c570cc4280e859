// What the child of a vfork(2) has written is there for its parent, however the child ends.
#include "show.h"
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static volatile int global;
static volatile int *heap, *mapped;

static void written(void) {
    global++;
    ++*heap;
    ++*mapped;
}
static int returns(void *arg) {
    (void)arg;
    written();
    return 7;
}
static int exits(void *arg) {
    (void)arg;
    written();
    _exit(3);
}
static int ends_thread(void *arg) {
    (void)arg;
    written();
    syscall(SYS_exit, 4);
    return 0;
}
static int faults(void *arg) {
    (void)arg;
    written();
    *(volatile int *)8 = 1;
    return 0;
}
static int executes(void *arg) {
    (void)arg;
    written();
    execl("/bin/true", "true", NULL);
    return 1;
}
static int executes_nothing(void *arg) {
    (void)arg;
    written();
    execl("./nothing", "nothing", NULL);
    return errno;
}

int main(void) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    mapped = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    heap = calloc(1, sizeof *heap);
    char *stack = malloc(1 << 16);
    int (*all[])(void *) = {returns, exits, ends_thread, faults, executes, executes_nothing};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        int status;
        pid_t pid = clone(all[i], stack + (1 << 16), CLONE_VM | CLONE_VFORK | SIGCHLD, 0);
        printf("%zu: %d %d %d", i, global, *heap, *mapped);
        waitpid(pid, &status, 0);
        printf(" %x\n", status & 0xff7f);
    }
    pid_t pid = vfork();
    if (!pid) {
        written();
        _exit(0);
    }
    printf("%d %d %d\n", global, *heap, *mapped);
    waitpid(pid, 0, 0);
}
