// Masks, pending sets, nesting, order of delivery, jumps out of handlers, the alternate stack.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char trail[256];
static int depth;

static void note(const char *text) { strncat(trail, text, sizeof trail - strlen(trail) - 1); }

static void show(const char *what) {
    printf("%s:%s\n", what, trail);
    trail[0] = 0;
}

static void on_usr1(int signal) {
    (void)signal;
    note(" usr1(");
    if (++depth == 1) {
        raise(SIGUSR1);  // blocked here, so after the return
        raise(SIGUSR2);  // nested
    }
    note(")");
}

static void on_usr2(int signal) {
    (void)signal;
    note(" usr2");
}

static void on_nodefer(int signal) {
    note(" [");
    if (++depth < 4) raise(signal);
    note("]");
}

static void on_number(int signal) {
    char text[16];
    snprintf(text, sizeof text, " %d", signal);
    note(text);
}

static void set(int signal, void (*handler)(int), int flags, int blocked) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    if (blocked) sigaddset(&action.sa_mask, blocked);
    sigaction(signal, &action, 0);
}

static sigjmp_buf jump;
static void on_jump(int signal) { siglongjmp(jump, signal); }

static char stack[65536];
static void on_stack(int signal) {
    char local;
    stack_t now;
    sigaltstack(0, &now);
    printf("on the stack %d, reported %d, change %d\n", &local > stack && &local < stack + sizeof stack, now.ss_flags,
           sigaltstack(&now, 0));
    if (signal == SIGUSR1) raise(SIGUSR2);
}

static void on_disarmed(int signal) {
    (void)signal;
    stack_t now;
    sigaltstack(0, &now);
    printf("disarmed: %x\n", now.ss_flags);
}

static int blocked(int signal) {
    sigset_t mask;
    sigprocmask(SIG_BLOCK, 0, &mask);
    return sigismember(&mask, signal);
}

int main(void) {
    set(SIGUSR1, on_usr1, 0, 0);
    set(SIGUSR2, on_usr2, 0, 0);
    raise(SIGUSR1);
    show("nested");
    depth = 0;
    set(SIGUSR1, on_usr1, 0, SIGUSR2);
    raise(SIGUSR1);
    show("with sa_mask");
    depth = 0;
    set(SIGUSR1, on_nodefer, SA_NODEFER, 0);
    raise(SIGUSR1);
    show("nodefer");
    set(SIGUSR1, on_usr2, SA_RESETHAND, 0);
    raise(SIGUSR1);
    struct sigaction old;
    sigaction(SIGUSR1, 0, &old);
    printf("reset %d\n", old.sa_handler == SIG_DFL);
    trail[0] = 0;

    // Everything blocked, then let through at once: the handlers run one inside the other.
    int signals[] = {SIGTERM, 40, SIGHUP, 35, SIGUSR1, 40, SIGHUP, 35};
    sigset_t all, pending, none;
    sigfillset(&all);
    sigemptyset(&none);
    for (unsigned i = 0; i < 8; i++) set(signals[i], on_number, 0, 0);
    sigprocmask(SIG_SETMASK, &all, 0);
    for (unsigned i = 0; i < 8; i++) {
        union sigval v = {.sival_int = i};
        sigqueue(getpid(), signals[i], v);
    }
    sigpending(&pending);
    printf("pending:");
    for (int s = 1; s <= 64; s++)
        if (sigismember(&pending, s) == 1) printf(" %d", s);
    printf("\n");
    sigprocmask(SIG_SETMASK, &none, 0);
    show("all at once, nested");
    sigprocmask(SIG_SETMASK, &all, 0);
    for (unsigned i = 0; i < 8; i++) {
        struct sigaction action = {.sa_handler = on_number};
        sigfillset(&action.sa_mask);
        sigaction(signals[i], &action, 0);
        kill(getpid(), signals[i]);
    }
    sigprocmask(SIG_SETMASK, &none, 0);
    show("all at once, one after the other");

    // Ignoring throws away what is pending.
    sigprocmask(SIG_SETMASK, &all, 0);
    raise(SIGHUP);
    signal(SIGHUP, SIG_IGN);
    sigpending(&pending);
    printf("ignored while pending: %d\n", sigismember(&pending, SIGHUP));
    set(SIGHUP, on_number, 0, 0);
    sigprocmask(SIG_SETMASK, &none, 0);
    show("nothing");

    // siglongjmp restores the mask, longjmp from a saved context without it does not.
    set(SIGUSR1, on_jump, 0, SIGTERM);
    int from = sigsetjmp(jump, 1);
    if (!from) raise(SIGUSR1);
    printf("jumped %d, blocked %d %d\n", from, blocked(SIGUSR1), blocked(SIGTERM));
    from = sigsetjmp(jump, 0);
    if (!from) raise(SIGUSR1);
    printf("jumped %d, blocked %d %d\n", from, blocked(SIGUSR1), blocked(SIGTERM));
    sigprocmask(SIG_SETMASK, &none, 0);
    static int jumps;
    while (jumps++ < 1000)
        if (!sigsetjmp(jump, 1)) raise(SIGUSR1);
    printf("a thousand jumps\n");

    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack}, now;
    sigaltstack(0, &now);
    printf("before: flags %d\n", now.ss_flags);
    printf("too small %d", sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = 100}, 0));
    printf(", set %d\n", sigaltstack(&alternate, 0));
    set(SIGUSR1, on_stack, SA_ONSTACK, 0);
    set(SIGUSR2, on_stack, SA_ONSTACK, 0);
    raise(SIGUSR1);
    set(SIGUSR2, on_stack, 0, 0);
    raise(SIGUSR2);
    alternate.ss_flags = 1u << 31;
    sigaltstack(&alternate, 0);
    set(SIGUSR1, on_disarmed, SA_ONSTACK, 0);
    raise(SIGUSR1);
    sigaltstack(0, &now);
    printf("armed again: %x %d\n", now.ss_flags, now.ss_sp == stack);
    return 0;
}
