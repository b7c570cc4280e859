// Branches that come back often and from many places. The arguments are return addresses, in hexadecimal, within the window
// that the first one begins: at each, a function is made that calls another, which returns there. Prints what all computed.
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define WINDOW (512ul << 20)

typedef uint64_t (*site)(uint64_t value, uint64_t (*callee)(uint64_t));

static uint64_t twice(uint64_t value) { return value * 2 + 1; }
static uint64_t mixed(uint64_t value) { return value ^ value >> 7; }

// push rbx; call rsi; the return address: lea rax, [rax + n]; pop rbx; ret
static site make(uint64_t address, unsigned char n) {
    unsigned char code[] = {0x53, 0xff, 0xd6, 0x48, 0x8d, 0x40, n, 0x5b, 0xc3};
    unsigned char *at = (unsigned char *)address - 3;
    memcpy(at, code, sizeof code);
    return (site)at;
}

__attribute__((noinline)) static uint64_t depth(uint64_t n) { return n == 0 ? 1 : depth(n - 1) * 3 + n; }
__attribute__((noinline)) static uint64_t fib(uint64_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

static jmp_buf out;
__attribute__((noinline)) static void leave(int n) {
    if (n > 0) leave(n - 1);
    else longjmp(out, 1);
    __asm__ volatile("");
}

// A machine whose every step goes through a table.
static uint64_t table(uint64_t steps) {
    static const void *const next[16] = {&&a, &&b, &&c, &&d, &&e, &&f, &&g, &&h, &&a, &&c, &&e, &&g, &&b, &&d, &&f, &&h};
    uint64_t x = 88172645463325252, sum = 0;
#define STEP                                             \
    do {                                                 \
        if (steps-- == 0) return sum;                    \
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;         \
        goto *next[x & 15];                              \
    } while (0)
    STEP;
a: sum += 1; STEP;
b: sum ^= x; STEP;
c: sum = sum << 1 | sum >> 63; STEP;
d: sum -= 7; STEP;
e: sum += x >> 32; STEP;
f: sum = ~sum; STEP;
g: sum *= 5; STEP;
h: sum += steps; STEP;
}

int main(int argc, char **argv) {
    uint64_t base = strtoull(argv[1], 0, 16);
    int n = argc - 2;
    void *window = mmap((void *)base, WINDOW, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (window != (void *)base) return 1;
    site *sites = calloc(n, sizeof *sites);
    for (int i = 0; i < n; i++) sites[i] = make(strtoull(argv[i + 2], 0, 16), i & 63);
    if (mprotect(window, WINDOW, PROT_READ | PROT_EXEC)) return 1;
    uint64_t sum = 0, x = 1;
    for (int i = 0; i < 300000; i++) sum = sites[i % n](sum, twice) + i;
    printf("in order %llx\n", (unsigned long long)sum);
    for (int i = 0; i < 300000; i++) {
        x = x * 6364136223846793005 + 1442695040888963407;
        sum = sites[(x >> 33) % n](sum, x >> 63 ? twice : mixed);
    }
    printf("in no order %llx\n", (unsigned long long)sum);
    printf("deep %llx fib %llu\n", (unsigned long long)depth(100000), (unsigned long long)fib(24));
    for (volatile int i = 0; i < 2000; i++)
        if (!setjmp(out)) leave(i % 50);
    printf("table %llx\n", (unsigned long long)table(1000000));
    return 0;
}
