// Traps and the state that they find, one way at a time: each piece of code runs on a page of its own at a
// fixed place, and every signal that it raises is printed with where it was raised and with what.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#define CODE 0x30000000UL
#define DATA 0x31000000UL
#define STACK 0x32000000UL
// CF PF AF ZF SF TF IF DF OF NT RF AC
#define SEEN 0x54fd5UL
#define TF 0x100UL

typedef struct {
    uint64_t rax, rcx, rdx, rbx, rsi, rdi, r11, rsp;
} registers;

static sigjmp_buf out;
static int budget;
static uint64_t clear_after;

static void line(const char *what, greg_t *r, siginfo_t *i) {
    uint64_t rip = r[REG_RIP];
    char at[32];
    if (rip >= CODE && rip < CODE + 4096) snprintf(at, sizeof at, "+%llu", (unsigned long long)(rip - CODE));
    else snprintf(at, sizeof at, "%s", rip >> 47 ? "beyond" : "elsewhere");
    uint64_t address = i->si_code > 0 && i->si_code < 0x80 ? (uint64_t)i->si_addr : 0;
    if (i->si_signo == SIGTRAP && address == rip) address = 1;
    printf("  %s %s code %d addr %llx trap %llu error %llx at %s", what, strsignal(i->si_signo), i->si_code, (unsigned long long)address,
           (unsigned long long)r[REG_TRAPNO], (unsigned long long)(r[REG_TRAPNO] == 1 ? 0 : r[REG_ERR]), at);
    int inside = rip >= CODE && rip < CODE + 4096;
    // Between two iterations processors differ in the flags.
    if (inside && i->si_code == TRAP_TRACE && strchr("\xf2\xf3\x67", *(char *)rip)) printf(" repeating");
    else printf(" flags %llx", (unsigned long long)(r[REG_EFL] & SEEN));
    if (inside)
        printf(" rax %llx rcx %llx rdi %llx rsp %lld", (unsigned long long)r[REG_RAX], (unsigned long long)r[REG_RCX],
               (unsigned long long)(r[REG_RDI] == getpid() ? 0 : r[REG_RDI]), (long long)(r[REG_RSP] - (greg_t)(STACK + 2048)));
    printf("\n");
}

// A handler begins with the interrupted AC.
static void clear_ac(void) { __asm__ volatile("pushfq\n andq $0xfffffffffffbffff, (%%rsp)\n popfq" ::: "cc", "memory"); }

static void handler(int signal, siginfo_t *i, void *context) {
    clear_ac();
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    line("signal", r, i);
    // Steps go on, the rest ends the piece.
    if (signal == SIGTRAP && --budget > 0 && ((uint64_t)r[REG_RIP] >= CODE && (uint64_t)r[REG_RIP] < CODE + 4096)) {
        if (clear_after && (uint64_t)r[REG_RIP] == CODE + clear_after) r[REG_EFL] &= ~TF;
        return;
    }
    r[REG_EFL] &= ~TF;
    __asm__ volatile("pushfq\n andq $0xfffffffffffbbfff, (%%rsp)\n popfq" ::: "cc", "memory");
    siglongjmp(out, 1);
}

