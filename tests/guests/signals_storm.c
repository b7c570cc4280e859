// Signals that come faster than anybody can take them.
#include "show.h"
#include <linux/futex.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

static volatile sig_atomic_t seen;
static volatile long total;
static timer_t timer;

static void tick(int signal) {
    if (++seen < 2000) return;
    struct itimerspec never = {0};
    timer_settime(timer, 0, &never, NULL);
}

static void count(int signal, siginfo_t *info, void *unused) {
    seen++;
    total += info->si_value.sival_int;
}

// A timer whose next tick is there before the handler of the last one was called.
static void ticks(void) {
    signal(SIGRTMIN, tick);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    struct itimerspec always = {{0, 1000}, {0, 1000}};
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &always, NULL);
    while (seen < 2000) continue;
    SHOW(seen);
}

// Many more queued signals than are taken at a time, while the process computes.
static void queue(void) {
    struct sigaction action = {.sa_sigaction = count, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN + 1, &action, NULL);
    seen = total = 0;
    pid_t parent = getpid();
    if (!fork()) {
        for (int i = 1; i <= 5000; i++)
            while (sigqueue(parent, SIGRTMIN + 1, (union sigval){.sival_int = i})) continue;
        _exit(0);
    }
    while (seen < 5000) continue;
    SHOW(seen);
    SHOW(total);
    int status;
    while (wait(&status) < 0) continue;
    SHOW(status);
}

static void nothing(int signal) { seen++; }

// Calls that never wait are never broken off, however often a handler comes that would not let them go on.
static void no_wait(void) {
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGRTMIN, &action, NULL);
    struct itimerspec often = {{0, 50000}, {0, 50000}}, never = {0};
    timer_settime(timer, 0, &often, NULL);
    int word = 0, ends[2], status, file;
    pid_t child = fork();
    if (!child) while (1) pause();
    pipe2(ends, O_NONBLOCK);
    long broken = 0;
    char byte;
    seen = 0;
    for (int i = 0; i < 20000 || seen < 50; i++) {
        broken += syscall(SYS_futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0) < 0 && errno == EINTR;
        broken += waitpid(child, &status, WNOHANG) < 0 && errno == EINTR;
        broken += read(ends[0], &byte, 1) < 0 && errno == EINTR;
        broken += close(dup(ends[1])) < 0 && errno == EINTR;
        broken += (file = open("/dev/null", O_RDONLY)) < 0 && errno == EINTR;
        close(file);
    }
    timer_settime(timer, 0, &never, NULL);
    SHOW(broken);
    SHOW(kill(child, SIGKILL));
    SHOW(waitpid(child, &status, 0) == child);
}

int main(void) {
    // By default this ends a process that does not get on.
    alarm(60);
    ticks();
    queue();
    no_wait();
    return 0;
}
