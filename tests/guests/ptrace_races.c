// Tracers and tracees that get in each other's way: whatever happens, all of them end.
#include "show.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

static int status;

// As which a child ends. Whoever else is traced goes on and is waited for, too: the kernel replaces no program
// before the tracer of the other threads has taken note of their end.
static int ends(pid_t pid) {
    int end = -1, s;
    for (pid_t got; (got = waitpid(-1, &s, __WALL)) > 0;) {
        if (WIFSTOPPED(s)) ptrace(PTRACE_CONT, got, 0, 0);
        else if (got == pid) end = s;
    }
    return end;
}

static int words[2], tids[2];

static void *waits(void *p) {
    pid_t tid = syscall(SYS_gettid);
    if (write(tids[1], &tid, sizeof tid) == sizeof tid) for (;;) pause();
    return p;
}

// A program is executed while another thread of the process is stopped for its tracer.
static void a_stopped_thread_and_exec(int traced_first) {
    if (pipe(words) || pipe(tids)) return;
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        pthread_t thread;
        char c;
        pthread_create(&thread, 0, waits, 0);
        if (read(words[0], &c, 1) == 1) execl("/bin/true", "true", NULL);
        _exit(1);
    }
    pid_t tid = 0;
    SHOW(read(tids[0], &tid, sizeof tid));
    SHOW(ptrace(PTRACE_SEIZE, tid, 0, 0));
    SHOW(ptrace(PTRACE_INTERRUPT, tid, 0, 0));
    SHOW(waitpid(tid, &status, __WALL) == tid);
    printf("%#x\n", status);
    if (traced_first) SHOW(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXEC));
    SHOW(write(words[1], "x", 1));
    if (traced_first) {
        while (waitpid(-1, &status, __WALL) != pid);
        printf("%#x\n", status);
        SHOW(ptrace(PTRACE_CONT, pid, 0, 0));
    }
    SHOW(ends(pid));
    for (int i = 0; i < 2; i++) close(words[i]), close(tids[i]);
}

static volatile pid_t victim;
static volatile int over;
static volatile long word = 7;

static void *looks(void *p) {
    while (!over) ptrace(PTRACE_PEEKDATA, victim, &word, 0);
    return p;
}

static void *kills(void *p) {
    usleep(2000);
    kill(victim, SIGKILL);
    return p;
}

// The threads of a tracer look at a tracee while it is let go, taken again, and killed.
static void many_hands(void) {
    for (int i = 0; i < 20; i++) {
        fflush(stdout);
        victim = fork();
        if (!victim) for (;;) sched_yield();
        pthread_t look, kill;
        over = 0;
        pthread_create(&look, 0, looks, 0);
        pthread_create(&kill, 0, kills, 0);
        struct user_regs_struct regs;
        while (!ptrace(PTRACE_ATTACH, victim, 0, 0)) {
            int s;
            if (waitpid(victim, &s, __WALL) != victim || !WIFSTOPPED(s)) break;
            ptrace(PTRACE_GETREGS, victim, 0, &regs);
            ptrace(PTRACE_DETACH, victim, 0, 0);
        }
        over = 1;
        pthread_join(look, 0);
        pthread_join(kill, 0);
        while (waitpid(victim, &status, __WALL) == victim && WIFSTOPPED(status));
    }
    SHOW(waitpid(-1, &status, __WALL));
}

// A tracee runs while its tracer is killed, at every possible point of its life.
static void tracers_are_killed(void) {
    for (int i = 0; i < 20; i++) {
        int alive[2];
        if (pipe(alive)) return;
        fflush(stdout);
        pid_t tracer = fork();
        if (!tracer) {
            close(alive[0]);
            pid_t pid = fork();
            if (!pid) {
                ptrace(PTRACE_TRACEME, 0, 0, 0);
                for (int n = 0; n < 2000; n++) syscall(SYS_getppid);
                _exit(0);
            }
            ptrace(PTRACE_SEIZE, pid, 0, 0);
            while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status)) ptrace(PTRACE_SYSCALL, pid, 0, 0);
            _exit(0);
        }
        close(alive[1]);
        usleep(500 * i);
        kill(tracer, SIGKILL);
        waitpid(tracer, &status, 0);
        // Until the last of them has ended.
        char c;
        if (read(alive[0], &c, 1) != 0) puts("somebody is left");
        close(alive[0]);
    }
    puts("nobody is left");
}

int main(void) {
    alarm(300);
    a_stopped_thread_and_exec(0);
    a_stopped_thread_and_exec(1);
    many_hands();
    tracers_are_killed();
    return 0;
}
