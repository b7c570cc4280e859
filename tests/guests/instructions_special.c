// Instructions whose results differ from run to run or between threads: what must hold of them, and their sums.
#define _GNU_SOURCE
#include <cpuid.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

static int failures;
static void check(const char *what, int holds) {
    if (!holds) failures++;
    printf("%s: %s\n", what, holds ? "yes" : "no");
}

static unsigned answer(unsigned leaf, unsigned subleaf, int which) {
    unsigned r[4];
    __cpuid_count(leaf, subleaf, r[0], r[1], r[2], r[3]);
    return r[which];
}

static uint64_t xgetbv(unsigned n) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(n));
    return (uint64_t)high << 32 | low;
}

static uint64_t rdtsc(void) {
    unsigned low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

static uint64_t rdtscp(unsigned *cpu) {
    unsigned low, high;
    __asm__ volatile("rdtscp" : "=a"(low), "=d"(high), "=c"(*cpu));
    return (uint64_t)high << 32 | low;
}

static void processor(void) {
    int stable = 1;
    for (int i = 0; i < 100; i++)
        for (unsigned leaf = 0; leaf < 8; leaf++)
            for (int which = 0; which < 4; which++)
                // Leaf 1 ebx holds the number of the processor.
                if (leaf != 1 && leaf != 4) stable &= answer(leaf, 0, which) == answer(leaf, 0, which);
    check("cpuid is stable", stable);
    uint64_t xcr0 = xgetbv(0), offered = (uint64_t)answer(0xd, 0, 3) << 32 | answer(0xd, 0, 0);
    check("xcr0 is offered", (xcr0 & ~offered) == 0 && (xcr0 & 3) == 3);
    check("the save area holds what xcr0 has", answer(0xd, 0, 1) >= 576 + (xcr0 >> 2 & 1 ? 256u : 0) && answer(0xd, 0, 1) <= answer(0xd, 0, 2));
    check("AVX needs xcr0", !(answer(1, 0, 2) >> 28 & 1) || (xcr0 & 6) == 6);
    check("AVX-512 needs xcr0", !(answer(7, 0, 1) >> 16 & 1) || (xcr0 & 0xe6) == 0xe6);
    if (answer(0xd, 1, 0) & 4) check("in use is a part of xcr0", (xgetbv(1) & ~xcr0) == 0);
    else check("in use is a part of xcr0", 1);
    int ordered = 1, same = 0;
    uint64_t before = rdtsc();
    unsigned cpu;
    for (int i = 0; i < 10000; i++) {
        uint64_t now = i & 1 ? rdtscp(&cpu) : rdtsc();
        ordered &= now >= before;
        before = now;
    }
    check("the clock does not go back", ordered);
    int rdpid = answer(7, 0, 2) >> 22 & 1;
    // The thread may move between the two.
    for (int i = 0; i < 1000 && !same; i++) {
        uint64_t id = cpu;
        rdtscp(&cpu);
        if (rdpid) __asm__ volatile("rdpid %0" : "=r"(id));
        else id = cpu;
        same = id == cpu;
    }
    check("rdpid and rdtscp name the same processor", same);
}

// What rxbox does not carry, it does not show.
static void hidden(void) {
    check("RTM and HLE are hidden", !(answer(7, 0, 1) & (1u << 4 | 1u << 11)));
    check("PKU and CET are hidden", !(answer(7, 0, 2) & (1u << 3 | 1u << 4 | 1u << 7)) && !(answer(7, 0, 3) & 1u << 20));
    check("AMX, UINTR and WAITPKG are hidden", !(answer(7, 0, 3) & (1u << 5 | 1u << 22 | 1u << 24 | 1u << 25)) && !(answer(7, 0, 2) & 1u << 5));
    check("only carried state is in xcr0", (xgetbv(0) & ~0xe7ull) == 0 && xgetbv(0) == answer(0xd, 0, 0));
}

#define ROUNDS 200000
static volatile uint64_t counters[8] __attribute__((aligned(64)));
static unsigned __int128 wide __attribute__((aligned(16)));
static volatile int held;
static uint64_t guarded;

static void *count(void *argument) {
    (void)argument;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t one = 1, old, low, high;
        __asm__ volatile("lock incq %0" : "+m"(counters[0]));
        __asm__ volatile("lock xaddq %1, %0" : "+m"(counters[1]), "+r"(one));
        __asm__ volatile("lock addb $3, %0" : "+m"(*(volatile char *)&counters[2]));
        old = counters[3];
        __asm__ volatile("1: leaq 7(%%rax), %%rdx\nlock cmpxchgq %%rdx, %0\njne 1b" : "+m"(counters[3]), "+a"(old)::"rdx", "cc");
        __asm__ volatile("lock btcq %1, %0" : "+m"(counters[4]) : "r"((uint64_t)i & 63));
        low = (uint64_t)wide;
        high = wide >> 64;
        __asm__ volatile("1: leaq 1(%%rax), %%rbx\nmovq %%rdx, %%rcx\naddq $5, %%rcx\nlock cmpxchg16b %0\njne 1b"
                         : "+m"(wide), "+a"(low), "+d"(high)::"rbx", "rcx", "cc");
        int taken;
        do {
            taken = 1;
            __asm__ volatile("xchgl %0, %1" : "+r"(taken), "+m"(held)::"memory");
        } while (taken);
        guarded++;
        held = 0;
    }
    return 0;
}

