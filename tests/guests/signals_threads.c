// Threads: masks are inherited, signals go to the thread they are meant for, a thread can wait for those of the process.
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

static __thread int mine;
static volatile sig_atomic_t count;
static pthread_t handled_by;
static sem_t ready, done;

static void handler(int signal) {
    (void)signal;
    mine++;
    count++;
    handled_by = pthread_self();
    sem_post(&done);
}

static void *target(void *unused) {
    (void)unused;
    sigset_t mask;
    stack_t stack;
    pthread_sigmask(SIG_BLOCK, 0, &mask);
    sigaltstack(0, &stack);
    printf("inherited: blocked %d, alternate stack %d\n", sigismember(&mask, SIGUSR2), stack.ss_flags == SS_DISABLE);
    sem_post(&ready);
    for (volatile int *seen = &mine; *seen < 100;) {}  // interrupted in translated code
    return (void *)(long)mine;
}

static void *waiter(void *set) {
    int got = 0;
    sem_post(&ready);
    sigwait(set, &got);
    return (void *)(long)got;
}

static void *sleeper(void *unused) {
    sem_post(&ready);
    for (;;) pause();
    return unused;
}

int main(void) {
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    sigset_t set;
    pthread_t thread;
    void *result;
    sem_init(&ready, 0, 0);
    sem_init(&done, 0, 0);
    signal(SIGUSR1, handler);
    sigaltstack(&alternate, 0);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, 0);

    pthread_create(&thread, 0, target, 0);
    sem_wait(&ready);
    for (int i = 0; i < 100; i++) {
        pthread_kill(thread, SIGUSR1);
        while (sem_wait(&done)) {}
    }
    pthread_t other = thread;
    pthread_join(thread, &result);
    printf("to one thread: %ld there, %d here, by it %d\n", (long)result, mine, pthread_equal(handled_by, other));

    pthread_create(&thread, 0, waiter, &set);
    sem_wait(&ready);
    kill(getpid(), SIGUSR2);
    pthread_join(thread, &result);
    printf("waited for the process's: %d\n", (long)result == SIGUSR2);

    pthread_create(&thread, 0, sleeper, 0);
    sem_wait(&ready);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    printf("cancelled %d\n", result == PTHREAD_CANCELED);
    raise(SIGUSR1);
    printf("here %d, all %d\n", mine, (int)count);
    return 0;
}
