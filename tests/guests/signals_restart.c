// Interrupted calls: SA_RESTART and EINTR on reads, sleeps, waits and polls.
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/select.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int fds[2];
static volatile sig_atomic_t ticks, feed_at;

static void tick(int signal) {
    (void)signal;
    if (++ticks == feed_at && write(fds[1], "x", 1) != 1) _exit(9);
}

static void start(int flags, int feed) {
    struct sigaction action = {.sa_handler = tick, .sa_flags = flags};
    struct itimerval every = {{0, 20000}, {0, 20000}};
    sigaction(SIGALRM, &action, 0);
    ticks = 0;
    feed_at = feed;
    setitimer(ITIMER_REAL, &every, 0);
}

static void stop(const char *what, long result) {
    int error = errno;
    struct itimerval zero = {{0, 0}, {0, 0}}, old;
    setitimer(ITIMER_REAL, &zero, &old);
    printf("%s: %ld %s, ticked %d, period %ld\n", what, result, result < 0 ? strerror(error) : "", ticks > 0,
           (long)old.it_interval.tv_usec);
}

int main(void) {
    char c;
    if (pipe(fds)) return 9;
    start(0, 0);
    stop("read without SA_RESTART", read(fds[0], &c, 1));
    start(SA_RESTART, 3);
    stop("read with SA_RESTART", read(fds[0], &c, 1));
    struct timespec hour = {3600, 0}, left = {0, 0};
    start(SA_RESTART, 0);
    stop("nanosleep", nanosleep(&hour, &left));
    printf("left %d\n", left.tv_sec > 3000 && left.tv_sec < 3600);
    start(SA_RESTART, 0);
    struct pollfd p = {fds[0], POLLIN, 0};
    stop("poll", poll(&p, 1, 60000));
    start(SA_RESTART, 0);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fds[0], &set);
    stop("select", select(fds[0] + 1, &set, 0, 0, 0));
    start(SA_RESTART, 0);
    stop("pause", pause());

    sigset_t alarm_set, none, mask;
    sigemptyset(&none);
    sigemptyset(&alarm_set);
    sigaddset(&alarm_set, SIGALRM);
    sigprocmask(SIG_BLOCK, &alarm_set, 0);
    start(0, 0);
    stop("sigsuspend", sigsuspend(&none));
    sigprocmask(SIG_BLOCK, 0, &mask);
    printf("still blocked %d\n", sigismember(&mask, SIGALRM));
    start(0, 0);
    stop("ppoll", ppoll(&p, 1, 0, &none));
    start(0, 0);
    FD_ZERO(&set);
    stop("pselect", pselect(0, &set, 0, 0, 0, &none));
    start(0, 0);
    struct timespec short_time = {0, 60000000};
    stop("ppoll with the signal blocked", ppoll(&p, 1, &short_time, &alarm_set));
    sigprocmask(SIG_SETMASK, &none, 0);
    printf("then it came %d\n", ticks > 0);

    struct sigaction action = {.sa_handler = tick};
    sigaction(SIGALRM, &action, 0);
    // What is left of an alarm: whole seconds, fewer the longer the machine takes between the calls.
    printf("alarm %u", alarm(100));
    unsigned rest = alarm(50);
    printf(" %d", rest > 90 && rest <= 100);
    rest = alarm(0);
    printf(" %d\n", rest > 40 && rest <= 50);
    return 0;
}