static void atomics(void) {
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, count, 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
    printf("counted %llu %llu %llu %llu %llx, %llu %llu, %llu\n", (unsigned long long)counters[0], (unsigned long long)counters[1],
           (unsigned long long)counters[2], (unsigned long long)counters[3], (unsigned long long)counters[4],
           (unsigned long long)(uint64_t)wide, (unsigned long long)(uint64_t)(wide >> 64), (unsigned long long)guarded);
}

static volatile int ticks;
static void tick(int signal) {
    (void)signal;
    ticks++;
}

static uint64_t sum(const unsigned char *p, size_t n) {
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < n; i += 61) h = (h ^ p[i]) * 1099511628211u;
    return h;
}

// Strings of many megabytes, which timer signals interrupt.
static void strings(void) {
    enum { SIZE = 24 << 20 };
    struct itimerval every = {{0, 500}, {0, 500}};
    signal(SIGALRM, tick);
    setitimer(ITIMER_REAL, &every, 0);
    unsigned char *a = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *b = mmap(0, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *di, *si;
    size_t n;
    for (size_t i = 0; i < SIZE; i++) a[i] = i * 2654435761u >> 24 | 1;
    di = b, si = a, n = SIZE;
    __asm__ volatile("rep movsb" : "+D"(di), "+S"(si), "+c"(n)::"memory");
    printf("rep movsb %llx left %zu\n", (unsigned long long)sum(b, SIZE), n);
    di = b + SIZE - 8, si = a + SIZE - 16, n = SIZE / 8 - 2;
    __asm__ volatile("std\nrep movsq\ncld" : "+D"(di), "+S"(si), "+c"(n)::"memory");
    printf("rep movsq down %llx at %td %td\n", (unsigned long long)sum(b, SIZE), (unsigned char *)di - b, (unsigned char *)si - a);
    b[SIZE - 5] = 0;
    di = b, n = SIZE;
    __asm__ volatile("repne scasb" : "+D"(di), "+c"(n) : "a"(0) : "memory", "cc");
    printf("repne scasb at %td left %zu\n", (unsigned char *)di - b, n);
    memcpy(b, a, SIZE);
    b[SIZE - 100] ^= 1;
    di = b, si = a, n = SIZE;
    __asm__ volatile("repe cmpsb" : "+D"(di), "+S"(si), "+c"(n)::"memory", "cc");
    printf("repe cmpsb at %td left %zu\n", (unsigned char *)di - b, n);
    di = a, n = SIZE / 4;
    __asm__ volatile("rep stosl" : "+D"(di), "+c"(n) : "a"(0x01020304) : "memory");
    printf("rep stosl %llx\n", (unsigned long long)sum(a, SIZE));
    memset(&every, 0, sizeof every);
    setitimer(ITIMER_REAL, &every, 0);
}

// The x87 instruction pointer is nobody's but the program's, or nobody's.
static void x87(void) {
    extern char __executable_start[], etext[];
    struct { uint16_t control[2], status[2], tag[2]; uint32_t fip; uint16_t fcs, fop; uint32_t fdp, fds; } environment;
    static unsigned char area[4096] __attribute__((aligned(64)));
    static unsigned short word = 7;
    uintptr_t start = (uintptr_t)__executable_start, end = (uintptr_t)etext;
    __asm__ volatile("fninit\nfilds %1\nfnstenv %0\nfldenv %0\nfstp %%st(0)" : "=m"(environment) : "m"(word));
    check("fnstenv", environment.fip == 0 || (environment.fip >= (uint32_t)start && environment.fip < (uint32_t)end));
    uint64_t fip;
    __asm__ volatile("fninit\nfilds %1\nfxsave64 %0\nfstp %%st(0)" : "=m"(area) : "m"(word));
    memcpy(&fip, area + 8, 8);
    check("fxsave64", fip == 0 || (fip >= start && fip < end));
    if (answer(1, 0, 2) >> 27 & 1) {
        __asm__ volatile("filds %1\nxsave64 %0\nfstp %%st(0)\nxrstor64 %0\nfstp %%st(0)" : "+m"(area) : "m"(word), "a"(7), "d"(0));
        memcpy(&fip, area + 8, 8);
        check("xsave64", fip == 0 || (fip >= start && fip < end));
    }
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "hidden")) {
        hidden();
    } else {
        processor();
        atomics();
        strings();
        x87();
    }
    return failures != 0;
}
