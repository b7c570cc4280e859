// Signals that are read from descriptors: what is read, waiting for them alone and with others, threads, and fork.
#include "show.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

static void show_signal(const struct signalfd_siginfo *s) {
    printf("signal %d code %d mine %d %d value %d %lx status %d overrun %d\n", s->ssi_signo, s->ssi_code, s->ssi_pid == getpid(),
           s->ssi_uid == getuid() && s->ssi_uid, s->ssi_int, (long)s->ssi_ptr, s->ssi_status, s->ssi_overrun);
}

static long take(int fd) {
    struct signalfd_siginfo s[4];
    long n = read(fd, s, sizeof s);
    if (n < 0) return n;
    for (long i = 0; i < n / (long)sizeof *s; i++) show_signal(s + i);
    return n / sizeof *s;
}

static int ready(int fd, int timeout) {
    struct pollfd p = {fd, POLLIN};
    int n = poll(&p, 1, timeout);
    return n < 0 ? n : n * 100 + p.revents;
}

static void reading(void) {
    sigset_t set, other;
    sigemptyset(&set);
    SHOW(signalfd(-1, &set, 0x4));
    SHOW(signalfd(0, &set, 0));
    SHOW(signalfd(99, &set, 0));
    SHOW(syscall(SYS_signalfd4, -1, &set, 4, 0));
    SHOW(syscall(SYS_signalfd4, -1, 8, 8, 0));
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGALRM);
    sigprocmask(SIG_BLOCK, &set, 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    SHOW(fd);
    SHOW(fcntl(fd, F_GETFL) & O_NONBLOCK);
    SHOW(fcntl(fd, F_GETFD));
    char name[64] = {0}, path[64];
    sprintf(path, "/proc/self/fd/%d", fd);
    SHOW(readlink(path, name, 63));
    puts(name);
    SHOW(take(fd));
    SHOW(ready(fd, 0));
    SHOW(raise(SIGUSR1));
    SHOW(ready(fd, 0));
    SHOW(read(fd, name, 60));
    SHOW(write(fd, name, 60));
    SHOW(take(fd));
    SHOW(ready(fd, 0));
    kill(getpid(), SIGUSR1);
    kill(getpid(), SIGUSR1);
    for (int i = 1; i < 4; i++) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i});
    SHOW(take(fd));
    SHOW(take(fd));
    // In odd vectors.
    sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 77});
    struct signalfd_siginfo s;
    struct iovec v[2] = {{&s, 5}, {(char *)&s + 5, sizeof s - 5}};
    SHOW(readv(fd, v, 2));
    show_signal(&s);
    // The set can change.
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    sigprocmask(SIG_BLOCK, &other, 0);
    raise(SIGUSR1);
    SHOW(signalfd(fd, &other, 0) == fd);
    SHOW(ready(fd, 0));
    raise(SIGUSR2);
    SHOW(ready(fd, 0));
    SHOW(take(fd));
    SHOW(signalfd(fd, &set, 0) == fd);
    SHOW(take(fd));
    // What sigtimedwait takes is gone.
    raise(SIGUSR1);
    SHOW(sigtimedwait(&set, 0, &(struct timespec){0}));
    SHOW(ready(fd, 0));
    // A child that ends, while the action is the default one, which ignores.
    pid_t child = fork();
    if (!child) _exit(7);
    SHOW(ready(fd, -1));
    SHOW(read(fd, &s, sizeof s));
    printf("signal %d code %d status %d child %d\n", s.ssi_signo, s.ssi_code, s.ssi_status, s.ssi_pid == child);
    SHOW(waitpid(child, 0, 0) == child);
    close(fd);
}

static void alarm_soon(void) { setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 30000}}, 0); }

static void waiting(void) {
    sigset_t set, none;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    int fd = signalfd(-1, &set, 0), quiet[2];
    pipe(quiet);
    alarm_soon();
    SHOW(take(fd));
    alarm_soon();
    SHOW(ready(fd, -1));
    SHOW(take(fd));
    struct pollfd p[2] = {{quiet[0], POLLIN}, {fd, POLLIN}};
    alarm_soon();
    SHOW(ppoll(p, 2, 0, 0));
    printf("%x %x\n", p[0].revents, p[1].revents);
    SHOW(take(fd));
    fd_set r;
    FD_ZERO(&r);
    FD_SET(fd, &r);
    FD_SET(quiet[0], &r);
    alarm_soon();
    SHOW(select(fd + 3, &r, 0, 0, &(struct timeval){60, 0}));
    printf("%d %d\n", FD_ISSET(quiet[0], &r) != 0, FD_ISSET(fd, &r) != 0);
    SHOW(take(fd));
    int e = epoll_create1(0);
    struct epoll_event ev = {EPOLLIN, {.u64 = 42}}, out[2];
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev));
    for (int i = 0; i < 3; i++) {
        alarm_soon();
        SHOW(i == 1 ? epoll_pwait(e, out, 2, 60000, &set) : epoll_wait(e, out, 2, -1));
        printf("%x %ld\n", out[0].events, (long)out[0].data.u64);
        SHOW(ready(e, 0));
        SHOW(take(fd));
        SHOW(epoll_wait(e, out, 2, 0));
    }
    ev.events = EPOLLIN | EPOLLET;
    SHOW(epoll_ctl(e, EPOLL_CTL_MOD, fd, &ev));
    alarm_soon();
    SHOW(epoll_wait(e, out, 2, -1));
    SHOW(epoll_wait(e, out, 2, 20));
    SHOW(take(fd));
    // A wait that ends by its time although signals come that are not for the descriptor.
    SHOW(ready(fd, 20));
    close(fd);
    close(e);
    close(quiet[0]);
    close(quiet[1]);
}

