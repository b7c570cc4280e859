// Timers of all kinds: signals, overruns, threads, processor time, descriptors; clocks and sleeping.
#include "show.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <time.h>

static volatile int count, tid, over, code, val;
static void on(int s, siginfo_t *i, void *u) {
    count++;
    tid = syscall(SYS_gettid);
    code = i->si_code;
    val = i->si_value.sival_int;
    over = i->si_overrun;
}

static void *other(void *x) {
    *(volatile int *)x = syscall(SYS_gettid);
    while (!count) usleep(1000);
    return 0;
}

static void wait_for_signal(void) {
    while (!count) usleep(500);
}

// Uses processor time until a signal has come.
static void spin(void) {
    volatile long x = 0;
    while (!count) x++;
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    struct sigaction a = {.sa_sigaction = on, .sa_flags = SA_SIGINFO | SA_RESTART};
    int sigs[] = {SIGUSR1, SIGALRM, SIGVTALRM, SIGPROF, SIGRTMIN + 2};
    for (int i = 0; i < 5; i++) sigaction(sigs[i], &a, 0);
    timer_t t;
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2, .sigev_value.sival_int = 9};
    SHOW(timer_create(CLOCK_MONOTONIC, &e, &t)); struct itimerspec s = {{0, 0}, {0, 2000000}}, o;
    SHOW(timer_settime(t, 0, &s, 0));
    wait_for_signal();
    printf("code %d val %d\n", code, val);
    // What was missed is counted.
    sigset_t set, old;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 2);
    sigprocmask(SIG_BLOCK, &set, &old);
    count = 0;
    s = (struct itimerspec){{0, 1000000}, {0, 1000000}};
    timer_settime(t, 0, &s, 0);
    usleep(50000);
    siginfo_t si;
    SHOW(sigwaitinfo(&set, &si));
    SHOW(si.si_overrun > 10);
    SHOW(timer_getoverrun(t) == si.si_overrun);
    SHOW(timer_gettime(t, &o));
    SHOW(o.it_interval.tv_nsec);
    s = (struct itimerspec){0};
    SHOW(timer_settime(t, 0, &s, 0));
    SHOW(timer_delete(t));
    SHOW(timer_delete(t));
    SHOW(timer_gettime(t, &o));
    sigprocmask(SIG_SETMASK, &old, 0); count = 0;
    // For one thread only.
    volatile int want = 0;
    pthread_t th;
    pthread_create(&th, 0, other, (void *)&want);
    while (!want) usleep(100);
    count = 0;
    e.sigev_notify = SIGEV_THREAD_ID;
    e._sigev_un._tid = want;
    SHOW(timer_create(CLOCK_REALTIME, &e, &t));
    s = (struct itimerspec){{0, 0}, {0, 2000000}};
    timer_settime(t, 0, &s, 0);
    pthread_join(th, 0);
    SHOW(tid == want);
    timer_delete(t);
    e._sigev_un._tid = 1; SHOW(timer_create(CLOCK_REALTIME, &e, &t));
    e.sigev_notify = SIGEV_NONE;
    SHOW(timer_create(CLOCK_MONOTONIC, &e, &t));
    s = (struct itimerspec){{0, 0}, {100, 0}};
    timer_settime(t, 0, &s, 0);
    timer_gettime(t, &o);
    SHOW(o.it_value.tv_sec >= 99);
    timer_delete(t);
    // SIGEV_THREAD via glibc
    e = (struct sigevent){.sigev_notify = SIGEV_THREAD}; 
    SHOW(timer_create(CLOCK_MONOTONIC, 0, &t));
    struct itimerspec ab;
    clock_gettime(CLOCK_MONOTONIC, &ab.it_value);
    ab.it_interval = (struct timespec){0};
    ab.it_value.tv_nsec += 1000000;
    if (ab.it_value.tv_nsec > 999999999) ab.it_value.tv_nsec -= 1000000000, ab.it_value.tv_sec++;
    count = 0;
    SHOW(timer_settime(t, TIMER_ABSTIME, &ab, 0));
    wait_for_signal();
    timer_delete(t);
    struct itimerval iv = {{0, 0}, {0, 3000}}, ov;
    count = 0;
    SHOW(setitimer(ITIMER_REAL, &iv, 0));
    wait_for_signal();
    count = 0;
    SHOW(setitimer(ITIMER_VIRTUAL, &iv, 0));
    spin();
    SHOW(count);
    count = 0;
    SHOW(setitimer(ITIMER_PROF, &iv, 0));
    spin();
    SHOW(count);
    SHOW(setitimer(7, &iv, 0));
    iv.it_value.tv_usec = 1000000;
    SHOW(setitimer(ITIMER_REAL, &iv, 0));
    SHOW(alarm(100)); SHOW(alarm(0) > 90);
    SHOW(timer_create(CLOCK_PROCESS_CPUTIME_ID, 0, &t));
    s = (struct itimerspec){{0, 0}, {0, 3000000}};
    count = 0;
    timer_settime(t, 0, &s, 0);
    spin();
    SHOW(count);
    timer_delete(t);
    SHOW(timer_create(CLOCK_THREAD_CPUTIME_ID, 0, &t));
    count = 0;
    timer_settime(t, 0, &s, 0);
    spin();
    SHOW(count);
    timer_delete(t);
    clockid_t cl;
    SHOW(clock_getcpuclockid(0, &cl));
    struct timespec ts;
    SHOW(clock_gettime(cl, &ts));
    SHOW(pthread_getcpuclockid(pthread_self(), &cl));
    SHOW(clock_gettime(cl, &ts));
    SHOW(clock_gettime(CLOCK_BOOTTIME, &ts));
    SHOW(clock_gettime(CLOCK_TAI, &ts));
    SHOW(clock_getres(CLOCK_MONOTONIC_COARSE, &ts));
    SHOW(ts.tv_nsec);
    SHOW(clock_gettime(99, &ts));
    int f = timerfd_create(CLOCK_REALTIME, 0);
    clock_gettime(CLOCK_REALTIME, &ts);
    s = (struct itimerspec){{0, 0}, {ts.tv_sec + 100, 0}};
    SHOW(timerfd_settime(f, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &s, 0));
    SHOW(timerfd_settime(f, 8, &s, 0));
    struct pollfd p = {f, POLLIN};
    SHOW(poll(&p, 1, 5));
    s.it_value.tv_sec = 1;
    SHOW(timerfd_settime(f, TFD_TIMER_ABSTIME, &s, 0));
    uint64_t n;
    SHOW(read(f, &n, 8));
    SHOW(n);
    clock_gettime(CLOCK_MONOTONIC, &ts);
    ts.tv_nsec += 5000000;
    if (ts.tv_nsec > 999999999) ts.tv_nsec -= 1000000000, ts.tv_sec++;
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, 0));
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, 0));
    ts.tv_nsec = -1;
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, 0));
    SHOW(clock_nanosleep(CLOCK_THREAD_CPUTIME_ID, 0, &ts, 0));
    ts = (struct timespec){0, 1000000};
    SHOW(clock_nanosleep(CLOCK_REALTIME, 0, &ts, 0));
    struct timespec rem = {77, 77};
    ts = (struct timespec){10, 0};
    iv = (struct itimerval){{0, 0}, {0, 20000}};
    setitimer(ITIMER_REAL, &iv, 0);
    SHOW(nanosleep(&ts, &rem));
    SHOW(rem.tv_sec == 9);
    struct tms tm; SHOW(times(&tm) > 0);
    return 0;
}

