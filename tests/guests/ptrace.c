// A process traces its children: stops, registers, memory, signals, events.
#include "show.h"
#include <elf.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

static int status;
static struct user_regs_struct regs;

// What a wait shows of a child, without its number.
static void show_wait(const char *what, pid_t pid) {
    status = 0;
    pid_t got = waitpid(pid, &status, __WALL);
    if (got == -1) { printf("%s: %s\n", what, strerrorname_np(errno)); return; }
    printf("%s: %s %#x\n", what, got == pid || pid == -1 ? "it" : "other", status);
}

static long get(pid_t pid) { return ptrace(PTRACE_GETREGS, pid, 0, &regs); }

// A child that is traced and has stopped itself.
static pid_t traced(void (*then)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        then();
        _exit(7);
    }
    show_wait("stopped itself", pid);
    return pid;
}

static void calls(void) { syscall(SYS_getppid); syscall(SYS_close, -1); syscall(9999, 1, 2, 3, 4, 5, 6); }

static void system_calls(void) {
    pid_t pid = traced(calls);
    SHOW(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
    SHOW(ptrace(PTRACE_SETOPTIONS, pid, 0, 1 << 30));
    for (int i = 0; i < 20; i++) {
        ptrace(PTRACE_SYSCALL, pid, 0, 0);
        waitpid(pid, &status, 0);
        if (!WIFSTOPPED(status)) break;
        struct { unsigned char op, pad[3]; unsigned arch; uint64_t ip, sp, word[8]; } info = {0};
        long size = ptrace(0x420e, pid, sizeof info, &info);
        get(pid);
        printf("%#x nr %lld rax %lld size %ld op %d arch %x", status, regs.orig_rax,
            regs.orig_rax == SYS_getppid && regs.rax > 0 && regs.rax < 1u << 30 ? 1 : (long long)regs.rax, size,
            info.op, info.arch);
        printf(" %d%d\n", info.ip == regs.rip, info.sp == regs.rsp);
        if (regs.orig_rax == SYS_close && info.op == 1) printf("argument %d\n", (int)info.word[1]);
        if (regs.orig_rax == 9999 && info.op == 2) {
            // The call that was not there answers now.
            regs.rax = 0;
            SHOW(ptrace(PTRACE_SETREGS, pid, 0, &regs));
        }
    }
    printf("end %#x\n", status);
}

static void another(void) { _exit(syscall(SYS_getppid) == 12345 ? 1 : 2); }

static void a_call_becomes_another(void) {
    pid_t pid = traced(another);
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    show_wait("entry", pid);
    get(pid);
    regs.orig_rax = -1;
    regs.rax = 12345;
    SHOW(ptrace(PTRACE_SETREGS, pid, 0, &regs));
    ptrace(PTRACE_SYSCALL, pid, 0, 0);
    show_wait("exit", pid);
    SHOW(ptrace(PTRACE_PEEKUSER, pid, offsetof(struct user, regs.rax), 0));
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("end", pid);
}

static volatile long word = 0x1122334455667788;
__attribute__((noinline)) static long place(long a) { return a * 3 + word; }
static void runs_place(void) { long sum = 0; for (long i = 0; i < 3; i++) sum += place(i); _exit(sum & 0x7f); }

static void breakpoints_and_steps(void) {
    pid_t pid = traced(runs_place);
    printf("%lx\n", ptrace(PTRACE_PEEKDATA, pid, &word, 0));
    SHOW(ptrace(PTRACE_POKEDATA, pid, &word, 5));
    long text = ptrace(PTRACE_PEEKTEXT, pid, place, 0);
    printf("text is the same: %d\n", text == *(long *)place);
    SHOW(ptrace(PTRACE_POKETEXT, pid, place, (text & ~0xffL) | 0xcc));
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("breakpoint", pid);
    get(pid);
    printf("at it: %d, argument %lld\n", regs.rip == (uintptr_t)place + 1, regs.rdi);
    siginfo_t info;
    SHOW(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    printf("%d %d\n", info.si_signo, info.si_code);
    SHOW(ptrace(PTRACE_POKETEXT, pid, place, text));
    regs.rip = (uintptr_t)place;
    SHOW(ptrace(PTRACE_SETREGS, pid, 0, &regs));
    long long sp = regs.rsp;
    int steps = 0;
    do {
        ptrace(PTRACE_SINGLESTEP, pid, 0, 0);
        waitpid(pid, &status, 0);
        get(pid);
        steps++;
    } while (WIFSTOPPED(status) && (long long)regs.rsp <= sp && steps < 100);
    printf("returned %lld after %d steps, %#x\n", regs.rax, steps, status);
    ptrace(PTRACE_GETSIGINFO, pid, 0, &info);
    printf("%d %d %d\n", info.si_signo, info.si_code, info.si_addr == (void *)regs.rip);
    SHOW(ptrace(PTRACE_PEEKDATA, pid, 16, 0));
    SHOW(ptrace(PTRACE_POKEDATA, pid, 16, 0));
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("end", pid);
}

static void vectors(void) {
    double a[4] = {1.5, 2.5, 3.5, 4.5}, b[2] = {0};
    __asm__ volatile("movupd %1, %%xmm7\n\tint3\n\tmovupd %%xmm7, %0" : "=m"(b) : "m"(a) : "xmm7");
    _exit((int)(b[0] + b[1]));
}

static void floating_registers(void) {
    pid_t pid = traced(vectors);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("trap", pid);
    struct user_fpregs_struct fp;
    SHOW(ptrace(PTRACE_GETFPREGS, pid, 0, &fp));
    double *xmm7 = (double *)&fp.xmm_space[4 * 7];
    printf("%g %g, %#x %#x\n", xmm7[0], xmm7[1], fp.cwd, fp.mxcsr);
    static char state[8192] __attribute__((aligned(64)));
    struct iovec v = {state, sizeof state};
    SHOW(ptrace(PTRACE_GETREGSET, pid, NT_X86_XSTATE, &v));
    uint64_t features = *(uint64_t *)(state + 464);
    printf("%d %d, %g\n", v.iov_len >= 576, features & 1, ((double *)(state + 160 + 16 * 7))[1]);
    v = (struct iovec){&regs, sizeof regs};
    SHOW(ptrace(PTRACE_GETREGSET, pid, NT_PRSTATUS, &v));
    SHOW(ptrace(PTRACE_SETREGSET, pid, NT_PRSTATUS, &v));
    printf("%zu %llx %llx\n", v.iov_len, regs.cs, regs.ss);
    v = (struct iovec){&fp, sizeof fp};
    SHOW(ptrace(PTRACE_GETREGSET, pid, NT_PRFPREG, &v));
    ((double *)&fp.xmm_space[4 * 7])[1] = 30;
    SHOW(ptrace(PTRACE_SETFPREGS, pid, 0, &fp));
    SHOW(ptrace(PTRACE_GETREGSET, pid, 77, &v));
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("end", pid);
}

static volatile int caught;
static void on_signal(int n) { caught = n; }
static void signalled(void) {
    signal(SIGUSR1, on_signal);
    signal(SIGUSR2, on_signal);
    signal(SIGURG, SIG_IGN);
    raise(SIGUSR1);
    int first = caught;
    raise(SIGUSR1);
    raise(SIGURG);
    _exit(first == SIGUSR2 && caught == SIGUSR2 ? 40 : first);
}

static void signals(void) {
    pid_t pid = traced(signalled);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("a signal", pid);
    siginfo_t info;
    SHOW(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    printf("%d %d %d\n", info.si_signo, info.si_code, info.si_pid == pid);
    // Another in its place.
    ptrace(PTRACE_CONT, pid, 0, SIGUSR2);
    show_wait("once more", pid);
    // None.
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("one that is ignored", pid);
    ptrace(PTRACE_CONT, pid, 0, SIGURG);
    show_wait("end", pid);
    pid = traced(signalled);
    ptrace(PTRACE_CONT, pid, 0, SIGTERM);
    show_wait("killed", pid);
    SHOW(ptrace(PTRACE_CONT, pid, 0, 0));
}

static void forks(void) {
    pid_t pid = fork();
    if (!pid) _exit(3);
    waitpid(pid, &status, 0);
    execl("/bin/true", "true", NULL);
}

static void events(void) {
    pid_t pid = traced(forks);
    SHOW(ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACEFORK | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT));
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("forks", pid);
    unsigned long message = 0;
    SHOW(ptrace(PTRACE_GETEVENTMSG, pid, 0, &message));
    pid_t child = message;
    show_wait("the new one", child);
    ptrace(PTRACE_CONT, child, 0, 0);
    show_wait("ends", child);
    ptrace(PTRACE_GETEVENTMSG, child, 0, &message);
    printf("with %#lx\n", message);
    ptrace(PTRACE_CONT, child, 0, 0);
    show_wait("has ended", child);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("is told", pid);
    ptrace(PTRACE_CONT, pid, 0, SIGCHLD);
    show_wait("executes", pid);
    ptrace(PTRACE_GETEVENTMSG, pid, 0, &message);
    printf("by the first thread: %d\n", (pid_t)message == pid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("exits", pid);
    SHOW(ptrace(PTRACE_DETACH, pid, 0, 0));
    show_wait("end", pid);
    pid = traced(forks);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("is told", pid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("has executed", pid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("end", pid);
}

static int one(void *p) { (void)p; for (;;) pause(); }
static void attach(void) {
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) one(0);
    SHOW(ptrace(PTRACE_CONT, pid, 0, 0));
    SHOW(ptrace(PTRACE_ATTACH, pid, 0, 0));
    show_wait("attached", pid);
    SHOW(ptrace(PTRACE_ATTACH, pid, 0, 0));
    SHOW(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
    long here = 0;
    struct iovec local = {&here, sizeof here}, remote = {(void *)&word, sizeof word};
    SHOW(process_vm_readv(pid, &local, 1, &remote, 1, 0));
    printf("%lx\n", here);
    here = 9;
    SHOW(process_vm_writev(pid, &local, 1, &remote, 1, 0));
    printf("%ld\n", ptrace(PTRACE_PEEKDATA, pid, &word, 0));
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/mem", pid);
    int fd = open(name, O_RDWR);
    printf("opened: %d\n", fd >= 0);
    SHOW(pread(fd, &here, sizeof here, (off_t)&word));
    printf("%ld\n", here);
    here = 11;
    SHOW(pwrite(fd, &here, sizeof here, (off_t)&word));
    printf("%ld\n", ptrace(PTRACE_PEEKDATA, pid, &word, 0));
    SHOW(pread(fd, &here, sizeof here, 16));
    close(fd);
    SHOW(ptrace(PTRACE_DETACH, pid, 0, 0));
    SHOW(ptrace(PTRACE_DETACH, pid, 0, 0));
    SHOW(ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD));
    SHOW(waitpid(pid, &status, WNOHANG | __WALL));
    SHOW(ptrace(PTRACE_INTERRUPT, pid, 0, 0));
    show_wait("interrupted", pid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    kill(pid, SIGSTOP);
    show_wait("a signal that stops", pid);
    ptrace(PTRACE_CONT, pid, 0, SIGSTOP);
    show_wait("is stopped", pid);
    siginfo_t info;
    SHOW(ptrace(PTRACE_GETSIGINFO, pid, 0, &info));
    printf("%d %#x\n", info.si_signo, info.si_code);
    SHOW(ptrace(PTRACE_LISTEN, pid, 0, 0));
    SHOW(waitpid(pid, &status, WNOHANG | __WALL));
    kill(pid, SIGCONT);
    show_wait("is continued", pid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("SIGCONT", pid);
    siginfo_t seen = {0};
    SHOW(waitid(P_PID, pid, &seen, WEXITED | WSTOPPED | WNOHANG | WNOWAIT));
    kill(pid, SIGKILL);
    show_wait("killed", pid);
    SHOW(ptrace(PTRACE_ATTACH, pid, 0, 0));
}

static volatile pid_t first;
static volatile int done;
// Shares all memory with a process, and traces its thread.
static int companion(void *p) {
    (void)p;
    struct user_regs_struct r = {0};
    int s = 0;
    if (syscall(SYS_getppid) != first || syscall(SYS_getpid) == first) return 2;
    if (ptrace(PTRACE_ATTACH, first, 0, 0)) return 3;
    if (waitpid(first, &s, __WALL) != first || s != 0x137f) return 4;
    if (ptrace(PTRACE_GETREGS, first, 0, &r) || !r.rsp) return 5;
    if (ptrace(PTRACE_DETACH, first, 0, 0)) return 6;
    done = 1;
    return 9;
}

static void traced_by_a_companion(void) {
    static char own[65536] __attribute__((aligned(16)));
    first = getpid();
    prctl(PR_SET_PTRACER, -1);
    pid_t pid = clone(companion, own + sizeof own, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_UNTRACED, 0);
    printf("made: %d\n", pid > 0);
    SHOW(waitpid(pid, &status, WNOHANG));
    while (!done && waitpid(pid, &status, WNOHANG | __WALL) == 0) sched_yield();
    show_wait("companion", pid);
    show_wait("once more", pid);
}

static char stack[65536] __attribute__((aligned(16)));
static volatile int ready;
static int thread(void *p) { (void)p; ready = 1; syscall(SYS_exit, 5); return 0; }
static void threaded(void) {
    int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
    clone(thread, stack + sizeof stack, flags, 0);
    while (!ready) sched_yield();
    usleep(100000);
}

static void threads(void) {
    pid_t pid = traced(threaded);
    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACECLONE);
    ptrace(PTRACE_CONT, pid, 0, 0);
    show_wait("a new thread", pid);
    unsigned long message = 0;
    ptrace(PTRACE_GETEVENTMSG, pid, 0, &message);
    pid_t tid = message;
    show_wait("stops at first", tid);
    ptrace(PTRACE_CONT, pid, 0, 0);
    ptrace(PTRACE_CONT, tid, 0, 0);
    show_wait("thread ends", tid);
    show_wait("end", pid);
}

static void tells(int n, siginfo_t *info, void *p) {
    (void)p;
    printf("SIGCHLD %d %d %d\n", n == SIGCHLD, info->si_code, info->si_status);
}

// A tracer that ends lets its tracees go, or takes them along.
static void tracers_end(long option) {
    int ends[2];
    if (pipe(ends)) return;
    fflush(stdout);
    pid_t tracer = fork();
    if (!tracer) {
        pid_t pid = fork();
        if (!pid) {
            prctl(PR_SET_PDEATHSIG, 0);
            close(ends[0]);
            ptrace(PTRACE_TRACEME, 0, 0, 0);
            raise(SIGUSR1);
            _exit(write(ends[1], "on", 2));
        }
        close(ends[1]);
        waitpid(pid, &status, 0);
        ptrace(PTRACE_SETOPTIONS, pid, 0, option);
        ptrace(PTRACE_CONT, pid, 0, 0);
        if (option) waitpid(pid, &status, 0);
        _exit(0);
    }
    close(ends[1]);
    show_wait("tracer", tracer);
    char text[2] = {0};
    SHOW(read(ends[0], text, 2) >= 0);
    close(ends[0]);
}

static void stays(void) { for (;;) sched_yield(); }

static void killed_while_stopped(void) {
    pid_t pid = traced(stays);
    kill(pid, SIGKILL);
    show_wait("killed", pid);
    pid = traced(stays);
    SHOW(ptrace(PTRACE_KILL, pid, 0, 0));
    show_wait("killed", pid);
    SHOW(waitpid(-1, &status, __WALL));
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    SHOW(ptrace(PTRACE_PEEKDATA, getpid(), &word, 0));
    SHOW(ptrace(PTRACE_ATTACH, getpid(), 0, 0));
    SHOW(ptrace(PTRACE_ATTACH, 0x3ffffff, 0, 0));
    system_calls();
    a_call_becomes_another();
    breakpoints_and_steps();
    floating_registers();
    signals();
    events();
    attach();
    threads();
    traced_by_a_companion();
    struct sigaction action = {.sa_sigaction = tells, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGCHLD, &action, 0);
    pid_t pid = traced(stays);
    signal(SIGCHLD, SIG_DFL);
    ptrace(PTRACE_KILL, pid, 0, 0);
    show_wait("killed", pid);
    tracers_end(0);
    tracers_end(PTRACE_O_EXITKILL);
    killed_while_stopped();
    return 0;
}