static volatile int handled;
static void on_signal(int s) { handled = s; }

static void unblocked(void) {
    // A signal that is for a descriptor, but not blocked, is the handler's.
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_UNBLOCK, &set, &old);
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &a, 0);
    int fd = signalfd(-1, &set, SFD_NONBLOCK);
    kill(getpid(), SIGUSR1);
    SHOW(handled == SIGUSR1);
    SHOW(take(fd));
    sigprocmask(SIG_SETMASK, &old, 0);
    a.sa_handler = SIG_DFL;
    sigaction(SIGUSR1, &a, 0);
    close(fd);
}

static int shared, answer[2];
static void *reader(void *unused) {
    (void)unused;
    struct signalfd_siginfo s;
    for (int i = 0; i < 50; i++) {
        if (read(shared, &s, sizeof s) != sizeof s) return "failed";
        write(answer[1], &s.ssi_int, 4);
    }
    return "all";
}

static void *poller(void *unused) {
    (void)unused;
    struct signalfd_siginfo s;
    for (int i = 0; i < 50; i++) {
        if (ready(shared, -1) != 101 || read(shared, &s, sizeof s) != sizeof s) return "failed";
        write(answer[1], &s.ssi_int, 4);
    }
    return "all";
}

static void threads(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    shared = signalfd(-1, &set, 0);
    pipe(answer);
    for (int round = 0; round < 2; round++) {
        pthread_t t;
        void *said;
        pthread_create(&t, 0, round ? poller : reader, 0);
        int n, sum = 0;
        for (int i = 0; i < 50; i++) {
            // To the process and to the thread by turns; each waits for the one before.
            if (i % 2) sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = i});
            else pthread_sigqueue(t, SIGRTMIN + 1, (union sigval){.sival_int = i});
            read(answer[0], &n, 4);
            sum += n == i;
        }
        pthread_join(t, &said);
        printf("%d %s\n", sum, (char *)said);
    }
    // What was sent to another thread is not for this one.
    pthread_kill(pthread_self(), SIGRTMIN + 1);
    SHOW(ready(shared, 0));
    SHOW(take(shared));
}

static void forked(void) {
    int p[2];
    pipe(p);
    pid_t child = fork();
    if (!child) {
        // The child reads what is sent to the child.
        write(p[1], "x", 1);
        SHOW(ready(shared, -1));
        struct signalfd_siginfo s;
        SHOW(read(shared, &s, sizeof s));
        printf("value %d from the parent %d\n", s.ssi_int, s.ssi_pid == getppid());
        fflush(stdout);
        _exit(0);
    }
    char c;
    read(p[0], &c, 1);
    sigqueue(child, SIGRTMIN + 1, (union sigval){.sival_int = 5});
    waitpid(child, 0, 0);
    SHOW(ready(shared, 0));
    SHOW(close(shared));
}

// Waits with a time limit end, however often they are disturbed: a signal that is ignored comes twenty times in each.
static void disturbed(void) {
    sigset_t set, old, other;
    sigemptyset(&set);
    sigaddset(&set, SIGALRM);
    int fd = signalfd(-1, &set, 0), e = epoll_create1(0);
    uint32_t word = 0;
    signal(SIGALRM, SIG_IGN);
    sigprocmask(SIG_UNBLOCK, &set, &old);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 3000}, {0, 3000}}, 0);
    struct timespec t = {0, 60000000}, rest;
    struct epoll_event out;
    sigemptyset(&other);
    sigaddset(&other, SIGUSR1);
    struct timespec before, after;
    clock_gettime(CLOCK_MONOTONIC, &before);
    SHOW(poll(0, 0, 60));
    SHOW(epoll_wait(e, &out, 1, 60));
    SHOW(nanosleep(&t, &rest));
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, 0, &t, &rest));
    SHOW(sigtimedwait(&other, 0, &t));
    SHOW(syscall(SYS_futex, &word, 0, 0, &t));
    SHOW(ppoll(0, 0, &t, 0));
    SHOW(select(0, 0, 0, 0, &(struct timeval){0, 60000}));
    clock_gettime(CLOCK_MONOTONIC, &after);
    long ms = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
    SHOW(ms >= 8 * 60 - 1);
    setitimer(ITIMER_REAL, &(struct itimerval){0}, 0);
    sigprocmask(SIG_SETMASK, &old, 0);
    close(fd);
    close(e);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    reading();
    waiting();
    unblocked();
    disturbed();
    threads();
    forked();
    return 0;
}
