// Faults: signal, code, address, trap number, error code and program counter of each, and a handler that repairs them.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

static sigjmp_buf jump;
static siginfo_t info;
static greg_t regs[NGREG];

static void record(int signal, siginfo_t *i, void *context) {
    (void)signal;
    info = *i;
    memcpy(regs, ((ucontext_t *)context)->uc_mcontext.gregs, sizeof regs);
    siglongjmp(jump, 1);
}

static void show(const char *what, uintptr_t addr, uintptr_t pc) {
    printf("%s: signal %d code %d addr %s trap %lld err %lld pc %s\n", what, info.si_signo, info.si_code,
           (uintptr_t)info.si_addr == addr ? "as expected" : "other", regs[REG_TRAPNO], regs[REG_ERR],
           (uintptr_t)regs[REG_RIP] == pc ? "as expected" : "other");
}

#define AT(name, ...) __asm__ volatile(".globl " #name "\n" #name ": " __VA_ARGS__)
extern char at_div[], at_ud2[], at_int3[], at_hlt[], at_load[], at_store[], at_canonical[], at_bus[], at_int80ish[];

static void skip_two(int signal, siginfo_t *i, void *context) {
    (void)signal;
    (void)i;
    ucontext_t *uc = context;
    uc->uc_mcontext.gregs[REG_RIP] += 2;
    uc->uc_mcontext.gregs[REG_R12] = 0x1122334455667788;
    uc->uc_mcontext.gregs[REG_EFL] |= 1;
}

static char *volatile window;
static long page;
static int opened;
static void open_page(int signal, siginfo_t *i, void *context) {
    (void)signal;
    (void)context;
    opened++;
    mprotect((void *)((uintptr_t)i->si_addr & -page), page, PROT_READ | PROT_WRITE);
}

