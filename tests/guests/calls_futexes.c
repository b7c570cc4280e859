// Futexes of all kinds, within a process and between processes; barriers, processors, scheduling, names of threads.
#include "show.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <sys/prctl.h>
#include <time.h>

static uint32_t *w, *v;
static long fx(void *a, int op, long val, void *t, void *b, long v3) {
    return syscall(SYS_futex, a, op, val, t, b, v3);
}
static void *waiter(void *x) {
    long r;
    while ((r = fx(w, FUTEX_WAIT_PRIVATE, 0, 0, 0, 0)) == -1 && errno == EINTR);
    return (void *)r;
}
static pthread_mutex_t pi;
static volatile int got;
static void *locker(void *x) { pthread_mutex_lock(&pi); got = 1; pthread_mutex_unlock(&pi); return 0; }
static pthread_mutex_t *shm; 
struct waitv { uint64_t val, uaddr;
uint32_t flags, res;
};

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    w = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); v = w + 16;
    pthread_t t[4]; struct timespec past = {1, 0}, soon = {0, 20000000}, abs;
    SHOW(fx(w, FUTEX_WAIT, 1, 0, 0, 0));
    SHOW(fx(w, FUTEX_WAIT, 0, &soon, 0, 0));
    SHOW(fx((char*)w+1, FUTEX_WAIT, 0, 0, 0, 0));
    SHOW(fx((void*)8, FUTEX_WAIT, 0, 0, 0, 0));
    SHOW(fx(w, 99, 0,0,0,0));
    SHOW(fx(w, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &past, 0, -1));
    SHOW(fx(w, FUTEX_WAIT_BITSET, 0, &past, 0, 0));
    SHOW(fx(w, FUTEX_WAIT_BITSET, 0, &past, 0, -1));
    clock_gettime(CLOCK_REALTIME, &abs);
    abs.tv_nsec += 10000000;
    if (abs.tv_nsec >= 1000000000) abs.tv_sec++, abs.tv_nsec -= 1000000000;
    SHOW(fx(w, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &abs, 0, 5));
    for (int i = 0; i < 4; i++) pthread_create(t + i, 0, waiter, 0);
    long moved = 0;
    while (moved < 4) {
        moved += fx(w, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)10, v, 0);
        usleep(1000);
    }
    SHOW(moved);
    SHOW(fx(w, FUTEX_CMP_REQUEUE_PRIVATE, 0, (void *)10, v, 7));
    SHOW(fx(w, FUTEX_WAKE_PRIVATE, 9, 0, 0, 0));
    SHOW(fx(v, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0));
    SHOW(fx(v, FUTEX_REQUEUE_PRIVATE, 0, (void *)10, w, 0));
    *v = 5;
    SHOW(fx(v, FUTEX_WAKE_OP_PRIVATE, 1, (void*)9, w, FUTEX_OP(FUTEX_OP_ADD, 3, FUTEX_OP_CMP_EQ, 0)));
    SHOW(*w);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    *w = 0;
    // Between processes.
    pid_t c = fork();
    if (!c) {
        while (__atomic_load_n(w, 5) == 0) fx(w, FUTEX_WAIT, 0, 0, 0, 0);
        exit(*w);
    }
    usleep(20000);
    __atomic_store_n(w, 7, 5);
    fx(w, FUTEX_WAKE, 9, 0, 0, 0);
    int st;
    waitpid(c, &st, 0);
    SHOW(WEXITSTATUS(st));
    *w = 0;
    // Priority inheritance.
    SHOW(fx(w, FUTEX_LOCK_PI, 0, 0, 0, 0));
    SHOW(*w == syscall(SYS_gettid));
    SHOW(fx(w, FUTEX_LOCK_PI, 0, 0, 0, 0));
    SHOW(fx(w, FUTEX_TRYLOCK_PI, 0, 0, 0, 0));
    SHOW(fx(w, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
    SHOW(*w);
    SHOW(fx(w, FUTEX_UNLOCK_PI, 0, 0, 0, 0));
    SHOW(fx(w, FUTEX_TRYLOCK_PI, 0,0,0,0));
    SHOW(fx(w, FUTEX_UNLOCK_PI,0,0,0,0));
    *w = 99999999;
    SHOW(fx(w, FUTEX_LOCK_PI, 0, 0, 0, 0));
    *w = 0;
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    SHOW(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
    SHOW(pthread_mutex_init(&pi, &a));
    pthread_mutex_lock(&pi);
    pthread_create(t, 0, locker, 0);
    usleep(20000);
    SHOW(got);
    pthread_mutex_unlock(&pi);
    pthread_join(t[0], 0);
    SHOW(got);
    clock_gettime(CLOCK_REALTIME, &abs);
    pthread_mutex_lock(&pi);
    pthread_create(t, 0, locker, 0);
    usleep(10000);
    pthread_mutex_unlock(&pi);
    pthread_join(t[0], 0);
    pthread_condattr_t ca;
    pthread_condattr_init(&ca);
    pthread_cond_t cv;
    pthread_cond_init(&cv, 0);
    pthread_mutex_lock(&pi);
    clock_gettime(CLOCK_REALTIME, &abs);
    SHOW(pthread_cond_timedwait(&cv, &pi, &abs));
    pthread_mutex_unlock(&pi);
    // An owner that dies.
    shm = (void *)(w + 100);
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, 1);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(shm, &a);
    if (!(c = fork())) {
        pthread_mutex_lock(shm);
        _exit(0);
    }
    waitpid(c, 0, 0);
    SHOW(pthread_mutex_lock(shm));
    SHOW(pthread_mutex_consistent(shm));
    pthread_mutex_unlock(shm);
    if (!(c = fork())) {
        pthread_mutex_lock(shm);
        kill(getpid(), 9);
    }
    waitpid(c, 0, 0);
    SHOW(pthread_mutex_lock(shm));
    pthread_mutex_consistent(shm);
    pthread_mutex_unlock(shm);
    pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT);
    pthread_mutex_t *rp = (void*)(w + 200);
    SHOW(pthread_mutex_init(rp, &a));
    if (!(c = fork())) {
        pthread_mutex_lock(rp);
        _exit(0);
    }
    waitpid(c, 0, 0);
    SHOW(pthread_mutex_lock(rp));
    // Many at once.
    struct waitv wv[2] = {{0, (uint64_t)w, 2, 0}, {0, (uint64_t)v, 2, 0}};
    *w = 0;
    *v = 0;
    clock_gettime(CLOCK_MONOTONIC, &abs);
    SHOW(syscall(449, wv, 2, 0, &abs, CLOCK_MONOTONIC));
    wv[1].val = 3;
    SHOW(syscall(449, wv, 2, 0, 0, 0));
    SHOW(syscall(449, wv, 0, 0, 0, 0));
    SHOW(syscall(449, wv, 2, 1, 0, 0));
    // Barriers, processors, scheduling, names.
    SHOW(syscall(324, 0, 0, 0) > 0);
    SHOW(syscall(324, 16, 0, 0));
    SHOW(syscall(324, 8, 0, 0));
    SHOW(syscall(324, 1, 0, 0));
    SHOW(syscall(324, 4, 0, 0));
    SHOW(syscall(324,2,0,0));
    SHOW(syscall(324, 64, 0, 0));
    SHOW(syscall(324,32,0,0));
    SHOW(syscall(324, 9999, 0, 0));
    cpu_set_t s;
    SHOW(sched_getaffinity(0, sizeof s, &s));
    int n = CPU_COUNT(&s);
    CPU_ZERO(&s);
    CPU_SET(0, &s);
    SHOW(sched_setaffinity(0, sizeof s, &s));
    unsigned cpu, node;
    SHOW(getcpu(&cpu, &node));
    SHOW(cpu);
    SHOW(sched_getcpu());
    CPU_ZERO(&s);
    SHOW(sched_setaffinity(0, sizeof s, &s));
    SHOW(sched_getaffinity(0, sizeof s, &s));
    SHOW(CPU_COUNT(&s));
    SHOW(sched_getscheduler(0));
    struct sched_param sp;
    SHOW(sched_getparam(0, &sp));
    SHOW(sp.sched_priority);
    SHOW(sched_get_priority_max(SCHED_FIFO));
    SHOW(sched_setscheduler(0, SCHED_BATCH, &sp));
    SHOW(sched_getscheduler(0));
    SHOW(sched_yield());
    char name[20]={0};
    SHOW(pthread_setname_np(pthread_self(), "myname"));
    SHOW(pthread_getname_np(pthread_self(), name, 20));
    puts(name);
    SHOW(prctl(PR_GET_NAME, name));
    puts(name);
    SHOW(pthread_setname_np(pthread_self(), "far too long a name"));
    return 0;
}

