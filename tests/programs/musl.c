// Threads, processes and names with another C library.
#include <netdb.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static sem_t ended;
static int shared;
static __thread int own;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *count(void *unused) {
    for (int i = 0; i < 10000; i++) {
        pthread_mutex_lock(&lock);
        shared++, own++;
        pthread_mutex_unlock(&lock);
    }
    sem_post(&ended);
    return (void *)(long)own;
}

static void *sleeper(void *unused) {
    for (;;) sleep(100);
}

int main(void) {
    pthread_t t[8];
    void *result;
    int status;
    pid_t p;
    sem_init(&ended, 0, 0);
    for (int i = 0; i < 8; i++) pthread_create(&t[i], 0, count, 0);
    for (int i = 0; i < 8; i++) sem_wait(&ended);
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], &result);
        if ((long)result != 10000) puts("a thread's own counter is wrong");
    }
    printf("%d\n", shared);
    pthread_create(t, 0, sleeper, 0);
    pthread_cancel(t[0]);
    pthread_join(t[0], &result);
    printf("cancelled %d\n", result == PTHREAD_CANCELED);
    fflush(stdout);
    char *arguments[] = {"sh", "-c", "echo spawned; exit 6", 0};
    posix_spawn(&p, "/bin/sh", 0, 0, arguments, environ);
    waitpid(p, &status, 0);
    printf("%d\n", WEXITSTATUS(status));
    printf("%d\n", posix_spawn(&p, "/nonexistent", 0, 0, arguments, environ));
    fflush(stdout);
    if (!(p = fork())) {
        execlp("echo", "echo", "forked", NULL);
        _exit(1);
    }
    waitpid(p, &status, 0);
    FILE *cat = popen("cat", "w");
    fputs("piped\n", cat);
    pclose(cat);
    struct addrinfo *addresses;
    printf("%d %d %.17g\n", getaddrinfo("localhost", "80", 0, &addresses), system("exit 2") >> 8, strtod("1e300", 0) / 3);
}
