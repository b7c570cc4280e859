// Making processes by clone3 and clone, their descriptors, who gets orphans, and robust mutexes of those that die.
#include "show.h"
#include <linux/sched.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static long clone3(struct clone_args *args, size_t size) { return syscall(SYS_clone3, args, size); }

static int ended(pid_t pid) {
    int status = -1;
    waitpid(pid, &status, __WALL);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void handler(int unused) {}

static void flags(void) {
    struct clone_args a = {.exit_signal = SIGCHLD};
    struct { struct clone_args args; uint64_t more[2]; } longer = {.args = {.exit_signal = SIGCHLD}};
    pid_t pid = clone3(&a, sizeof a);
    if (pid == 0) _exit(11);
    printf("plain: %d\n", ended(pid));
    pid = clone3(&a, CLONE_ARGS_SIZE_VER0);
    if (pid == 0) _exit(12);
    printf("first version: %d\n", ended(pid));
    pid = clone3(&longer.args, sizeof longer);
    if (pid == 0) _exit(13);
    printf("longer: %d\n", ended(pid));
    longer.more[0] = 1;
    SHOW(clone3(&longer.args, sizeof longer));
    SHOW(clone3(&a, 63));
    SHOW(clone3(&a, 5000));
    SHOW(clone3((void *)8, sizeof a));
    SHOW(clone3(&(struct clone_args){.flags = SIGCHLD}, sizeof a));
    SHOW(clone3(&(struct clone_args){.flags = CLONE_THREAD, .exit_signal = SIGCHLD}, sizeof a));
    SHOW(clone3(&(struct clone_args){.flags = CLONE_SIGHAND, .exit_signal = SIGCHLD}, sizeof a));
    SHOW(clone3(&(struct clone_args){.flags = CLONE_DETACHED, .exit_signal = SIGCHLD}, sizeof a));
    SHOW(clone3(&(struct clone_args){.exit_signal = 65}, sizeof a));
    SHOW(clone3(&(struct clone_args){.exit_signal = SIGCHLD, .stack = 4096}, sizeof a));
    SHOW(clone3(&(struct clone_args){.exit_signal = SIGCHLD, .set_tid_size = 33, .set_tid = 8}, sizeof a));
    // Ids, in the child's memory and in the parent's.
    pid_t parents = 0, *childs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct clone_args ids = {.flags = CLONE_PARENT_SETTID | CLONE_CHILD_SETTID, .exit_signal = SIGCHLD,
        .parent_tid = (uintptr_t)&parents, .child_tid = (uintptr_t)childs};
    pid = clone3(&ids, sizeof ids);
    if (pid == 0) _exit(*childs == getpid() ? 14 : 1);
    printf("ids: %d %d\n", parents == pid, ended(pid));
    // Handlers go, what is ignored stays ignored.
    signal(SIGUSR1, handler);
    signal(SIGUSR2, SIG_IGN);
    struct clone_args clear = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    pid = clone3(&clear, sizeof clear);
    if (pid == 0) {
        struct sigaction one, two;
        sigaction(SIGUSR1, NULL, &one);
        sigaction(SIGUSR2, NULL, &two);
        _exit(15 + (one.sa_handler != SIG_DFL) + 2 * (two.sa_handler != SIG_IGN));
    }
    printf("cleared: %d\n", ended(pid));
}

static int on_stack(void *number) { _exit(*(int *)number); }

static void descriptors(void) {
    int fd = -1, number = 21, other;
    siginfo_t info = {0};
    struct clone_args a = {.flags = CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = (uintptr_t)&fd};
    pid_t pid = clone3(&a, sizeof a);
    if (pid == 0) {
        for (;;) pause();
    }
    printf("pidfd: %d %d\n", fd, fcntl(fd, F_GETFD));
    struct pollfd p = {fd, POLLIN};
    SHOW(poll(&p, 1, 0));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 99, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 8));
    SHOW(syscall(SYS_pidfd_send_signal, 0, SIGTERM, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, 99, SIGTERM, NULL, 0));
    // A directory below /proc stands for the process too, but not what lies in it.
    int own = open("/proc/self", O_RDONLY | O_DIRECTORY), in = open("/proc/self/task", O_RDONLY | O_DIRECTORY);
    SHOW(syscall(SYS_pidfd_send_signal, own, 0, NULL, 0));
    SHOW(syscall(SYS_pidfd_send_signal, in, 0, NULL, 0));
    close(own), close(in);
    SHOW(syscall(SYS_pidfd_send_signal, fd, SIGTERM, NULL, 0));
    SHOW(poll(&p, 1, -1));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED | WNOWAIT));
    printf("%d %d %d\n", info.si_pid == pid, info.si_code == CLD_KILLED, info.si_status);
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    SHOW(waitid(P_PIDFD, 0, &info, WEXITED));
    SHOW(waitid(P_PIDFD, 99, &info, WEXITED));
    SHOW(syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0));
    close(fd);
    // By clone, on a stack of its own.
    char *stack = malloc(65536);
    pid = clone(on_stack, stack + 65536, CLONE_PIDFD | SIGCHLD, &number, &fd);
    printf("clone: %d %d\n", fd, ended(pid));
    close(fd);
    SHOW(syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &fd, 0, 0));
    // Of a process that is there, and of one that has ended.
    pid = fork();
    if (pid == 0) _exit(3);
    waitid(P_PID, pid, &info, WEXITED | WNOWAIT);
    SHOW(fd = syscall(SYS_pidfd_open, pid, 0));
    SHOW(poll(&p, 1, 0));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    printf("%d\n", info.si_status);
    SHOW(syscall(SYS_pidfd_open, pid, 0));
    close(fd);
    SHOW(syscall(SYS_pidfd_open, 0, 0));
    SHOW(syscall(SYS_pidfd_open, getpid(), 1 << 20));
    // One that does not block.
    pid = fork();
    if (pid == 0) {
        for (;;) pause();
    }
    SHOW(fd = syscall(SYS_pidfd_open, pid, O_NONBLOCK));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED));
    SHOW(waitid(P_PIDFD, fd, &info, WEXITED | WNOHANG));
    // A descriptor of the child's.
    int ends[2];
    pipe(ends);
    SHOW(other = syscall(SYS_pidfd_getfd, fd, 0, 0));
    SHOW(fcntl(other, F_GETFD));
    SHOW(syscall(SYS_pidfd_getfd, fd, 77, 0));
    SHOW(syscall(SYS_pidfd_getfd, fd, 0, 1));
    SHOW(syscall(SYS_pidfd_getfd, 0, 0, 0));
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    SHOW(syscall(SYS_pidfd_getfd, fd, 0, 0));
}

