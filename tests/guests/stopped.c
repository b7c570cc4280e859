// What a call that waits comes to once its process was stopped and goes on: some fail (signal(7)), others wait on.
#include "show.h"
#include <mqueue.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/wait.h>

static int pair[2], set, queue, epoll;

static long epolls(void) {
    struct epoll_event event;
    return epoll_wait(epoll, &event, 1, -1);
}
static long epolls_timed(void) {
    struct epoll_event event;
    return epoll_pwait(epoll, &event, 1, 600000, 0);
}
static long waits_for_signal(void) {
    sigset_t usr;
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr, 0);
    return sigtimedwait(&usr, 0, &(struct timespec){600, 0}) == SIGUSR1 ? 1 : -1;
}
static long waits_for_any(void) {
    sigset_t usr;
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr, 0);
    return sigwaitinfo(&usr, 0) == SIGUSR1 ? 1 : -1;
}
static long receives(void) {
    char byte;
    return recv(pair[0], &byte, 1, 0);
}
static long receives_timed(void) {
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){600, 0}, sizeof(struct timeval));
    return receives();
}
static long reads_timed(void) {
    char byte;
    setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){600, 0}, sizeof(struct timeval));
    return read(pair[0], &byte, 1);
}
static long polls(void) { return poll(&(struct pollfd){pair[0], POLLIN, 0}, 1, -1); }
static long polls_timed(void) { return poll(&(struct pollfd){pair[0], POLLIN, 0}, 1, 600000); }
static long semaphore(void) { return semop(set, &(struct sembuf){0, -1, 0}, 1) ? -1 : 1; }
static long message(void) {
    struct { long type; char text; } got;
    return msgrcv(queue, &got, 1, 0, 0);
}

// Stopped and continued until the call comes back, or often enough; then what it waits for happens.
static void round_of(const char *what, long (*call)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        show(what, call());
        fflush(stdout);
        _exit(0);
    }
    int status, over = 0;
    for (int i = 0; i < 60 && !over; i++) {
        usleep(5000);
        kill(pid, SIGSTOP);
        over = waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status);
        kill(pid, SIGCONT);
    }
    if (over) return;
    char byte = 0;
    struct { long type; char text; } sent = {1, 0};
    write(pair[1], &byte, 1);
    semop(set, &(struct sembuf){0, 1, 0}, 1);
    msgsnd(queue, &sent, 1, 0);
    kill(pid, SIGUSR1);
    waitpid(pid, &status, 0);
    recv(pair[0], &byte, 1, MSG_DONTWAIT);
    semop(set, &(struct sembuf){0, -1, IPC_NOWAIT}, 1);
    msgrcv(queue, &sent, 1, 0, IPC_NOWAIT);
}

int main(void) {
    signal(SIGUSR1, SIG_IGN);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    epoll = epoll_create1(0);
    epoll_ctl(epoll, EPOLL_CTL_ADD, pair[0], &(struct epoll_event){.events = EPOLLIN});
    set = semget(IPC_PRIVATE, 1, 0600);
    queue = msgget(IPC_PRIVATE, 0600);
    round_of("epoll_wait", epolls);
    round_of("epoll_pwait with a limit", epolls_timed);
    signal(SIGUSR1, SIG_DFL);
    round_of("sigtimedwait", waits_for_signal);
    round_of("sigwaitinfo", waits_for_any);
    signal(SIGUSR1, SIG_IGN);
    round_of("poll", polls);
    round_of("poll with a limit", polls_timed);
    round_of("semop", semaphore);
    round_of("msgrcv", message);
    round_of("recv", receives);
    round_of("recv with a limit", receives_timed);
    round_of("read with a limit", reads_timed);
    semctl(set, 0, IPC_RMID);
    msgctl(queue, IPC_RMID, 0);
}
