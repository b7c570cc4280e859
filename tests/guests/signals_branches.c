// Signals in the middle of indirect branches. Registers and flags are those of the program at every instruction,
// whatever a translator does to get from one to the next.
#include "show.h"
#include <signal.h>
#include <time.h>
#include <ucontext.h>

enum { ENOUGH = 4000, DEFINED = 0x8c5, EXPECTED = 0x45 };
#define VALUE 0x1111222233334444

void branches(void), branches_loop(void), leaves(void);
long done;
static timer_t timer;
static int inside, wrong;

// The loop keeps r11 = ~rcx, flags that it has set before, and a stack no deeper than three calls.
__asm__(".text\n"
        "branches:\n"
        "    push %rbx\n"
        "    mov %rsp, %rbx\n"
        "    movabs $0x1111222233334444, %rcx\n"
        "    movabs $0xeeeeddddccccbbbb, %r11\n"
        "    xor %eax, %eax\n"
        "    stc\n"
        "branches_loop:\n"
        "    call swaps\n"
        "    lea returns(%rip), %rax\n"
        "    call *%rax\n"
        "    call *through(%rip)\n"
        "    lea 1f(%rip), %rax\n"
        "    jmp *%rax\n"
        "2:  lea 3f(%rip), %rax\n"
        "    push %rax\n"
        "    ret\n"
        "1:  mov %r11, %rdx\n"
        "    lea 2b(%rip), %rax\n"
        "    jmp *%rax\n"
        "3:  push %rcx\n"
        "    push %r11\n"
        "    call releases\n"
        "    call nested\n"
        "    mov done(%rip), %rax\n"
        "    lea ways(%rip), %rdx\n"
        "    jmp *(%rdx,%rax,8)\n"
        "swaps:\n"
        "    xchg %rcx, %r11\n"
        "returns:\n"
        "    ret\n"
        "releases:\n"
        "    ret $16\n"
        "nested:\n"
        "    call swaps\n"
        "    call swaps\n"
        "    ret\n"
        "leaves:\n"
        "    mov %rbx, %rsp\n"
        "    pop %rbx\n"
        "    ret\n"
        ".data\n"
        "through: .quad returns\n"
        "ways: .quad branches_loop, leaves\n"
        ".text\n");

static void tick(int signal, siginfo_t *info, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    unsigned long pc = r[REG_RIP], value = r[REG_RCX];
    if (pc < (unsigned long)branches_loop || pc >= (unsigned long)leaves) return;
    wrong += value != ~(unsigned long)r[REG_R11] || (value != (unsigned long)VALUE && value != ~(unsigned long)VALUE);
    wrong += (r[REG_EFL] & DEFINED) != EXPECTED;
    wrong += r[REG_RBX] < r[REG_RSP] || r[REG_RBX] - r[REG_RSP] > 64;
    done = ++inside >= ENOUGH;
}

int main(void) {
    struct sigaction action = {.sa_sigaction = tick, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN, &action, NULL);
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
    struct itimerspec often = {{0, 23000}, {0, 23000}}, never = {0};
    timer_create(CLOCK_MONOTONIC, &event, &timer);
    timer_settime(timer, 0, &often, NULL);
    branches();
    timer_settime(timer, 0, &never, NULL);
    SHOW(inside >= ENOUGH);
    SHOW(wrong);
    return wrong != 0;
}
