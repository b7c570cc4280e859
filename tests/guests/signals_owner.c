// Signals that descriptors send: SIGIO when one becomes ready (O_ASYNC), SIGURG for urgent data, and who gets them.
#include "show.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static sigset_t both;

// Takes the signal that must come.
static void take(const char *what) {
    siginfo_t info;
    int got = sigwaitinfo(&both, &info);
    printf("%s: signal %s, code %d\n", what, got == SIGIO ? "SIGIO" : got == SIGURG ? "SIGURG" : "none", info.si_code);
}

// Whether none waits.
static void none(const char *what) {
    printf("%s: %d\n", what, sigtimedwait(&both, NULL, &(struct timespec){0, 0}));
}

static void sockets(void) {
    int s[2], on = 1, off = 0, owner = getpid();
    char b[10];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    SHOW(fcntl(s[0], F_GETOWN));
    SHOW(write(s[1], "a", 1));
    none("without O_ASYNC");
    SHOW(ioctl(s[0], FIOASYNC, &on));
    SHOW(write(s[1], "b", 1));
    none("without an owner");
    SHOW(fcntl(s[0], F_SETOWN, getpid()));
    SHOW(fcntl(s[0], F_GETOWN) == getpid());
    SHOW(write(s[1], "c", 1));
    take("with both");
    SHOW(!!(fcntl(s[0], F_GETFL) & O_ASYNC));
    SHOW(ioctl(s[0], FIOASYNC, &off));
    SHOW(!!(fcntl(s[0], F_GETFL) & O_ASYNC));
    SHOW(write(s[1], "d", 1));
    none("switched off");
    SHOW(read(s[0], b, 10));
    SHOW(fcntl(s[0], F_SETOWN, 0));
    SHOW(ioctl(s[0], FIOSETOWN, &owner));
    owner = 0;
    SHOW(ioctl(s[0], FIOGETOWN, &owner));
    SHOW(owner == getpid());
    SHOW(ioctl(s[0], SIOCSPGRP, &off));
    SHOW(ioctl(s[0], SIOCGPGRP, &owner));
    SHOW(owner);
    SHOW(fcntl(s[0], F_SETOWN, 0x7ffffff0));
    SHOW(fcntl(-1, F_SETOWN, getpid()));
}

static void pipes(void) {
    int p[2], on = 1;
    struct f_owner_ex who = {F_OWNER_PID, getpid()};
    pipe(p);
    SHOW(fcntl(p[0], F_SETOWN_EX, &who));
    memset(&who, 7, sizeof who);
    SHOW(fcntl(p[0], F_GETOWN_EX, &who));
    SHOW(who.type);
    SHOW(who.pid == getpid());
    who.type = 77;
    SHOW(fcntl(p[0], F_SETOWN_EX, &who));
    SHOW(fcntl(p[0], F_SETFL, O_ASYNC | O_NONBLOCK));
    SHOW(write(p[1], "x", 1));
    take("pipe");
    SHOW(ioctl(p[0], FIOSETOWN, &on));
    put("file", "content");
    int f = open("file", O_RDWR);
    SHOW(ioctl(f, FIOASYNC, &on));
    SHOW(ioctl(f, FIOASYNC, NULL));
}

// The owner is another process: it is told, not who asked for it.
static void child(void) {
    int s[2], go[2], status, on = 1;
    char b;
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pipe(go);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        read(go[0], &b, 1);
        take("child");
        fflush(stdout);
        _exit(3);
    }
    SHOW(fcntl(s[0], F_SETOWN, pid));
    SHOW(fcntl(s[0], F_GETOWN) == pid);
    SHOW(ioctl(s[0], FIOASYNC, &on));
    SHOW(write(s[1], "x", 1));
    // What the child says comes behind all this.
    fflush(stdout);
    long told = write(go[1], "x", 1);
    waitpid(pid, &status, 0);
    SHOW(told);
    SHOW(WEXITSTATUS(status));
    none("parent");
    SHOW(fcntl(s[0], F_GETOWN));
    SHOW(fcntl(s[0], F_SETOWN, pid));
}

static void urgent(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    char b[10];
    int l = socket(AF_INET, SOCK_STREAM, 0), c = socket(AF_INET, SOCK_STREAM, 0), mark;
    bind(l, (struct sockaddr *)&at, sizeof at);
    listen(l, 1);
    getsockname(l, (struct sockaddr *)&at, &size);
    SHOW(connect(c, (struct sockaddr *)&at, sizeof at));
    int s = accept(l, NULL, NULL);
    SHOW(fcntl(s, F_SETOWN, getpid()));
    SHOW(send(c, "u", 1, MSG_OOB));
    take("urgent");
    SHOW(recv(s, b, 10, MSG_OOB));
    SHOW(ioctl(s, SIOCATMARK, &mark));
    SHOW(mark);
}

static volatile int seen;
static void handler(int signal) { seen++; }

// A handler runs, and ends what waits.
static void handled(void) {
    int s[2], on = 1, status;
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    struct sigaction a = {.sa_handler = handler};
    sigaction(SIGIO, &a, NULL);
    fcntl(s[0], F_SETOWN, getpid());
    ioctl(s[0], FIOASYNC, &on);
    fflush(stdout);
    if (fork() == 0) {
        write(s[1], "x", 1);
        _exit(0);
    }
    sigset_t none;
    sigemptyset(&none);
    SHOW(sigsuspend(&none));
    SHOW(seen);
    wait(&status);
    // Without a handler it ends the process.
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGIO, SIG_DFL);
        sigprocmask(SIG_UNBLOCK, &both, NULL);
        fcntl(s[0], F_SETOWN, getpid());
        write(s[1], "x", 1);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    SHOW(WIFSIGNALED(status) ? WTERMSIG(status) == SIGIO : -1);
}

int main(void) {
    sigemptyset(&both);
    sigaddset(&both, SIGIO);
    sigaddset(&both, SIGURG);
    sigprocmask(SIG_BLOCK, &both, NULL);
    sockets();
    pipes();
    child();
    urgent();
    handled();
}
