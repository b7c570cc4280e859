// The process about itself: limits, scheduling, time, names, identity, and what it is told of the machine.
#include "show.h"
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <asm/prctl.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/times.h>
#include <sys/utsname.h>
#include <time.h>

static void limits(void) {
    struct rlimit l, m;
    for (int i = 0; i < 16; i++) {
        show("getrlimit", getrlimit(i, &l));
        if (i != RLIMIT_NPROC && i != RLIMIT_SIGPENDING) printf("%d: %ld %ld\n", i, (long)l.rlim_cur, (long)l.rlim_max);
    }
    SHOW(getrlimit(16, &l));
    l = (struct rlimit){10, 20};
    SHOW(setrlimit(RLIMIT_NOFILE, &l));
    SHOW(prlimit(0, RLIMIT_NOFILE, 0, &m));
    printf("%ld %ld\n", (long)m.rlim_cur, (long)m.rlim_max);
    SHOW(dup2(0, 9));
    SHOW(dup2(0, 10));
    SHOW(fcntl(0, F_DUPFD, 10));
    int n = 0;
    while (dup(0) >= 0) n++;
    show("dup at the limit", -1 + 0 * n);
    SHOW(dup(0));
    for (int i = 3; i < 10; i++) close(i);
    l = (struct rlimit){30, 20};
    SHOW(setrlimit(RLIMIT_NOFILE, &l));
    l = (struct rlimit){20, 20};
    SHOW(setrlimit(RLIMIT_NOFILE, &l));
    l = (struct rlimit){0, RLIM_INFINITY};
    SHOW(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
    SHOW(getrlimit(RLIMIT_CORE, (void *)8));
    // Files can grow to 5000 bytes, and the excess is refused.
    signal(SIGXFSZ, SIG_IGN);
    SHOW(setrlimit(RLIMIT_FSIZE, &(struct rlimit){5000, RLIM_INFINITY}));
    int fd = open("limited", O_RDWR | O_CREAT, 0644);
    char b[8000] = {0};
    SHOW(write(fd, b, 4000));
    SHOW(write(fd, b, 4000));
    SHOW(write(fd, b, 1));
    SHOW(ftruncate(fd, 6000));
    SHOW(ftruncate(fd, 4900));
    close(fd);
}

static void scheduling(void) {
    cpu_set_t set, one;
    struct sched_param p = {0};
    SHOW(sched_getaffinity(0, sizeof set, &set));
    SHOW(CPU_COUNT(&set));
    SHOW(sysconf(_SC_NPROCESSORS_ONLN));
    SHOW(sysconf(_SC_NPROCESSORS_CONF));
    CPU_ZERO(&one);
    SHOW(sched_setaffinity(0, sizeof one, &one));
    CPU_SET(0, &one);
    SHOW(sched_setaffinity(0, sizeof one, &one));
    SHOW(sched_getaffinity(0, sizeof set, &set));
    SHOW(CPU_EQUAL(&set, &one));
    SHOW(sched_getcpu() == 0);
    SHOW(sched_yield());
    SHOW(sched_getscheduler(0));
    SHOW(sched_getparam(0, &p));
    // Of a number that cannot be, of nobody, and of the parent, wherever that is.
    SHOW(sched_getaffinity(-1, sizeof set, &set));
    SHOW(sched_setaffinity(-1, sizeof one, &one));
    SHOW(sched_getscheduler(-1));
    SHOW(sched_getparam(-1, &p));
    SHOW(sched_getscheduler(1 << 29));
    SHOW(sched_getscheduler(getppid()));
    SHOW(sched_getparam(getppid(), &p));
    SHOW(sched_getaffinity(getppid(), sizeof set, &set));
    SHOW(getpriority(PRIO_PROCESS, getppid()));
    SHOW(sched_setscheduler(0, SCHED_BATCH, &p));
    SHOW(sched_getscheduler(0));
    SHOW(sched_setscheduler(0, 99, &p));
    SHOW(sched_get_priority_max(SCHED_FIFO));
    SHOW(sched_get_priority_min(SCHED_RR));
    SHOW(sched_get_priority_max(99));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(setpriority(PRIO_PROCESS, 0, 5));
    SHOW(getpriority(PRIO_PROCESS, 0));
    SHOW(nice(1));
    SHOW(getpriority(PRIO_PROCESS, 99999999));
}

static void times_and_clocks(void) {
    struct timespec a, b;
    struct timeval v;
    SHOW(clock_gettime(CLOCK_REALTIME, &a));
    SHOW(gettimeofday(&v, 0));
    SHOW(time(0) - a.tv_sec <= 1 && v.tv_sec - a.tv_sec <= 1);
    int clocks[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_PROCESS_CPUTIME_ID,
                    CLOCK_THREAD_CPUTIME_ID, CLOCK_TAI, 55};
    for (int i = 0; i < 8; i++) {
        printf("%d\n", clocks[i]);
        SHOW(clock_getres(clocks[i], &a));
        SHOW(clock_gettime(clocks[i], &a));
        SHOW(clock_gettime(clocks[i], &b));
        SHOW(b.tv_sec > a.tv_sec || b.tv_sec == a.tv_sec && b.tv_nsec >= a.tv_nsec);
    }
    SHOW(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &b));
    clock_gettime(CLOCK_MONOTONIC, &a);
    SHOW(a.tv_sec - b.tv_sec <= 1);
    SHOW(nanosleep(&(struct timespec){0, 3000000}, 0));
    clock_gettime(CLOCK_MONOTONIC, &b);
    SHOW((b.tv_sec - a.tv_sec) * 1000000000 + b.tv_nsec - a.tv_nsec >= 3000000);
    SHOW(nanosleep(&(struct timespec){0, -1}, 0));
    SHOW(nanosleep((void *)8, 0));
    SHOW(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &a, 0));
    SHOW(clock_nanosleep(CLOCK_REALTIME, 0, &(struct timespec){0, 1000}, 0));
    SHOW(clock_nanosleep(77, 0, &a, 0));
    struct tms t;
    SHOW(times(&t) > 0);
    struct rusage u;
    SHOW(getrusage(RUSAGE_SELF, &u));
    SHOW(u.ru_maxrss > 0);
    SHOW(getrusage(RUSAGE_THREAD, &u));
    SHOW(getrusage(77, &u));
    struct itimerval i = {{0, 0}, {1000, 0}}, old;
    SHOW(setitimer(ITIMER_REAL, &i, 0));
    SHOW(alarm(0) > 900);
    SHOW(getitimer(ITIMER_REAL, &old));
    SHOW(old.it_value.tv_sec);
}