// Runs code with these registers on a stack of its own; prints what comes of it.
static void run(const char *name, const void *code, size_t length, registers in) {
    unsigned char *at = (unsigned char *)CODE;
    uint64_t *stack = (uint64_t *)(STACK + 2048);
    uint64_t flags;
    printf("%s\n", name);
    memset(at, 0xcc, 4096);
    memcpy(at, code, length);
    // jmp [rip]: to where `run` goes on.
    memcpy(at + length, "\xff\x25\x00\x00\x00\x00", 6);
    budget = 40;
    if (sigsetjmp(out, 1)) return;
    in.rsp = (uint64_t)stack;
    register registers *p __asm__("r8") = &in;
    register uint64_t back __asm__("r9") = CODE + length + 6;
    register uint64_t start __asm__("r10") = CODE;
    __asm__ volatile(
        "push %%rbp\n mov %%rsp, %%rbp\n lea 1f(%%rip), %%rax\n mov %%rax, (%%r9)\n"
        "mov (%%r8), %%rax\n mov 8(%%r8), %%rcx\n mov 16(%%r8), %%rdx\n mov 24(%%r8), %%rbx\n mov 32(%%r8), %%rsi\n mov 40(%%r8), %%rdi\n"
        "mov 48(%%r8), %%r11\n mov 56(%%r8), %%rsp\n jmp *%%r10\n"
        "1: xchg %%rbp, %%rsp\n pushfq\n andq $0xfffffffffffbbeff, (%%rsp)\n popfq\n pushfq\n pop %%r10\n"
        "mov %%rax, (%%r8)\n mov %%rcx, 8(%%r8)\n mov %%rdx, 16(%%r8)\n mov %%rbx, 24(%%r8)\n mov %%rsi, 32(%%r8)\n mov %%rdi, 40(%%r8)\n"
        "mov %%r11, 48(%%r8)\n mov %%rbp, 56(%%r8)\n pop %%rbp\n cld"
        : "+r"(p), "+r"(back), "+r"(start)::"rax", "rcx", "rdx", "rbx", "rsi", "rdi", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    flags = start;
    printf("  done rax %llx rcx %llx rdx %llx rbx %llx rsi %llx rdi %llx r11 %llx rsp %lld flags %llx\n", (unsigned long long)in.rax,
           (unsigned long long)in.rcx, (unsigned long long)in.rdx, (unsigned long long)in.rbx, (unsigned long long)in.rsi,
           (unsigned long long)in.rdi, (unsigned long long)(in.r11 & 0xffffffff), (long long)(in.rsp - (uint64_t)stack),
           (unsigned long long)(flags & SEEN));
}

#define RUN(name, code, ...) run(name, code, sizeof(code) - 1, (registers){__VA_ARGS__})
// pushfq; or dword [rsp], 0x100; popfq
#define SET_TF "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d"
// pushfq; and dword [rsp], ~0x100; popfq
#define CLEAR_TF "\x9c\x81\x24\x24\xff\xfe\xff\xff\x9d"

static void single_step(void) {
    RUN("nops", SET_TF "\x90\x90\x90" CLEAR_TF "\x90");
    RUN("branches", SET_TF "\xeb\x00\x74\x00\x75\x00\xe8\x01\x00\x00\x00\x90\x58" CLEAR_TF);
    RUN("call and ret", SET_TF "\xe8\x02\x00\x00\x00\xeb\x01\xc3" CLEAR_TF);
    // lea rax, [rip+2]; jmp rax
    RUN("indirect", SET_TF "\x48\x8d\x05\x02\x00\x00\x00\xff\xe0" CLEAR_TF);
    RUN("rep stosb", SET_TF "\xf3\xaa" CLEAR_TF, .rcx = 3, .rdi = DATA, .rax = 7);
    RUN("rep stosb, none", SET_TF "\xf3\xaa" CLEAR_TF, .rcx = 0, .rdi = DATA, .rax = 7);
    RUN("rep stosb ecx", SET_TF "\x67\xf3\xaa" CLEAR_TF, .rcx = 0x100000002, .rdi = DATA, .rax = 7);
    memset((void *)DATA, 1, 4096);
    memset((void *)DATA + 2, 2, 1);
    RUN("repe scasb", SET_TF "\xf3\xae" CLEAR_TF, .rcx = 9, .rdi = DATA, .rax = 1);
    RUN("repne scasb", SET_TF "\xf2\xae" CLEAR_TF, .rcx = 9, .rdi = DATA, .rax = 2);
    RUN("repe cmpsb to the end", SET_TF "\xf3\xa6" CLEAR_TF, .rcx = 2, .rdi = DATA, .rsi = DATA + 8);
    RUN("rep movsb into a missing page", SET_TF "\xf3\xa4" CLEAR_TF, .rcx = 4, .rdi = DATA + 4094, .rsi = DATA);
    // mov eax, 102 (getuid has no effect): getppid is 110, getpid 39: use 102 with the result thrown away
    RUN("syscall", SET_TF "\xb8\xff\xff\x00\x00\x0f\x05\x90\x90" CLEAR_TF);
    // The highest leaf with a serial number, which no processor has any more.
    RUN("cpuid", SET_TF "\xb8\x03\x00\x00\x00\x0f\xa2" CLEAR_TF);
    RUN("int3", SET_TF "\xcc\x90" CLEAR_TF);
    RUN("int1", SET_TF "\xf1\x90" CLEAR_TF);
    RUN("ud2", SET_TF "\x0f\x0b" CLEAR_TF);
    RUN("popfq that clears", SET_TF CLEAR_TF "\x90\x90");
    RUN("pushfq shows it", SET_TF "\x9c\x58" CLEAR_TF);
    // mov ss, ecx; nop
    RUN("mov ss", SET_TF "\x8e\xd1\x90\x90" CLEAR_TF, .rcx = 0x2b);
    RUN("mov ds", SET_TF "\x8e\xd9\x90\x90" CLEAR_TF, .rcx = 0x2b);
    RUN("loop", SET_TF "\xe2\xfe" CLEAR_TF, .rcx = 3);
    RUN("a store into what comes next", SET_TF "\xc6\x05\x01\x00\x00\x00\x05\xb0\x01" CLEAR_TF);
    RUN("load from a missing page", SET_TF "\x8a\x07" CLEAR_TF, .rdi = 0x1000);
    RUN("fnstenv", SET_TF "\xd9\x37" CLEAR_TF, .rdi = DATA);
    RUN("mov gs", SET_TF "\x8e\xe9\x90" CLEAR_TF);
    RUN("16-bit popf", "\x66\x9c\x66\x81\x0c\x24\x00\x01\x66\x9d\x90\x90" CLEAR_TF);
    clear_after = 10;
    RUN("the handler clears it", SET_TF "\x90\x90\x90");
    clear_after = 0;
}

static void set_at_return(int signal, siginfo_t *i, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    r[REG_EFL] |= TF;
    line("set", r, i);
}

static void sigreturn_sets(void) {
    struct sigaction a = {.sa_sigaction = set_at_return, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
    sigaction(SIGSYS, &a, 0);
    // tgkill: mov eax, 234; syscall
    RUN("by sigreturn from a system call", "\xb8\xea\x00\x00\x00\x0f\x05\x90\x90\x45\x31\xdb\x31\xf6\x31\xff" CLEAR_TF, .rdi = getpid(),
        .rsi = getpid(), .rdx = SIGSYS);
}

static void flags(void) {
    // push rax; popfq; pushfq; pop rax
    RUN("NT stays", "\x50\x9d\x9c\x58\x31\xc9\x51\x9d", .rax = 0x4202);
    RUN("NT stays over a syscall", "\x50\x9d\xb8\xff\xff\x00\x00\x0f\x05\x9c\x58\x31\xc9\x51\x9d", .rax = 0x4202);
    RUN("NT in a frame", "\x50\x9d\x0f\x0b", .rax = 0x4202);
    RUN("NT and iretq", "\x50\x9d\x48\xcf", .rax = 0x4202);
    RUN("RF is not set by popf", "\x50\x9d\x9c\x58\x31\xc9\x51\x9d", .rax = 0x10202);
    RUN("RF in a frame of ud2", "\x0f\x0b");
    RUN("RF in a frame of a page fault", "\x8a\x07", .rdi = 0x1000);
    RUN("RF in a frame of div", "\xf7\xf1");
    RUN("RF in a frame of hlt", "\xf4");
    RUN("RF in a frame of int3", "\xcc");
    RUN("RF in a frame of int1", "\xf1");
    RUN("RF in a frame of int 0x42", "\xcd\x42");
    RUN("RF in a frame of a fetch", "\xff\xe7", .rdi = 0x1000);
    RUN("RF in a frame of mov ds", "\x8e\xd9", .rcx = 0x1234);
    RUN("RF in a frame of a popfq without a stack", "\x9d\x9d", .rcx = 0x1234);
    RUN("AC stays", "\x50\x9d\x9c\x58\x31\xc9\x51\x9d", .rax = 0x40202);
    RUN("AC faults", "\x50\x9d\x8b\x47\x01", .rax = 0x40202, .rdi = DATA);
    RUN("AC and calls", "\x50\x9d\xe8\x01\x00\x00\x00\xcc\x58\x31\xc9\x51\x9d", .rax = 0x40202, .rdi = DATA);
}

static void set_ac(int signal, siginfo_t *i, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    line("set", r, i);
    r[REG_EFL] |= 0x40000;
    r[REG_EFL] |= 0x4000;
}

static void sigreturn_flags(void) {
    struct sigaction a = {.sa_sigaction = set_ac, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
    sigaction(SIGTRAP, &a, &old);
    RUN("AC by sigreturn", "\xcc\x9c\x58\x31\xc9\x51\x9d");
    RUN("AC by sigreturn faults", "\xcc\x8b\x47\x01", .rdi = DATA);
    sigaction(SIGTRAP, &old, 0);
}

static void vsyscall(void) {
    // mov rax, imm64; call rax
    RUN("gettimeofday", "\xff\xd0\x31\xd2", .rax = 0xffffffffff600000, .rdi = DATA);
    printf("  %s\n", llabs(*(long *)DATA - time(0)) < 3 ? "now" : "another time");
    RUN("time", "\xff\xd0\x31\xc0", .rax = 0xffffffffff600400, .rdi = DATA + 64);
    printf("  %s\n", llabs(*(long *)(DATA + 64) - time(0)) < 3 ? "now" : "another time");
    RUN("getcpu", "\xff\xd0", .rax = 0xffffffffff600800, .rdi = 0, .rsi = 0);
    RUN("a bad pointer", "\xff\xd0", .rax = 0xffffffffff600000, .rdi = 0x1000);
    RUN("beside", "\xff\xd0", .rax = 0xffffffffff600010);
    RUN("jump", "\xff\xe0", .rax = 0xffffffffff600400);
    RUN("read", "\x8a\x00", .rax = 0xffffffffff600400);
}

static void gs(void) {
    static const char text[] = "the quick brown fox";
    syscall(SYS_arch_prctl, 0x1001, DATA);
    memset((void *)DATA, 0, 4096);
    memcpy((void *)DATA + 16, text, sizeof text);
    RUN("gs movsb", "\x65\xa4", .rsi = 16, .rdi = DATA + 256);
    RUN("gs rep movsb", "\xf3\x65\xa4", .rsi = 16, .rdi = DATA + 256, .rcx = 7);
    printf("  %s\n", (char *)DATA + 256);
    RUN("gs lodsd", "\x65\xad", .rsi = 17);
    RUN("gs cmpsb", "\xf3\x65\xa6", .rsi = 16, .rdi = DATA + 256, .rcx = 20);
    RUN("gs xlat", "\x65\xd7", .rbx = 16, .rax = 5);
    RUN("gs stosb", "\x65\xaa", .rax = 5, .rdi = DATA + 100);
    RUN("gs movsb that faults", "\x65\xa4", .rsi = 0x1000, .rdi = DATA + 256);
    RUN("gs esi", "\x67\x65\xac", .rsi = 0x500000010);
    RUN("gs rep faults half way", "\xf3\x65\xa4", .rsi = 4090, .rdi = DATA + 256, .rcx = 12);
    // pcmpeqd xmm1, xmm1; movd xmm0, eax; gs maskmovdqu xmm0, xmm1
    RUN("gs maskmovdqu", "\x66\x0f\x76\xc9\x66\x0f\x6e\xc0\x65\x66\x0f\xf7\xc1", .rax = 0x64636261, .rdi = 512);
    printf("  %s\n", (char *)DATA + 512);
    // pxor xmm0, xmm0; pcmpeqd xmm2, xmm2; vpgatherdd xmm1, gs:[rdi + xmm0 * 4], xmm2; vmovd eax, xmm1
    if (__builtin_cpu_supports("avx2")) {
        RUN("gs gather", "\x66\x0f\xef\xc0\x66\x0f\x76\xd2\x65\xc4\xe2\x69\x90\x0c\x87\xc5\xf9\x7e\xc8", .rdi = 16);
        RUN("gs gather at a displacement",
            "\x66\x0f\xef\xc0\x66\x0f\x76\xd2\x65\xc4\xe2\x69\x90\x0c\x85\x11\x00\x00\x00\xc5\xf9\x7e\xc8", .rdi = 16);
        RUN("gs gather that faults", "\x66\x0f\xef\xc0\x66\x0f\x76\xd2\x65\xc4\xe2\x69\x90\x0c\x87\xc5\xf9\x7e\xc8", .rdi = 0x1000);
    }
    // jmp fs:[rip + 0] needs an fs base; call gs:[rdi]
    *(uint64_t *)(DATA + 64) = CODE + 5;
    RUN("gs call", "\x65\xff\x17\x90\x90\x58\x31\xc0", .rdi = 64);
    RUN("gs selectors", "\x8e\xe9\x8c\xe8\x31\xc9\x8e\xe9", .rcx = 0x2b, .rax = 0);
    RUN("gs selectors", "\x8e\xe9\x8c\xe8\x31\xc9\x8e\xe9", .rcx = 0x33, .rax = 0);
    RUN("gs selectors", "\x8e\xe9\x8c\xe8\x31\xc9\x8e\xe9", .rcx = 0x28, .rax = 0);
    RUN("gs selectors", "\x8e\xe9\x8c\xe8\x31\xc9\x8e\xe9", .rcx = 0x23, .rax = 0);
    RUN("gs selectors", "\x8e\xe9\x8c\xe8\x31\xc9\x8e\xe9", .rcx = 3, .rax = 0);
    RUN("gs selectors", "\x8e\xe9\x8c\xe8\x31\xc9\x8e\xe9", .rcx = 0x10, .rax = 0);
    RUN("gs selectors", "\x8e\xe9\x8c\xe8\x31\xc9\x8e\xe9", .rcx = 0x7b, .rax = 0);
    RUN("push gs", "\x8e\xe9\x0f\xa8\x58\x31\xc9\x8e\xe9", .rcx = 0x2b, .rax = 0);
}

static void encodings(void) {
    RUN("two REX", "\x41\x48\x89\xc8", .rcx = 0x123456789abc);
    RUN("REX before a prefix", "\x48\x66\x89\xc8", .rcx = 0x123456789abc);
    RUN("three REX", "\x48\x41\x40\x89\xc8", .rcx = 0x123456789abc);
    RUN("REX before an escape", "\x4c\x48\x0f\xaf\xc1", .rcx = 0x12345678, .rax = 0x100000000);
    RUN("REX before VEX", "\x48\xc5\xf8\x77");
    RUN("15 bytes", "\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x90");
    RUN("15 bytes of 66", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x89\xc8", .rcx = 0x123456789abc);
    RUN("15 bytes with REX", "\x48\x48\x48\x48\x48\x48\x48\x48\x48\x48\x48\x48\x48\x89\xc8", .rcx = 0x123456789abc);
    RUN("16 bytes", "\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x3e\x90");
    RUN("16 bytes with an immediate", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\xc7\xc0\x01\x00", .rcx = 1);
    RUN("20 bytes", "\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90", .rcx = 1);
    RUN("LOCK on a wrong opcode", "\xf0\x90");
    RUN("int 0x80 is not tried here", "\x90");
}

// Where the processor has been is lost in rxbox when a branch finds nothing: how it ends is all that is told.
static void ended(int signal, siginfo_t *i, void *context) {
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    clear_ac();
    printf("  %s code %d addr %llx trap %llu error %llx\n", strsignal(signal), i->si_code, (unsigned long long)(uint64_t)i->si_addr,
           (unsigned long long)r[REG_TRAPNO], (unsigned long long)r[REG_ERR]);
    siglongjmp(out, 1);
}

static void wild_targets(void) {
    struct sigaction a = {.sa_sigaction = ended, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER}, old;
    sigaction(SIGSEGV, &a, &old);
    static const uint64_t beyond[] = {0x0000800000000000, 0xffff7fffffffffff, 0x4141414141414141, 0x8000000000000000};
    for (size_t i = 0; i < 4; i++) {
        RUN("jmp rdi", "\x90\xff\xe7", .rdi = beyond[i]);
        RUN("call rdi", "\x90\xff\xd7", .rdi = beyond[i]);
        RUN("push rdi; ret", "\x57\x90\xc3", .rdi = beyond[i]);
        RUN("push rdi; ret 8", "\x57\x90\xc2\x08\x00", .rdi = beyond[i]);
        *(uint64_t *)DATA = beyond[i];
        RUN("jmp [rcx]", "\x90\xff\x21", .rcx = DATA);
        RUN("call [rcx]", "\x90\xff\x11", .rcx = DATA);
    }
    sigaction(SIGSEGV, &old, 0);
}

static void targets(void) {
    // A single step finds the branch, too.
    RUN("jmp rdi", SET_TF "\xff\xe7", .rdi = 0x4141414141414141);
    RUN("call rdi", SET_TF "\xff\xd7", .rdi = 0x4141414141414141);
    RUN("ret", "\x57" SET_TF "\xc3", .rdi = 0x4141414141414141);
    RUN("the kernel's half", "\xff\xe7", .rdi = 0xffffffff80000000);
    RUN("the last page of user space", "\xff\xe7", .rdi = 0x7ffffffff000);
    RUN("load", "\x8a\x07", .rdi = 0x0000800000000000);
    RUN("load by rsp", "\x48\x89\xfc\x8a\x04\x24", .rdi = 0x0000800000000000);
    RUN("push", "\x48\x89\xfc\x50", .rdi = 0x0000800000000000);
    RUN("popfq", "\x48\x89\xfc\x9d", .rdi = 0x0000800000000000);
    RUN("popfq of a missing page", "\x48\x89\xfc\x9d", .rdi = 0x1000);
    RUN("popfq of the kernel's half", "\x48\x89\xfc\x9d", .rdi = 0xffffffff80000000);
    RUN("mov gs from a missing page", "\x8e\x2f", .rdi = 0x1000);
    RUN("mov gs to a missing page", "\x8c\x2f", .rdi = 0x1000);
    *(volatile char *)(CODE + 4096);
    RUN("mov gs to a page that may not be written", "\x8c\x2f", .rdi = CODE + 4096);
    RUN("mov gs over the end", "\x8c\x2f", .rdi = DATA + 4095);
    RUN("push gs to a missing page", "\x48\x89\xfc\x0f\xa8", .rdi = 0x1000);
    RUN("wrgsbase", "\xf3\x48\x0f\xae\xdf", .rdi = 0x0000800000000000);
}

static void far(void) {
    struct { uint32_t offset; uint16_t selector; } __attribute__((packed)) *p = (void *)DATA;
    static const uint16_t selectors[] = {0x33, 0x30, 0x32, 0x2b, 0, 3, 0x10, 0x1234, 0x7b};
    for (size_t i = 0; i < sizeof selectors / sizeof *selectors; i++) {
        printf("selector %x\n", selectors[i]);
        p->offset = CODE + 4, p->selector = selectors[i];
        RUN("jmp far [rdi]", "\xff\x2f\x0f\x0b\x90", .rdi = DATA);
        p->offset = CODE + 4;
        RUN("call far [rdi]", "\xff\x1f\x0f\x0b\x58\x5a", .rdi = DATA);
        // push rcx; push imm; retf
        RUN("retf", "\x51\x57\x48\xcb\x90\x90", .rcx = selectors[i], .rdi = CODE + 5);
        // 32-bit retf: the two pushed as one
        RUN("retf, 32 bits", "\x51\xcb\x90\x90\x90", .rcx = (uint64_t)selectors[i] << 32 | (CODE + 3), .rdi = CODE + 5);
        RUN("retf 16", "\x50\x50\x51\x57\x48\xca\x10\x00\x90", .rcx = selectors[i], .rdi = CODE + 8);
        // iretq: ss rsp flags cs rip
        RUN("iretq", "\x6a\x2b\xff\x74\x24\xf8\x48\x89\xe0\x50\x9c\x51\x57\x48\xcf\x90", .rcx = selectors[i], .rdi = CODE + 15);
        // with the selector as ss
        RUN("iretq ss", "\x51\x48\x89\xe0\x50\x9c\x6a\x33\x57\x48\xcf\x90", .rcx = selectors[i], .rdi = CODE + 11);
        p->offset = 0x12345678;
        RUN("lss eax", "\x0f\xb2\x07", .rdi = DATA, .rax = ~0ul);
        RUN("lgs eax", "\x0f\xb5\x07\x8c\xe9\x31\xd2\x8e\xea", .rdi = DATA, .rax = ~0ul);
        RUN("lgs ax", "\x66\x0f\xb5\x07\x8c\xe9\x31\xd2\x8e\xea", .rdi = DATA - 2 + 2, .rax = ~0ul);
    }
    p->selector = 0x33;
    p->offset = 0x1000;
    RUN("jmp far to a missing page", "\xff\x2f", .rdi = DATA);
    RUN("jmp far of a missing page", "\xff\x2f", .rdi = 0x1000);
    // iretq with flags: TF takes effect after the next instruction
    RUN("iretq sets TF", "\x6a\x2b\x48\x89\xe0\x50\x68\x02\x03\x00\x00\x51\x57\x48\xcf\x90\x90\x90" CLEAR_TF, .rcx = 0x33, .rdi = CODE + 15);
}

static void prefixes(void) {
    // jmp, jcc, loop over a mov with prefixes
    static const unsigned char prefix[] = {0xf2, 0xf3, 0x3e, 0x2e, 0x66};
    for (size_t i = 0; i < sizeof prefix; i++)
        for (int opcode = 0xe0; opcode <= 0xe3; opcode++)
            for (int zero = 0; zero < 2; zero++)
                for (int count = 1; count < 3; count++) {
                    if (prefix[i] == 0x66) continue;
                    unsigned char code[] = {0x38, 0xc3, prefix[i], opcode, 2, 0xb1, 9};
                    char name[64];
                    snprintf(name, sizeof name, "%x %x equal %d count %d", prefix[i], opcode, zero, count);
                    run(name, code, sizeof code, (registers){.rax = 1, .rbx = zero, .rcx = count});
                }
    RUN("66 jmp", "\x66\xeb\x02\xb1\x09\x90");
    RUN("66 jmp near", "\x66\xe9\x02\x00\x00\x00\xb1\x09\x90");
    RUN("66 jz", "\x66\x74\x02\xb1\x09\x90");
    RUN("66 jz near", "\x66\x0f\x84\x02\x00\x00\x00\xb1\x09\x90");
    RUN("66 loop", "\x66\xe2\x02\xb1\x09\x90", .rcx = 5);
    RUN("66 call", "\x66\xe8\x02\x00\x00\x00\xb1\x09\x58\x90");
    RUN("66 ret", "\x57\x66\xc3\xb1\x09\x90", .rdi = CODE + 5);
    RUN("66 jmp rdi", "\x66\xff\xe7\xb1\x09\x90", .rdi = CODE + 5);
    RUN("66 call rdi", "\x66\xff\xd7\xb1\x09\x58", .rdi = CODE + 5);
    RUN("66 REX.W jmp near", "\x66\x48\xe9\x02\x00\x00\x00\xb1\x09\x90");
    RUN("REX.W call", "\x66\x66\x48\xe8\x02\x00\x00\x00\xb1\x09\x58");
}

static void system_call(void) {
    RUN("the upper half of rax", "\x0f\x05\x31\xc9\x45\x31\xdb", .rax = 0x700000000 | SYS_sched_yield);
    RUN("the upper half of rax, negative", "\x0f\x05\x31\xc9\x45\x31\xdb", .rax = 0xffffffff00000000 | SYS_sched_yield);
    RUN("minus one", "\x0f\x05\x31\xc9\x45\x31\xdb", .rax = ~0ul);
    RUN("x32", "\x0f\x05\x31\xc9\x45\x31\xdb", .rax = 0x40000000 | SYS_sched_yield);
    RUN("none", "\x0f\x05\x31\xc9\x45\x31\xdb", .rax = 9999);
}

static void x87(void) {
    // fninit; fld1; fnstenv [rdi]; mov eax, [rdi + 12]; mov ecx, [rdi + 20]
    RUN("fnstenv", "\xdb\xe3\xd9\xe8\xd9\x37\x8b\x47\x0c\x8b\x4f\x14", .rdi = DATA);
    // fninit; fild word [rsi]; fnstenv
    RUN("fnstenv after a load", "\xdb\xe3\xdf\x06\xd9\x37\x8b\x47\x0c\x8b\x4f\x14", .rdi = DATA, .rsi = DATA + 512);
    RUN("fnsave after a load", "\xdb\xe3\xdf\x06\xdd\x37\x8b\x47\x0c\x8b\x4f\x14", .rdi = DATA, .rsi = DATA + 512);
    RUN("fxsave64 after a load", "\xdb\xe3\xdf\x06\x48\x0f\xae\x07\x8b\x47\x08\x8b\x4f\x10", .rdi = DATA, .rsi = DATA + 512);
    RUN("fxsave after a load", "\xdb\xe3\xdf\x06\x0f\xae\x07\x8b\x47\x08\x8b\x4f\x10", .rdi = DATA, .rsi = DATA + 512);
    RUN("xsave64 after a load", "\xdb\xe3\xdf\x06\xb8\x07\x00\x00\x00\x31\xd2\x48\x0f\xae\x27\x8b\x47\x08\x8b\x4f\x10\x31\xf6", .rdi = DATA,
        .rsi = DATA + 512);
    // The pointer survives a system call and a signal
    RUN("over a system call", "\xdb\xe3\xdf\x06\xb8\xff\xff\x00\x00\x0f\x05\xd9\x37\x8b\x47\x0c\x8b\x4f\x14\x45\x31\xdb", .rdi = DATA,
        .rsi = DATA + 512);
    RUN("16 bits", "\xdb\xe3\xdf\x06\x66\xd9\x37\x8b\x47\x06\x8b\x4f\x0a", .rdi = DATA, .rsi = DATA + 512);
    // A page fault in between, and a later block: jmp +0
    RUN("from another block", "\xdb\xe3\xdf\x06\xeb\x00\xd9\x37\x8b\x47\x0c\x8b\x4f\x14", .rdi = DATA, .rsi = DATA + 512);
    // fldenv of one's own pointer, then fnstenv
    *(uint32_t *)(DATA + 1024 + 12) = 0x12345678;
    *(uint32_t *)(DATA + 1024) = 0x37f, *(uint32_t *)(DATA + 1024 + 4) = 0, *(uint32_t *)(DATA + 1024 + 8) = 0xffff;
    RUN("as loaded", "\xd9\x26\xd9\x37\x8b\x47\x0c\x31\xf6", .rdi = DATA, .rsi = DATA + 1024);
}

static void fpu_in_frame(int signal, siginfo_t *i, void *context) {
    ucontext_t *u = context;
    line("frame", u->uc_mcontext.gregs, i);
    printf("  x87 rip %llx data %llx\n", (unsigned long long)u->uc_mcontext.fpregs->rip, (unsigned long long)u->uc_mcontext.fpregs->rdp);
}

static void x87_frame(void) {
    struct sigaction a = {.sa_sigaction = fpu_in_frame, .sa_flags = SA_SIGINFO | SA_ONSTACK}, old;
    sigaction(SIGTRAP, &a, &old);
    RUN("in a frame", "\xdb\xe3\xdf\x06\xcc\xd9\x37\x8b\x47\x0c\x8b\x4f\x14", .rdi = DATA, .rsi = DATA + 512);
    sigaction(SIGTRAP, &old, 0);
}

#define WAY(name) {#name, name}
static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {WAY(single_step), WAY(sigreturn_sets), WAY(flags), WAY(sigreturn_flags), WAY(vsyscall), WAY(gs), WAY(encodings), WAY(targets), WAY(wild_targets),
            WAY(far), WAY(prefixes), WAY(system_call), WAY(x87), WAY(x87_frame)};

int main(int argc, char **argv) {
    static char stack[65536];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction a = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    int all[] = {SIGTRAP, SIGSEGV, SIGILL, SIGBUS, SIGFPE};
    sigaltstack(&alternate, 0);
    for (size_t i = 0; i < 5; i++) sigaction(all[i], &a, 0);
    setvbuf(stdout, 0, getenv("U") ? _IOLBF : _IOFBF, 1 << 20);
    mmap((void *)CODE, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap((void *)CODE + 4096, 4096, 1, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap((void *)DATA, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    mmap((void *)STACK, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (argc > 1 && !strcmp(argv[1], ways[i].name)) {
            ways[i].run();
            return 0;
        }
    return 2;
}
