// POSIX message queues, semaphores and shared memory by name.
#include "show.h"
#include <mqueue.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

static char name[64];
static volatile int notified, value, sender, code;
static void on_message(int s, siginfo_t *i, void *u) {
    notified = s, value = i->si_value.sival_int, sender = i->si_pid, code = i->si_code;
}

static long take(mqd_t q) {
    char b[128];
    unsigned priority = 99;
    long n = mq_receive(q, b, sizeof b, &priority);
    if (n >= 0) printf("\"%.*s\" priority %u\n", (int)n, b, priority);
    return n;
}

static void queues(void) {
    struct mq_attr a = {.mq_maxmsg = 3, .mq_msgsize = 100}, got;
    SHOW(mq_open(name, O_RDWR));
    SHOW(mq_open("no-slash", O_RDWR | O_CREAT, 0600, &a));
    SHOW(mq_open("/a/b", O_RDWR | O_CREAT, 0600, &a));
    struct mq_attr bad = {.mq_maxmsg = 0, .mq_msgsize = 100};
    SHOW(mq_open(name, O_RDWR | O_CREAT, 0600, &bad));
    umask(022);
    mqd_t q = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0666, &a);
    SHOW(q);
    struct stat s;
    SHOW(fstat(q, &s));
    printf("%o\n", s.st_mode);
    SHOW(mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &a));
    mqd_t r = mq_open(name, O_RDONLY | O_NONBLOCK), w = mq_open(name, O_WRONLY | O_CLOEXEC, 0, 0);
    SHOW(r);
    SHOW(fcntl(w, F_GETFD));
    SHOW(fcntl(r, F_GETFL));
    SHOW(mq_getattr(r, &got));
    printf("%ld %ld %ld %ld\n", got.mq_flags, got.mq_maxmsg, got.mq_msgsize, got.mq_curmsgs);
    SHOW(take(r));
    SHOW(mq_send(r, "x", 1, 0));
    SHOW(mq_send(w, "low", 3, 1));
    SHOW(mq_send(w, "high", 4, 7));
    SHOW(mq_send(w, "", 0, 1));
    SHOW(take(w));
    SHOW(mq_send(w, "x", 1, 32768));
    SHOW(mq_send(w, name, 101, 0));
    struct timespec past = {1, 0}, bad_time = {1, -1};
    SHOW(mq_timedsend(w, "x", 1, 0, &past));
    SHOW(mq_timedsend(w, "x", 1, 0, &bad_time));
    struct pollfd p[2] = {{r, POLLIN}, {w, POLLOUT}};
    SHOW(poll(p, 2, 0));
    printf("%x %x\n", p[0].revents, p[1].revents);
    char b[8];
    SHOW(mq_receive(r, b, 8, 0));
    SHOW(take(r));
    SHOW(take(q));
    SHOW(poll(p, 2, 0));
    printf("%x %x\n", p[0].revents, p[1].revents);
    SHOW(take(q));
    SHOW(mq_timedreceive(q, (char *)&got, 200, 0, &past));
    got = (struct mq_attr){.mq_flags = O_NONBLOCK};
    SHOW(mq_setattr(q, &got, 0));
    SHOW(take(q));
    got.mq_flags = 0;
    mq_setattr(q, &got, 0);
    SHOW(mq_send(0, "x", 1, 0));

    // Between processes, by name and by inheritance; a full queue holds the sender back.
    pid_t child = fork();
    if (!child) {
        mqd_t own = mq_open(name, O_WRONLY);
        for (int i = 0; i < 20; i++) {
            char text[20];
            sprintf(text, "message %d", i);
            mq_send(i % 2 ? own : q, text, strlen(text), 0);
        }
        exit(0);
    }
    for (int i = 0; i < 20; i++) take(q);
    waitpid(child, 0, 0);

    // Notification.
    struct sigaction action = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, 0);
    struct sigevent e = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    SHOW(mq_notify(q, &e));
    SHOW(mq_notify(r, &e));
    sigset_t usr1, old;
    sigemptyset(&usr1);
    sigaddset(&usr1, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr1, &old);
    if (!(child = fork())) {
        SHOW(mq_notify(q, &e));
        SHOW(mq_send(q, "hello", 5, 0));
        exit(0);
    }
    while (!notified) sigsuspend(&old);
    sigprocmask(SIG_SETMASK, &old, 0);
    waitpid(child, 0, 0);
    printf("signal %d value %d code %d from the child %d\n", notified, value, code, sender == child);
    notified = 0;
    SHOW(mq_notify(q, &e));
    SHOW(mq_send(q, "more", 4, 0));
    SHOW(notified);
    SHOW(take(q));
    SHOW(take(q));
    SHOW(mq_send(q, "again", 5, 0));
    SHOW(notified);
    SHOW(mq_notify(q, 0));
    e.sigev_notify = SIGEV_NONE;
    SHOW(mq_notify(q, &e));
    SHOW(mq_notify(q, &e));
    SHOW(mq_close(w));
    SHOW(mq_notify(q, &e));
    SHOW(take(q));
    SHOW(mq_unlink(name));
    SHOW(mq_unlink(name));
    SHOW(mq_open(name, O_RDWR));
    SHOW(mq_send(q, "still there", 11, 0));
    SHOW(take(r));
    SHOW(mq_close(r));
    SHOW(mq_close(q));
    SHOW(mq_close(q));
}

static void semaphores(void) {
    SHOW(sem_open(name, 0) == SEM_FAILED);
    sem_t *s = sem_open(name, O_CREAT | O_EXCL, 0600, 0);
    SHOW(s != SEM_FAILED);
    SHOW(sem_open(name, O_CREAT | O_EXCL, 0600, 0) == SEM_FAILED);
    pid_t child = fork();
    if (!child) {
        sem_t *own = sem_open(name, 0);
        for (int i = 0; i < 3; i++) sem_post(own);
        exit(own == SEM_FAILED);
    }
    for (int i = 0; i < 3; i++) SHOW(sem_wait(s));
    int status, v;
    waitpid(child, &status, 0);
    SHOW(status);
    SHOW(sem_trywait(s));
    SHOW(sem_getvalue(s, &v));
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    SHOW(sem_timedwait(s, &t));
    SHOW(sem_unlink(name));
    SHOW(sem_close(s));
}

static void memory(void) {
    SHOW(shm_open(name, O_RDWR, 0));
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    SHOW(fd >= 0);
    SHOW(ftruncate(fd, 8192));
    int *at = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    pid_t child = fork();
    if (!child) {
        int own = shm_open(name, O_RDWR, 0);
        int *there = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, own, 0);
        there[100] = 77;
        exit(0);
    }
    waitpid(child, 0, 0);
    SHOW(at[100]);
    SHOW(shm_unlink(name));
    SHOW(shm_open(name, O_RDWR, 0));
    SHOW(at[100]);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    sprintf(name, "/rxbox-test-%d", getpid());
    queues();
    semaphores();
    memory();
    return 0;
}
