// Threads: futexes, mutexes, condition variables, barriers, thread-local storage, cancelling, and calls made at the same time.
#include "show.h"
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long counter, turn;
static __thread long own = 100;

static void *count(void *n) {
    for (int i = 0; i < 20000; i++) {
        pthread_mutex_lock(&mutex);
        counter += (long)n;
        pthread_mutex_unlock(&mutex);
        own++;
    }
    return (void *)own;
}

static void *take_turns(void *n) {
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % 4 != (long)n) pthread_cond_wait(&changed, &mutex);
        turn++;
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&mutex);
    }
    return 0;
}

static void together(void) {
    pthread_t t[8];
    void *result;
    for (long i = 0; i < 8; i++) pthread_create(&t[i], 0, count, (void *)i);
    long sum = 0;
    for (int i = 0; i < 8; i++) pthread_join(t[i], &result), sum += (long)result;
    printf("%ld %ld %ld\n", counter, sum, own);
    for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, take_turns, (void *)i);
    for (int i = 0; i < 4; i++) pthread_join(t[i], 0);
    SHOW(turn);
    for (int round = 0; round < 200; round++) {
        pthread_create(&t[0], 0, count + 0 * round, (void *)0);
        if (round % 2) pthread_join(t[0], 0);
        else pthread_detach(t[0]);
        if (round > 6) break;
    }
}

static pthread_barrier_t barrier;
static void *read_own_file(void *n) {
    char name[20], b[4096], back[4096];
    sprintf(name, "thread-%ld", (long)n);
    pthread_barrier_wait(&barrier);
    fill(b, sizeof b, (long)n);
    for (int i = 0; i < 100; i++) {
        int fd = open(name, O_RDWR | O_CREAT, 0644);
        if (fd < 0 || write(fd, b, sizeof b) != sizeof b || lseek(fd, 0, SEEK_SET) || read(fd, back, sizeof b) != sizeof b)
            return (void *)1;
        close(fd);
    }
    return (void *)(long)memcmp(b, back, sizeof b);
}

static void calls_at_once(void) {
    pthread_t t[6];
    void *bad, *all = 0;
    pthread_barrier_init(&barrier, 0, 6);
    for (long i = 0; i < 6; i++) pthread_create(&t[i], 0, read_own_file, (void *)i);
    for (int i = 0; i < 6; i++) pthread_join(t[i], &bad), all = bad ? bad : all;
    SHOW((long)all);
    struct stat s;
    SHOW(stat("thread-5", &s));
    SHOW(s.st_size);
}

static int word;
static void *wake(void *unused) {
    (void)unused;
    nanosleep(&(struct timespec){0, 10000000}, 0);
    __atomic_store_n(&word, 1, __ATOMIC_SEQ_CST);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1, 0, 0, 0);
    return 0;
}

static void futexes(void) {
    struct timespec soon = {0, 5000000}, bad = {0, -5}, past = {1, 0};
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT, 1, 0, 0, 0));
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &soon, 0, 0));
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT, 0, &bad, 0, 0));
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &past, 0, FUTEX_BITSET_MATCH_ANY));
    SHOW(syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, 0, &past, 0, 0));
    SHOW(syscall(SYS_futex, &word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, 0, 0, 0));
    SHOW(syscall(SYS_futex, (char *)&word + 1, FUTEX_WAKE, 1, 0, 0, 0));
    SHOW(syscall(SYS_futex, 8, FUTEX_WAIT, 0, 0, 0, 0));
    SHOW(syscall(SYS_futex, &word, 77, 0, 0, 0, 0));
    SHOW(syscall(SYS_futex, &word, FUTEX_CMP_REQUEUE, 1, 1, &counter, 5));
    pthread_t t;
    pthread_create(&t, 0, wake, 0);
    while (!__atomic_load_n(&word, __ATOMIC_SEQ_CST)) syscall(SYS_futex, &word, FUTEX_WAIT, 0, 0, 0, 0);
    SHOW(word);
    pthread_join(t, 0);
}

static void *hold(void *m) {
    pthread_mutex_lock(m);
    return 0;
}

static void *wait_forever(void *fd) {
    char b;
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, 0);
    read((long)fd, &b, 1);
    return 0;
}

static void mutexes(void) {
    pthread_mutexattr_t a;
    pthread_mutex_t robust, inherit;
    pthread_t t;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&robust, &a);
    pthread_create(&t, 0, hold, &robust);
    pthread_join(t, 0);
    SHOW(pthread_mutex_lock(&robust) == EOWNERDEAD);
    SHOW(pthread_mutex_consistent(&robust));
    SHOW(pthread_mutex_unlock(&robust));
    pthread_mutexattr_init(&a);
    SHOW(pthread_mutexattr_setprotocol(&a, PTHREAD_PRIO_INHERIT));
    SHOW(pthread_mutex_init(&inherit, &a));
    SHOW(pthread_mutex_lock(&inherit));
    SHOW(pthread_mutex_trylock(&inherit) == EBUSY);
    SHOW(pthread_mutex_unlock(&inherit));
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    at.tv_nsec += 2000000;
    at.tv_sec += at.tv_nsec / 1000000000;
    at.tv_nsec %= 1000000000;
    sem_t s;
    sem_init(&s, 0, 1);
    SHOW(sem_wait(&s));
    SHOW(sem_timedwait(&s, &at));
    pthread_mutex_lock(&mutex);
    SHOW(pthread_cond_timedwait(&changed, &mutex, &at) == ETIMEDOUT);
    pthread_mutex_unlock(&mutex);
    int p[2];
    pipe(p);
    void *result;
    pthread_create(&t, 0, wait_forever, (void *)(long)p[0]);
    SHOW(pthread_cancel(t));
    SHOW(pthread_join(t, &result));
    SHOW(result == PTHREAD_CANCELED);
}

// The main thread ends first; the last one ends the process.
static void *last(void *main_thread) {
    pthread_join(*(pthread_t *)main_thread, 0);
    puts("last");
    exit(0);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    together();
    calls_at_once();
    futexes();
    mutexes();
    static pthread_t self;
    self = pthread_self();
    pthread_t t;
    pthread_create(&t, 0, last, &self);
    pthread_exit(0);
}
