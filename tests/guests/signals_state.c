// Processor state over a handler: vector, x87 and flag registers are kept, a handler starts clean and may edit them.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

static volatile int edit;
static unsigned handler_csr;
static unsigned short handler_cw;
static unsigned long handler_flags;
static unsigned char handler_ymm[32];
static int avx;

__attribute__((target("avx"))) static void read_ymm(void) { __asm__ volatile("vmovdqu %%ymm5, %0" : "=m"(handler_ymm)); }
__attribute__((target("avx"))) static void spoil_ymm(void) { __asm__ volatile("vpcmpeqd %%xmm0,%%xmm0,%%xmm0\nvinsertf128 $1,%%xmm0,%%ymm0,%%ymm5\nvmovaps %%ymm5,%%ymm15" ::: "xmm0", "xmm5", "xmm15"); }

static void handler(int signal, siginfo_t *info, void *context) {
    (void)signal;
    (void)info;
    __asm__ volatile("stmxcsr %0\nfnstcw %1\npushfq\npopq %2" : "=m"(handler_csr), "=m"(handler_cw), "=r"(handler_flags));
    if (avx) {
        read_ymm();
        spoil_ymm();
    }
    volatile long double x = 3;
    for (int i = 0; i < 5; i++) x = x * x;
    ucontext_t *uc = context;
    if (edit) {
        uc->uc_mcontext.fpregs->_xmm[7].element[0] = 0xabcd1234;
        uc->uc_mcontext.gregs[REG_R13] = 99;
    }
}

__attribute__((target("avx"))) static void over_a_handler(const unsigned char *in, unsigned char *out, long pid, long tid) {
    // raise by hand, so that the C library does not touch the registers.
    __asm__ volatile(
        "vmovdqu (%1), %%ymm5\nvmovdqu 32(%1), %%ymm7\nvmovdqu (%1), %%ymm15\n"
        "movl %4, %%eax\nmovq %2, %%rdi\nmovq %3, %%rsi\nmovl $10, %%edx\nsyscall\n"
        "vmovdqu %%ymm5, (%0)\nvmovdqu %%ymm7, 32(%0)\nvmovdqu %%ymm15, 64(%0)\nvzeroupper"
        ::"r"(out), "r"(in), "r"(pid), "r"(tid), "i"(SYS_tgkill)
        : "rax", "rdi", "rsi", "rdx", "rcx", "r11", "memory", "xmm5", "xmm7", "xmm15");
}

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGUSR1, &action, 0);
    long pid = getpid(), tid = syscall(SYS_gettid);
    avx = __builtin_cpu_supports("avx");

    unsigned csr = 0x1fa0 | 3 << 13;
    unsigned short cw = 0x27f;
    __asm__ volatile("ldmxcsr %0\nfldcw %1" ::"m"(csr), "m"(cw));
    long double on_x87;
    __asm__ volatile("fldpi\nmovq %2, %%rdi\nmovq %3, %%rsi\nmovl $10, %%edx\nmovl %1, %%eax\nsyscall\nfstpt %0"
                     : "=m"(on_x87) : "i"(SYS_tgkill), "r"(pid), "r"(tid) : "rax", "rdi", "rsi", "rdx", "rcx", "r11", "memory");
    unsigned csr_after;
    unsigned short cw_after;
    __asm__ volatile("stmxcsr %0\nfnstcw %1" : "=m"(csr_after), "=m"(cw_after));
    printf("handler saw mxcsr %#x cw %#x df %lu\n", handler_csr, handler_cw, handler_flags >> 10 & 1);
    printf("after: mxcsr %d cw %#x pi %.15Lf\n", csr_after == csr, cw_after, on_x87);
    csr = 0x1f80;
    cw = 0x37f;
    __asm__ volatile("ldmxcsr %0\nfldcw %1" ::"m"(csr), "m"(cw));

    unsigned char in[64], out[96] = {0};
    for (int i = 0; i < 64; i++) in[i] = i * 3 + 1;
    if (avx) {
        over_a_handler(in, out, pid, tid);
        int zero = 1;
        for (int i = 0; i < 32; i++) zero &= handler_ymm[i] == 0;
        printf("ymm kept %d %d %d, clean in the handler %d\n", !memcmp(out, in, 32), !memcmp(out + 32, in + 32, 32),
               !memcmp(out + 64, in, 32), zero);
    } else {
        printf("ymm kept 1 1 1, clean in the handler 1\n");
    }

    edit = 1;
    uint64_t xmm = 0, r13 = 0, flags = 0;
    __asm__ volatile("pxor %%xmm7, %%xmm7\nmovl $7, %%r13d\nmovq %4, %%rdi\nmovq %5, %%rsi\nmovl $10, %%edx\nmovl %3, %%eax\nstd\nstc\nsyscall\n"
                     "pushfq\npopq %2\ncld\nmovq %%xmm7, %0\nmovq %%r13, %1"
                     : "=&r"(xmm), "=&r"(r13), "=&r"(flags) : "i"(SYS_tgkill), "r"(pid), "r"(tid)
                     : "rax", "rdi", "rsi", "rdx", "rcx", "r11", "r13", "memory", "xmm7", "cc");
    printf("edited xmm %llx r13 %llu, df %d cf %d, handler's df %lu\n", (unsigned long long)xmm, (unsigned long long)r13,
           (int)(flags >> 10 & 1), (int)(flags & 1), handler_flags >> 10 & 1);

    // The red zone below the stack pointer is the interrupted function's.
    uint64_t red = 0;
    edit = 0;
    __asm__ volatile("movq $0x5a5a, -128(%%rsp)\nmovq $0x1234, -8(%%rsp)\nmovq %2, %%rdi\nmovq %3, %%rsi\nmovl $10, %%edx\nmovl %1, %%eax\nsyscall\n"
                     "movq -128(%%rsp), %0\naddq -8(%%rsp), %0"
                     : "=&r"(red) : "i"(SYS_tgkill), "r"(pid), "r"(tid) : "rax", "rdi", "rsi", "rdx", "rcx", "r11", "memory");
    printf("red zone %llx\n", (unsigned long long)red);
    return 0;
}