static void orphans(void) {
    int set = -1, status, ends[2];
    pipe(ends);
    SHOW(prctl(PR_GET_CHILD_SUBREAPER, &set));
    printf("%d\n", set);
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 1));
    SHOW(prctl(PR_GET_CHILD_SUBREAPER, &set));
    printf("%d\n", set);
    pid_t child = fork();
    if (child == 0) {
        pid_t own = getpid();
        prctl(PR_GET_CHILD_SUBREAPER, &set);
        printf("inherited: %d\n", set);
        fflush(stdout);
        if (fork() == 0) {
            sigset_t s;
            sigemptyset(&s);
            sigaddset(&s, SIGUSR1);
            sigprocmask(SIG_BLOCK, &s, NULL);
            prctl(PR_SET_PDEATHSIG, SIGUSR1);
            write(ends[1], "x", 1);
            int signal;
            sigwait(&s, &signal);
            printf("told by %d\n", signal);
            while (getppid() == own) sched_yield();
            fflush(stdout);
            _exit(6);
        }
        char c;
        read(ends[0], &c, 1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    pid_t got = wait(&status);
    printf("orphan: %d %d\n", got > 0 && got != child, WEXITSTATUS(status));
    SHOW(wait(&status));
    SHOW(prctl(PR_SET_CHILD_SUBREAPER, 0));
    SHOW(prctl(PR_SET_PDEATHSIG, 65));
}

// A mutex whose owner dies is passed on, however the owner dies.
static void robust(void) {
    pthread_mutex_t *mutex = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(mutex, &attributes);
    const char *ways[] = {"exit", "kill", "segv", "exec", "thread", "abort"};
    for (int way = 0; way < 6; way++) {
        int ends[2], status;
        pipe(ends);
        pid_t pid = fork();
        if (pid == 0) {
            void *end(void *unused) {
                pthread_mutex_lock(mutex);
                write(ends[1], "x", 1);
                switch (way) {
                case 0: _exit(0);
                case 1: for (;;) pause();
                case 2: *(volatile int *)8 = 1;
                case 3: execl("/bin/sleep", "sleep", "0", NULL);
                case 4: return NULL;
                case 5: abort();
                }
            }
            pthread_t t;
            if (way == 3) end(NULL);
            pthread_create(&t, NULL, end, NULL);
            pthread_join(t, NULL);
            for (;;) pause();
        }
        char c;
        read(ends[0], &c, 1);
        if (way == 1) kill(pid, SIGKILL);
        int got = pthread_mutex_lock(mutex);
        printf("%s: %s, %d, ", ways[way], got == EOWNERDEAD ? "EOWNERDEAD" : "other", pthread_mutex_consistent(mutex));
        printf("%d\n", pthread_mutex_unlock(mutex));
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        close(ends[0]);
        close(ends[1]);
    }
}

static void *nothing(void *x) { return x; }

static void many(void) {
    pthread_t t[500];
    pthread_attr_t small;
    long sum = 0;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    for (long i = 0; i < 500; i++) pthread_create(&t[i], &small, nothing, (void *)i);
    for (long i = 0; i < 500; i++) {
        void *value;
        pthread_join(t[i], &value);
        sum += (long)value;
    }
    printf("threads: %ld\n", sum);
    int status, right = 0;
    for (int i = 0; i < 500; i++) {
        pid_t pid = fork();
        if (pid == 0) _exit(i & 0xff);
        right += waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == (i & 0xff);
    }
    printf("processes: %d\n", right);
}

static void leave_by_3(int unused) { _exit(3); }

// A signal that comes while the program is being replaced ends the old one by its handler or the new one by default.
static void replaced(void) {
    int how, rounds = 0;
    for (how = 3; rounds < 300 && (how == 3 || how == -SIGUSR1); rounds++) {
        int p[2];
        pipe(p);
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGUSR1, leave_by_3);
            write(p[1], "x", 1);
            execl("/proc/self/exe", "processes", "waits", NULL);
            _exit(9);
        }
        char c;
        read(p[0], &c, 1);
        for (volatile int spin = 0; spin < rounds * 2000; spin++);
        kill(pid, SIGUSR1);
        how = ended(pid);
        close(p[0]);
        close(p[1]);
    }
    printf("rounds: %d, all by the signal: %d\n", rounds, how == 3 || how == -SIGUSR1);
}

