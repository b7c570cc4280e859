// What of a process can be had apart, and ids of threads as descriptors; programs that are links; priorities of input
// and output; limits on signals.
#include "show.h"
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

static int go[2], back[2];

static void *thread(void *arg) {
    char byte;
    *(pid_t *)arg = gettid();
    write(back[1], "x", 1);
    read(go[0], &byte, 1);
    return 0;
}

static void apart(void) {
    SHOW(unshare(0));
    SHOW(unshare(CLONE_FILES));
    SHOW(unshare(CLONE_FS));
    SHOW(unshare(CLONE_FILES | CLONE_FS));
    SHOW(unshare(CLONE_THREAD));
    SHOW(unshare(CLONE_VM));
    SHOW(unshare(CLONE_SIGHAND));
    SHOW(unshare(1));
    SHOW(unshare(CLONE_SETTLS));
}

static int moves(void *stays) {
    if (stays) SHOW(unshare(CLONE_FS));
    SHOW(chdir("/"));
    SHOW(umask(027));
    fflush(stdout);
    _exit(3);
}

// A process that stands where its maker stands.
static void one_place(void) {
    static char stack[65536], where[4096], now[4096];
    int status;
    umask(022);
    SHOW(getcwd(where, sizeof where) != 0);
    for (int stays = 1; stays >= 0; stays--) {
        fflush(stdout);
        pid_t child = clone(moves, stack + sizeof stack, CLONE_FS | SIGCHLD, stays ? where : 0);
        SHOW(waitpid(child, &status, 0) == child);
        SHOW(status);
        SHOW(strcmp(getcwd(now, sizeof now), stays ? where : "/"));
        SHOW(umask(022));
    }
    SHOW(chdir(where));
}

static void threads(void) {
    pthread_t other;
    pid_t tid;
    char byte;
    pipe(go);
    pipe(back);
    pthread_create(&other, 0, thread, &tid);
    read(back[0], &byte, 1);
    SHOW(unshare(0));
    SHOW(unshare(CLONE_THREAD));
    SHOW(unshare(CLONE_SIGHAND));
    SHOW(syscall(SYS_pidfd_open, tid, 0));
    int fd = syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
    show("of a thread", fd < 0 ? -1 : 0);
    struct pollfd ended = {fd, POLLIN, 0};
    SHOW(poll(&ended, 1, 0));
    for (int scope = 0; scope < 9; scope++) SHOW(syscall(SYS_pidfd_send_signal, fd, 0, 0, scope));
    int own = syscall(SYS_pidfd_open, getpid(), 0);
    for (int scope = 0; scope < 5; scope++) SHOW(syscall(SYS_pidfd_send_signal, own, 0, 0, scope));
    SHOW(syscall(SYS_pidfd_open, getpid(), 1));
    SHOW(syscall(SYS_pidfd_open, 0x3ffffff, PIDFD_THREAD));
    write(go[1], "x", 1);
    pthread_join(other, 0);
    SHOW(poll(&ended, 1, -1));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, 0, 0));
    close(fd);
    close(own);
}

static void programs(void) {
    char *args[] = {"true", NULL};
    symlink("/bin/true", "link");
    symlink("link", "link2");
    int here = open(".", O_PATH | O_DIRECTORY), program = open("/bin/true", O_PATH);
    SHOW(syscall(SYS_execveat, AT_FDCWD, "link", args, environ, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_execveat, here, "link2", args, environ, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_execveat, here, "nothing", args, environ, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_execveat, -1, "", args, environ, AT_EMPTY_PATH));
    SHOW(syscall(SYS_execveat, AT_FDCWD, "", args, environ, AT_EMPTY_PATH));
    SHOW(syscall(SYS_execveat, program, "", args, environ, 0));
    SHOW(syscall(SYS_execveat, program, "", args, environ, 1));
    for (int i = 0; i < 4; i++) {
        fflush(stdout);
        if (!fork()) {
            if (i == 0) syscall(SYS_execveat, here, "link", args, environ, 0);
            if (i == 1) syscall(SYS_execveat, program, "", args, environ, AT_EMPTY_PATH);
            if (i == 2) syscall(SYS_execveat, program, "", args, environ, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
            if (i == 3) syscall(SYS_execveat, here, "/bin/true", args, environ, AT_SYMLINK_NOFOLLOW);
            perror("execveat");
            _exit(1);
        }
        int status;
        wait(&status);
        printf("status %x\n", status);
    }
    close(here);
    close(program);
}

#define IO(class, level) ((class) << 13 | (level))

static void input_output(void) {
    SHOW(syscall(SYS_ioprio_get, 1, 0));
    SHOW(syscall(SYS_ioprio_set, 1, 0, IO(3, 0)));
    SHOW(syscall(SYS_ioprio_get, 1, 0));
    fflush(stdout);
    if (!fork()) {
        SHOW(syscall(SYS_ioprio_get, 1, 0));
        fflush(stdout);
        _exit(0);
    }
    wait(0);
    SHOW(syscall(SYS_ioprio_set, 1, getpid(), IO(2, 7)));
    SHOW(syscall(SYS_ioprio_get, 1, getpid()));
    SHOW(syscall(SYS_ioprio_set, 1, 0, IO(0, 5)));
    SHOW(syscall(SYS_ioprio_set, 1, 0, IO(4, 0)));
    SHOW(syscall(SYS_ioprio_set, 0, 0, IO(2, 0)));
    SHOW(syscall(SYS_ioprio_set, 4, 0, IO(2, 0)));
    SHOW(syscall(SYS_ioprio_set, 1, 0x3ffffff, IO(2, 0)));
    SHOW(syscall(SYS_ioprio_set, 1, 0, 0));
    SHOW(syscall(SYS_ioprio_get, 1, 0));
    SHOW(syscall(SYS_ioprio_set, 2, 0, IO(2, 3)));
    SHOW(syscall(SYS_ioprio_get, 2, 0));
}

static void queued(void) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, 0);
    SHOW(sigqueue(getpid(), SIGRTMIN, (union sigval){0}));
    SHOW(setrlimit(RLIMIT_SIGPENDING, &(struct rlimit){0, 0}));
    SHOW(sigqueue(getpid(), SIGRTMIN, (union sigval){0}));
    SHOW(sigqueue(getpid(), SIGUSR1, (union sigval){0}));
    SHOW(kill(getpid(), SIGUSR2));
    SHOW(sigwaitinfo(&all, 0) == SIGUSR1 ? 0 : -1);
    SHOW(sigwaitinfo(&all, 0) == SIGUSR2 ? 0 : -1);
    SHOW(sigwaitinfo(&all, 0) == SIGRTMIN ? 0 : -1);
}

int main(void) {
    setsid();
    apart();
    one_place();
    threads();
    programs();
    input_output();
    queued();
}