int main(void) {
    page = sysconf(_SC_PAGESIZE);
    struct sigaction action = {.sa_sigaction = record, .sa_flags = SA_SIGINFO};
    int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP};
    for (int i = 0; i < 5; i++) sigaction(faults[i], &action, 0);
    char *none = mmap(0, page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *read_only = mmap(0, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *gone = mmap(0, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(gone, page);

    if (!sigsetjmp(jump, 1)) { register char *p __asm__("rbx") = gone + 8; __asm__ volatile(".globl at_load\nat_load: movb (%0), %%al" ::"r"(p) : "rax"); }
    show("load of unmapped", (uintptr_t)gone + 8, (uintptr_t)at_load);
    printf("cr2 %d rbx %d\n", regs[REG_CR2] == (greg_t)(gone + 8), regs[REG_RBX] == (greg_t)(gone + 8));
    if (!sigsetjmp(jump, 1)) (void)*(volatile char *)none;
    show("load of forbidden", (uintptr_t)none, regs[REG_RIP]);
    if (!sigsetjmp(jump, 1)) { register char *p __asm__("rbx") = read_only + 16; __asm__ volatile(".globl at_store\nat_store: movq $1, (%0)" ::"r"(p) : "memory"); }
    show("store to read-only", (uintptr_t)read_only + 16, (uintptr_t)at_store);
    // Where the emulator keeps room for itself nothing is mapped but the few MiB that it uses, somewhere.
    volatile int mapped = 0, told = 0;
    for (volatile uintptr_t at = 0x70000000; at < 0x7fff0000; at += 0x100000) {
        for (volatile int store = 0; store < 2; store++) {
            info.si_signo = 0;
            if (!sigsetjmp(jump, 1)) { if (store) *(volatile char *)at = 1; else (void)*(volatile char *)at; }
            if (!info.si_signo) { mapped++; break; }
            told += info.si_code == SEGV_MAPERR && (uintptr_t)info.si_addr == at && regs[REG_ERR] == 4 + 2 * store;
        }
    }
    printf("of what nobody has mapped few can be read: %d, and the rest is told as unmapped: %d\n", mapped < 16,
           told == 2 * (256 - mapped));
    if (!sigsetjmp(jump, 1)) *(volatile char *)8 = 1;
    show("store to null", 8, regs[REG_RIP]);
    if (!sigsetjmp(jump, 1)) { register uint64_t p __asm__("rbx") = 0x8000000000000000; AT(at_canonical, "movq (%%rbx), %%rax" ::"r"(p) : "rax"); }
    show("non-canonical", 0, (uintptr_t)at_canonical);
    if (!sigsetjmp(jump, 1)) ((void (*)(void))read_only)();
    show("execution of data", (uintptr_t)read_only, (uintptr_t)read_only);
    if (!sigsetjmp(jump, 1)) ((void (*)(void))gone)();
    show("execution of nothing", (uintptr_t)gone, (uintptr_t)gone);
    if (!sigsetjmp(jump, 1)) AT(at_div, "xorl %%ecx, %%ecx\nmovl $1, %%eax\ncltd\n1: idivl %%ecx" ::: "rax", "rcx", "rdx");
    show("division by zero", regs[REG_RIP], (uintptr_t)at_div + 8);
    if (!sigsetjmp(jump, 1)) AT(at_ud2, "ud2");
    show("ud2", (uintptr_t)at_ud2, (uintptr_t)at_ud2);
    if (!sigsetjmp(jump, 1)) AT(at_int3, "int3");
    show("int3", 0, (uintptr_t)at_int3 + 1);
    if (!sigsetjmp(jump, 1)) AT(at_hlt, "hlt");
    show("hlt", 0, (uintptr_t)at_hlt);
    if (!sigsetjmp(jump, 1)) AT(at_int80ish, "int $0x42");
    show("int 0x42", 0, (uintptr_t)at_int80ish);

    int fd = memfd_create("short", 0);
    char *file = mmap(0, 2 * page, PROT_READ, MAP_PRIVATE, fd, 0);
    if (file == MAP_FAILED) perror("mmap");
    if (!sigsetjmp(jump, 1)) (void)*(volatile char *)(file + 100);
    show("beyond the end of the file", (uintptr_t)file + 100, regs[REG_RIP]);

    // SSE exceptions unmasked.
    if (!sigsetjmp(jump, 1)) {
        unsigned csr = 0x1f80 & ~(1u << 9);
        volatile double zero = 0, one = 1;
        __asm__ volatile("ldmxcsr %0" ::"m"(csr));
        one = one / zero;
    }
    printf("SSE division: signal %d code %d trap %lld\n", info.si_signo, info.si_code, regs[REG_TRAPNO]);
    unsigned csr;
    __asm__ volatile("stmxcsr %0" : "=m"(csr));
    printf("mxcsr after a jump %#x\n", csr & 0xff80);

    // Repairs.
    struct sigaction repair = {.sa_sigaction = skip_two, .sa_flags = SA_SIGINFO};
    sigaction(SIGILL, &repair, 0);
    uint64_t r12 = 0;
    unsigned char carry = 0;
    __asm__ volatile("clc\nud2\nsetc %1\nmovq %%r12, %0" : "=r"(r12), "=r"(carry)::"r12", "cc");
    printf("repaired: r12 %llx carry %d\n", (unsigned long long)r12, carry);
    repair.sa_sigaction = open_page;
    sigaction(SIGSEGV, &repair, 0);
    window = mmap(0, 8 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 8; i++) window[i * page] = 'a' + i;
    for (int i = 0; i < 8; i++) putchar(window[i * page]);
    printf(" after %d faults\n", opened);
    memset(window, 0, 8 * page);
    mprotect(window, 8 * page, PROT_READ);
    opened = 0;
    __asm__ volatile("rep stosb" : : "D"(window), "c"(8 * page), "a"('x') : "memory");
    printf("rep stosb after %d faults, last %c\n", opened, window[8 * page - 1]);
    return 0;
}
