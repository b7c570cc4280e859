// Taking signals without handlers: sigtimedwait and its kin, and POSIX timers.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t handled;
static void on_signal(int signal, siginfo_t *info, void *context) {
    (void)context;
    handled = signal * 1000 + info->si_value.sival_int;
}

static void wait_for(const char *what, const sigset_t *set, const struct timespec *timeout) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    int got = sigtimedwait(set, &info, timeout);
    printf("%s: %d %s code %d value %d\n", what, got, got < 0 ? strerror(errno) : "", info.si_code,
           info.si_value.sival_int);
}

static timer_t timer(int notify, int signal, int value) {
    struct sigevent event = {.sigev_notify = notify, .sigev_signo = signal, .sigev_value.sival_int = value};
    timer_t id;
    event._sigev_un._tid = syscall(SYS_gettid);
    if (timer_create(CLOCK_MONOTONIC, &event, &id)) perror("timer_create");
    return id;
}

int main(void) {
    sigset_t set, none, pending;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGRTMIN + 1);
    sigprocmask(SIG_BLOCK, &set, 0);
    struct timespec zero = {0, 0}, little = {0, 10000000}, bad = {0, 1000000000};
    wait_for("nothing there", &set, &zero);
    wait_for("nothing comes", &set, &little);
    wait_for("bad time", &set, &bad);
    for (int i = 1; i <= 3; i++) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i});
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 10});
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    for (int i = 0; i < 6; i++) wait_for("queued", &set, &zero);
    int got = 0;
    raise(SIGUSR1);
    int waited = sigwait(&set, &got);
    printf("sigwait %d %d\n", waited, got);
    printf("null set: %d\n", (int)syscall(SYS_rt_sigtimedwait, 8, 0, 0, 8));
    printf("size: %d\n", (int)syscall(SYS_rt_sigtimedwait, &set, 0, 0, 4));

    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &action, 0);
    sigaction(SIGRTMIN + 2, &action, 0);
    timer_t one = timer(SIGEV_THREAD_ID, SIGRTMIN, 77);
    struct itimerspec soon = {{0, 0}, {0, 1000000}}, far = {{7, 0}, {3600, 0}}, now;
    timer_settime(one, 0, &soon, 0);
    wait_for("timer", &set, 0);
    timer_settime(one, 0, &far, &now);
    printf("disarmed before: %ld %ld\n", (long)now.it_value.tv_sec, now.it_value.tv_nsec);
    timer_gettime(one, &now);
    printf("armed: %d period %ld\n", now.it_value.tv_sec >= 3500, (long)now.it_interval.tv_sec);
    printf("delete %d", timer_delete(one));
    printf(", again %d\n", timer_delete(one));

    // Expirations of a blocked signal are one signal and an overrun.
    struct itimerspec often = {{0, 1000000}, {0, 1000000}}, off = {{0, 0}, {0, 0}};
    timer_t two = timer(SIGEV_SIGNAL, SIGRTMIN, 5);
    timer_settime(two, 0, &often, 0);
    nanosleep(&(struct timespec){0, 50000000}, 0);
    wait_for("periodic", &set, 0);
    printf("overrun %d\n", timer_getoverrun(two) > 5);
    timer_settime(two, 0, &off, 0);
    timer_delete(two);
    while (sigtimedwait(&set, 0, &zero) > 0) {}

    // Delivered to a handler while waiting for another.
    timer_t three = timer(SIGEV_SIGNAL, SIGRTMIN + 2, 6);
    timer_settime(three, 0, &soon, 0);
    wait_for("interrupted", &set, 0);
    printf("handled %d\n", handled == (SIGRTMIN + 2) * 1000 + 6);
    timer_t silent = timer(SIGEV_NONE, 0, 0);
    timer_settime(silent, 0, &far, 0);
    timer_gettime(silent, &now);
    printf("silent timer runs %d\n", now.it_value.tv_sec > 0);
    sigpending(&pending);
    printf("pending %d\n", sigisemptyset(&pending));
    sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = 9});
    sigprocmask(SIG_UNBLOCK, &set, 0);
    printf("unblocked: %d\n", handled == SIGRTMIN * 1000 + 9);
    return 0;
}
