// Process groups and sessions, and waiting by them. Ids are shown only by what they are equal to.
#include "show.h"
#include <signal.h>
#include <sys/wait.h>

static int channel[2];

// A child that waits to be ended.
static pid_t sleeper(void) {
    pid_t pid = fork();
    if (pid == 0) {
        for (;;) pause();
    }
    return pid;
}

static void show_wait(const char *what, pid_t got, pid_t expected, const int *at) {
    int status = *at;
    printf("%s: %s", what, got == expected ? "it" : got == -1 ? strerrorname_np(errno) : got == 0 ? "nobody" : "another");
    if (got > 0) {
        if (WIFEXITED(status)) printf(", exited %d", WEXITSTATUS(status));
        if (WIFSIGNALED(status)) printf(", killed by %d", WTERMSIG(status));
        if (WIFSTOPPED(status)) printf(", stopped by %d", WSTOPSIG(status));
        if (WIFCONTINUED(status)) printf(", continued");
    }
    puts("");
}

static void waiting(void) {
    int status = 0;
    pid_t a = sleeper(), b = sleeper();
    SHOW(setpgid(a, a));
    SHOW(setpgid(b, a));
    printf("groups: %d %d\n", getpgid(a) == a, getpgid(b) == a);
    show_wait("wait for the own group", waitpid(0, &status, WNOHANG), a, &status);
    show_wait("wait for theirs", waitpid(-a, &status, WNOHANG), a, &status);
    SHOW(kill(-a, SIGSTOP));
    show_wait("stopped", waitpid(a, &status, WUNTRACED), a, &status);
    show_wait("stopped", waitpid(b, &status, WUNTRACED), b, &status);
    show_wait("told once", waitpid(-a, &status, WUNTRACED | WNOHANG), a, &status);
    SHOW(kill(-a, SIGCONT));
    show_wait("continued", waitpid(a, &status, WCONTINUED), a, &status);
    show_wait("continued", waitpid(b, &status, WCONTINUED), b, &status);
    siginfo_t info = {0};
    SHOW(kill(a, SIGTSTP));
    SHOW(waitid(P_PGID, a, &info, WSTOPPED | WNOWAIT));
    printf("waitid: %d %d %d\n", info.si_pid == a, info.si_code == CLD_STOPPED, info.si_status);
    SHOW(kill(a, SIGKILL));
    show_wait("killed while stopped", waitpid(a, &status, 0), a, &status);
    SHOW(setpgid(0, a));
    SHOW(setpgid(0, 0));
    SHOW(kill(-a, SIGTERM));
    show_wait("the last of the group", waitpid(-a, &status, 0), b, &status);
    show_wait("nobody is left", waitpid(-a, &status, 0), b, &status);
    SHOW(kill(-a, 0));
    SHOW(setpgid(0, a));
}

static void rules(void) {
    int status;
    pid_t a = sleeper();
    SHOW(setpgid(a, -1));
    SHOW(setpgid(1, 0));
    SHOW(setpgid(a, 1));
    SHOW(setpgid(a, a));
    SHOW(setpgid(a, getpgrp()) == 0);
    printf("back: %d\n", getpgid(a) == getpgrp());
    SHOW(getpgid(-1));
    SHOW(getsid(-1));
    pipe(channel);
    pid_t session = fork();
    if (session == 0) {
        SHOW(setpgid(0, 0));
        SHOW(setsid());
        fflush(stdout);
        if (fork() == 0) {
            printf("setsid: %d", setsid() == getpid());
            printf(" %d %d\n", getpgrp() == getpid(), getsid(0) == getpid());
            SHOW(setsid());
            SHOW(setpgid(0, 0));
            SHOW(setpgid(0, getppid()));
            fflush(stdout);
            write(channel[1], "x", 1);
            _exit(0);
        }
        char c;
        read(channel[0], &c, 1);
        _exit(0);
    }
    waitpid(session, &status, 0);
    // A child that has executed a program is out of reach.
    pid_t other = fork();
    if (other == 0) {
        dup2(channel[1], 1);
        execlp("/bin/sh", "sh", "-c", "echo x; exec sleep 1000", NULL);
    }
    char c[2];
    read(channel[0], c, 2);
    SHOW(setpgid(other, other));
    kill(other, SIGKILL);
    waitpid(other, &status, 0);
    // One that has ended keeps its group until it is waited for.
    other = fork();
    if (other == 0) {
        setpgid(0, 0);
        _exit(4);
    }
    siginfo_t info;
    waitid(P_PID, other, &info, WEXITED | WNOWAIT);
    SHOW(kill(other, 0));
    SHOW(kill(-other, 0));
    printf("group of the dead: %d\n", getpgid(other) == other);
    SHOW(setpgid(a, other));
    show_wait("the dead", waitpid(-other, &status, 0), other, &status);
    SHOW(kill(other, 0));
    kill(a, SIGKILL);
    waitpid(a, &status, 0);
}

// A stopped group whose last tie to its session ends is hung up and continued.
static void hangup(int signal) {
    const char *text = signal == SIGHUP ? "orphan: SIGHUP\n" : "orphan: SIGCONT\n";
    write(1, text, strlen(text));
}

static void orphans(void) {
    int status, done[2];
    pipe(done);
    pid_t parent = fork();
    if (parent == 0) {
        pid_t child = fork();
        if (child == 0) {
            sigset_t set;
            sigemptyset(&set);
            sigaddset(&set, SIGCONT);
            signal(SIGHUP, hangup);
            signal(SIGCONT, hangup);
            sigprocmask(SIG_BLOCK, &set, NULL);
            raise(SIGSTOP);
            sigprocmask(SIG_UNBLOCK, &set, NULL);
            printf("orphan: going on, parent %d\n", getppid() != getpgrp());
            fflush(stdout);
            write(done[1], "x", 1);
            _exit(0);
        }
        setpgid(child, child);
        waitpid(child, &status, WUNTRACED);
        show_wait("child", child, child, &status);
        fflush(stdout);
        _exit(0);
    }
    close(done[1]);
    waitpid(parent, &status, 0);
    char c;
    printf("orphan has ended: %ld\n", (long)read(done[0], &c, 1));
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    // Natively this may lead a group or not.
    setpgid(0, 0);
    waiting();
    rules();
    orphans();
    return 0;
}
