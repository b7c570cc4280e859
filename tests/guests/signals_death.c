// Ends by the way that its argument names; the exit status is the answer.
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static void nothing(int signal) { (void)signal; }

static void block(int signal) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    sigprocmask(SIG_BLOCK, &set, 0);
}

static void handle(int signal, int flags) {
    struct sigaction action = {.sa_handler = nothing, .sa_flags = flags};
    sigaction(signal, &action, 0);
}

static volatile int *volatile null;

int main(int argc, char **argv) {
    const char *how = argc > 1 ? argv[1] : "";
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    printf("%s\n", how);
    fflush(stdout);
    if (!strcmp(how, "segv")) *null = 1;
    if (!strcmp(how, "segv-ignored")) { signal(SIGSEGV, SIG_IGN); *null = 1; }
    if (!strcmp(how, "segv-blocked")) { handle(SIGSEGV, 0); block(SIGSEGV); *null = 1; }
    if (!strcmp(how, "segv-sent-ignored")) { signal(SIGSEGV, SIG_IGN); raise(SIGSEGV); _exit(3); }
    if (!strcmp(how, "segv-sent")) { raise(SIGSEGV); _exit(3); }
    if (!strcmp(how, "ill")) __asm__ volatile("ud2");
    if (!strcmp(how, "fpe")) __asm__ volatile("xorl %%ecx,%%ecx\ndivl %%ecx" ::: "eax", "ecx", "edx");
    if (!strcmp(how, "trap")) __asm__ volatile("int3");
    if (!strcmp(how, "abort")) abort();
    if (!strcmp(how, "term")) raise(SIGTERM);
    if (!strcmp(how, "kill")) kill(getpid(), SIGKILL);
    if (!strcmp(how, "realtime")) raise(SIGRTMAX);
    if (!strcmp(how, "blocked-then-not")) {
        sigset_t mask;
        block(SIGHUP);
        raise(SIGHUP);
        sigemptyset(&mask);
        sigprocmask(SIG_SETMASK, &mask, 0);
    }
    if (!strcmp(how, "alarm")) { alarm(1); pause(); }
    if (!strcmp(how, "pipe")) { int fds[2]; if (!pipe(fds)) { close(fds[0]); if (write(fds[1], "x", 1) < 0) _exit(4); } }
    if (!strcmp(how, "no-stack")) {  // no room for the frame, and no handler for what follows from it
        handle(SIGUSR1, 0);
        __asm__ volatile("movq %1, %%rdi\nmovq %2, %%rsi\nmovl $10, %%edx\nmovl %0, %%eax\nmovl $4096, %%esp\nsyscall\nmovl $231, %%eax\nmovl $5, %%edi\nsyscall"
                         ::"i"(SYS_tgkill), "r"((long)getpid()), "r"((long)syscall(SYS_gettid)) : "rax", "rdi", "rsi", "rdx", "rcx", "r11");
    }
    if (!strcmp(how, "bad-sigreturn")) __asm__ volatile("movl $4096, %%esp\nmovl %0, %%eax\nsyscall\nmovl $231, %%eax\nsyscall" ::"i"(SYS_rt_sigreturn));
    if (!strcmp(how, "deep-recursion")) {  // the stack is full: the handler cannot run on it
        handle(SIGSEGV, 0);
        __asm__ volatile("1: pushq %%rax\njmp 1b" ::: "memory");
    }
    return 0;
}