// execve(2) is not interrupted by signals.
static void stormed(void) {
    int right = 0;
    for (int i = 0; i < 100; i++) {
        pid_t pid = fork();
        if (pid == 0) {
            signal(SIGURG, handler);
            execl("/proc/self/exe", "processes", "at once", NULL);
            _exit(errno);
        }
        int how;
        while (waitpid(pid, &how, WNOHANG) == 0) kill(pid, SIGURG);
        if (how == 0) right++; else printf("ended: %x\n", how);
    }
    printf("replaced under signals: %d\n", right);
}

// Waits for the signal; the alarm is for one that is lost.
static void waits(void) {
    alarm(20);
    for (;;) pause();
}

// What goes wrong on the way to a new program.
static void errors(void) {
    FILE *f = popen("exit 3", "r");
    printf("popen: %d\n", WEXITSTATUS(pclose(f)));
    printf("system: %d %d\n", WEXITSTATUS(system("/nonexistent 2>/dev/null")), system(NULL));
    pid_t pid = vfork();
    if (pid == 0) {
        execl("/nonexistent", "x", NULL);
        _exit(errno);
    }
    printf("vfork: %d\n", ended(pid) == ENOENT);
    pid = vfork();
    if (pid == 0) raise(SIGKILL);
    printf("vfork: %d\n", ended(pid));
    pid = vfork();
    if (pid == 0) *(volatile int *)8 = 1;
    printf("vfork: %d\n", ended(pid));
}

int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    struct { const char *name; void (*run)(void); } all[] = {{"flags", flags}, {"descriptors", descriptors},
        {"orphans", orphans}, {"robust", robust}, {"many", many}, {"errors", errors},
        {"replaced", replaced}, {"waits", waits}, {"stormed", stormed}};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        if (!strcmp(argv[1], all[i].name)) all[i].run();
    }
    return 0;
}