static void identity(void) {
    uid_t r, e, s;
    SHOW(getuid() == geteuid() && getgid() == getegid());
    SHOW(getresuid(&r, &e, &s));
    SHOW(r == e && e == s);
    SHOW(setuid(getuid()));
    SHOW(setregid(-1, getgid()));
    SHOW(getpid() == syscall(SYS_gettid));
    SHOW(getpgid(0) == getpgrp());
    SHOW(getsid(0) == getsid(getpid()));
    SHOW(getpgid(99999999));
    SHOW(getgroups(-1, 0));
    SHOW(getgroups(0, 0) >= 0);
    struct utsname u;
    SHOW(uname(&u));
    printf("%s %s %s %s\n", u.sysname, u.nodename, u.release, u.machine);
    SHOW(syscall(SYS_uname, 8));
    char name[17] = {0};
    // How much there is differs from kernel to kernel.
    unsigned long vector[64] = {0};
    SHOW(prctl(0x41555856, vector, sizeof vector, 0, 0) > 16);
    SHOW(vector[0] != 0);
    SHOW(prctl(0x41555856, vector, sizeof vector, 1, 0));
    SHOW(prctl(0x41555856, 8, sizeof vector, 0, 0));
    SHOW(prctl(0x41555856, 0, 0, 0, 0) > 16);
    SHOW(prctl(PR_GET_NAME, name));
    puts(name);
    SHOW(prctl(PR_SET_NAME, "a name longer than sixteen"));
    SHOW(prctl(PR_GET_NAME, name));
    puts(name);
    SHOW(syscall(SYS_arch_prctl, ARCH_GET_CPUID, 0));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_DUMPABLE, 0));
    SHOW(prctl(PR_GET_DUMPABLE));
    SHOW(prctl(PR_SET_DUMPABLE, 5));
    SHOW(prctl(PR_SET_PDEATHSIG, 0));
    SHOW(prctl(PR_SET_KEEPCAPS, 9));
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    SHOW(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
    SHOW(prctl(77777));
    SHOW(personality(0xffffffff));
    SHOW(getauxval(AT_SECURE));
    SHOW(getauxval(AT_UID) == getuid());
    SHOW(getauxval(AT_CLKTCK));
    puts((char *)getauxval(AT_PLATFORM));
}

static void machine(void) {
    char a[300] = {0}, b[300] = {0};
    SHOW(getrandom(a, 300, 0));
    SHOW(getrandom(b, 300, GRND_NONBLOCK));
    SHOW(memcmp(a, b, 300) != 0);
    SHOW(getrandom(a, 1, 0x100));
    SHOW(getrandom((void *)8, 10, 0));
    struct sysinfo s;
    SHOW(sysinfo(&s));
    SHOW(s.totalram > 0 && s.uptime > 0);
    SHOW(sysconf(_SC_PAGESIZE));
    SHOW(syscall(SYS_getcpu, 0, 0, 0));
    SHOW(syscall(9999));
    SHOW(syscall(-1));
    SHOW(syscall(SYS_io_uring_setup, 1, 0) == -1);
    SHOW(syscall(SYS_membarrier, 0, 0, 0) >= 0);
    SHOW(sync(), 0);
    SHOW(syscall(SYS_set_robust_list, 0, 7));
    SHOW(syscall(SYS_arch_prctl, 0x1003, a));
    SHOW(syscall(SYS_arch_prctl, 77, a));
}

int main(void) {
    limits();
    scheduling();
    times_and_clocks();
    identity();
    machine();
    return 0;
}
