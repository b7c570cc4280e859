// What a handler is told: siginfo of raise, kill, sigqueue and timers, the handler's arguments and stack alignment.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

static siginfo_t seen;
static int seen_signal, aligned, on_stack, uc_flags;
static volatile sig_atomic_t calls;

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    char local;
    seen = *info;
    seen_signal = signal;
    aligned = ((uintptr_t)__builtin_frame_address(0) & 15) == 0 && ((uintptr_t)uc->uc_mcontext.fpregs & 63) == 0;
    on_stack = &local < (char *)uc && (char *)info > (char *)uc && (char *)uc->uc_mcontext.fpregs > (char *)info;
    uc_flags = uc->uc_flags;
    calls++;
}

static void show(const char *what) {
    printf("%s: signal %d %d code %d mine %d uid %d aligned %d order %d flags %d calls %d\n", what, seen_signal,
           seen.si_signo, seen.si_code, seen.si_pid == getpid(), seen.si_uid == getuid(), aligned, on_stack, uc_flags,
           (int)calls);
    memset(&seen, 0, sizeof seen);
}

static void plain(int signal) { seen_signal = signal; calls++; }

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    int all[] = {SIGHUP, SIGUSR1, SIGTERM, SIGCHLD, SIGURG, SIGIO, 32, 33, SIGRTMIN, SIGRTMAX};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        // The C library keeps 32 and 33; the kernel does not.
        struct { void *handler; unsigned long flags; void *restorer; unsigned long mask; } raw;
        sigaction(SIGUSR1, &action, 0);
        syscall(SYS_rt_sigaction, SIGUSR1, 0, &raw, 8);
        if (syscall(SYS_rt_sigaction, all[i], &raw, 0, 8)) perror("rt_sigaction");
        syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), all[i]);
        char name[32];
        snprintf(name, sizeof name, "tgkill %d", all[i]);
        show(name);
    }
    kill(getpid(), SIGUSR1);
    show("kill");
    union sigval value = {.sival_int = 4711};
    sigqueue(getpid(), SIGRTMIN, value);
    printf("value %d\n", seen.si_value.sival_int);
    show("sigqueue");

    struct sigaction simple = {.sa_handler = plain}, old;
    sigaction(SIGUSR2, &simple, 0);
    raise(SIGUSR2);
    printf("plain handler %d calls %d\n", seen_signal, (int)calls);
    sigaction(SIGUSR2, 0, &old);
    printf("old handler is it %d flags %x\n", old.sa_handler == plain, old.sa_flags & ~0x04000000);
    printf("bad: %d %d %d\n", sigaction(SIGKILL, &simple, 0), sigaction(0, &simple, 0), sigaction(65, 0, &old));
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR2);
    printf("ignored, calls %d\n", (int)calls);
    printf("kill 0 of myself %d, of nobody %d\n", kill(getpid(), 0), kill(0x3ffffff0, 0));
    return 0;
}
