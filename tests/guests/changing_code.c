// Programs that write their own code, one way at a time; each prints what the code that ran gave.
#include "show.h"
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>

#define P 4096UL
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define RWX (PROT_READ | PROT_WRITE | PROT_EXEC)

typedef int function(void);

static unsigned char *pages(size_t n, int prot) { return mmap(0, n * P, prot, ANON, -1, 0); }

// mov eax, value; ret
static function *returns(unsigned char *at, int value) {
    at[0] = 0xb8;
    memcpy(at + 1, &value, 4);
    at[5] = 0xc3;
    return (function *)at;
}

// A store into the block that is running takes effect on the next instruction.
static void next_instruction(void) {
    unsigned char *at = pages(1, RWX);
    // mov byte [rip + 1], 7; mov eax, 1; ret: the store is to the constant of the mov behind it.
    memcpy(at, "\xc6\x05\x01\x00\x00\x00\x07\xb8\x01\x00\x00\x00\xc3", 13);
    SHOW(((function *)at)());
    at[6] = 9;
    SHOW(((function *)at)());
    // rep stosb over what follows: mov ecx, 4; lea rdi, [rip + 3]; rep stosb; mov eax, ...; ret
    at += 0x100;
    memcpy(at, "\xb9\x04\x00\x00\x00\xb0\x05\x48\x8d\x3d\x03\x00\x00\x00\xf3\xaa\xb8\x01\x02\x03\x04\xc3", 22);
    SHOW(((function *)at)());
    // A push into the code: mov rdx, rsp; lea rsp, [rip + 12]; push rdi; mov rsp, rdx; eight nops; ret
    at += 0x100;
    memcpy(at, "\x48\x89\xe2\x48\x8d\x25\x0c\x00\x00\x00\x57\x48\x89\xd4", 14);
    memset(at + 14, 0x90, 8);
    at[22] = 0xc3;
    SHOW(((int (*)(uint64_t))at)(0x909090000000ffb8));  // mov eax, 0xff; nop; nop; nop
}

static void rewritten(void) {
    unsigned char *at = pages(1, RWX);
    long total = 0;
    for (int i = 0; i < 3000; i++) total += returns(at, i)();
    SHOW(total);
    // Two functions on a page; one is rewritten while the other runs on.
    function *constant = returns(at + 64, 1000000);
    for (int i = 0; i < 1000; i++) total += returns(at, i)() + constant();
    SHOW(total);
    // One byte of a constant at a time.
    function *f = returns(at, 0);
    for (int i = 0; i < 4; i++) {
        at[1 + i] = i + 1;
        total = total * 3 + f();
    }
    SHOW(total);
}

// A loop that rewrites itself while it runs: each turn adds the constant and increments it in place.
static void loop_on_itself(void) {
    unsigned char *at = pages(1, RWX);
    // xor eax, eax; mov ecx, 100; 1: add eax, 1; inc dword [rip - 10 ...]; loop 1b; ret
    static const unsigned char code[] = {0x31, 0xc0, 0xb9, 100, 0, 0, 0, 0x05, 1, 0, 0, 0,
                                         0xff, 0x05, 0xf6, 0xff, 0xff, 0xff, 0xe2, 0xf3, 0xc3};
    memcpy(at, code, sizeof code);
    SHOW(((function *)at)());
    SHOW(((function *)at)());
}

static sigjmp_buf back;
static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    /* Where the processor has protection keys, Linux takes reading away from memory that is only executable by one
       (mprotect(2)), and names the key as the reason. A guest's processor has none. */
    int code = info->si_code == SEGV_PKUERR ? SEGV_ACCERR : info->si_code;
    printf("signal %d code %d\n", signal, code);
    siglongjmp(back, 1);
}

static void call_or_fault(const char *what, unsigned char *at) {
    printf("%s: ", what);
    fflush(stdout);
    if (!sigsetjmp(back, 1)) printf("%d\n", ((function *)at)());
}

static void protections(void) {
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    unsigned char *at = pages(2, PROT_READ | PROT_WRITE);
    returns(at, 1);
    call_or_fault("not executable", at);
    for (int i = 2; i < 5; i++) {
        SHOW(mprotect(at, P, PROT_READ | PROT_WRITE));
        returns(at, i);
        SHOW(mprotect(at, P, PROT_READ | PROT_EXEC));
        call_or_fault("executable", at);
    }
    SHOW(mprotect(at, P, PROT_READ));
    call_or_fault("no longer", at);
    SHOW(mprotect(at, P, PROT_EXEC));
    call_or_fault("only executable", at);
    if (!sigsetjmp(back, 1)) returns(at, 9);
    SHOW(mprotect(at, P, PROT_NONE));
    call_or_fault("none", at);
    // A function across two pages, of which the second loses its right.
    SHOW(mprotect(at, 2 * P, RWX));
    returns(at + P - 3, 77);
    call_or_fault("across", at + P - 3);
    SHOW(mprotect(at + P, P, PROT_READ));
    call_or_fault("half", at + P - 3);
    SHOW(mprotect(at + P, P, PROT_READ | PROT_WRITE | PROT_EXEC));
    at[P] = 1;
    call_or_fault("second half rewritten", at + P - 3);
    SHOW(munmap(at, P));
    call_or_fault("gone", at);
}

static void other_code_at_the_same_place(void) {
    unsigned char *at = pages(4, RWX);
    int fd = open("code", O_RDWR | O_CREAT, 0700);
    char code[P] = {0};
    for (int i = 0; i < 4; i++) {
        returns(code, 100 + i);
        pwrite(fd, code, P, i * P);
    }
    for (int i = 0; i < 4; i++) {
        returns(at, i);
        SHOW(((function *)at)());
        SHOW(munmap(at, P));
        mmap(at, P, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, i * P);
        SHOW(((function *)at)());
        mmap(at, P, RWX, ANON | MAP_FIXED, -1, 0);
    }
    returns(at, 50);
    SHOW(((function *)at)());
    returns(at + 2 * P, 60);
    SHOW(((function *)(at + 2 * P))());
    SHOW(mremap(at, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, at + 2 * P) == at + 2 * P);
    SHOW(((function *)(at + 2 * P))());
    SHOW(madvise(at + 2 * P, P, MADV_DONTNEED));
    returns(at + 2 * P, 70);
    SHOW(((function *)(at + 2 * P))());
    SHOW(mremap(at + 2 * P, P, P, MREMAP_MAYMOVE | MREMAP_FIXED, at) == at);
    returns(at, 80);
    SHOW(((function *)at)());
    mmap(at + 2 * P, P, RWX, ANON | MAP_FIXED, -1, 0);
    // read(2), readv(2) and pread(2) into code that has run.
    function *f = (function *)(at + 2 * P);
    for (int i = 0; i < 4; i++) {
        pread(fd, at + 2 * P, 6, i * P);
        SHOW(f());
        lseek(fd, (3 - i) * P, SEEK_SET);
        readv(fd, (struct iovec[]){{at + 2 * P, 2}, {at + 2 * P + 2, 4}}, 2);
        SHOW(f());
    }
    close(fd);
}

// Code beside data that is written all the time.
static void beside_data(void) {
    unsigned char *at = pages(1, RWX);
    function *f = returns(at, 3);
    volatile long *data = (long *)(at + 2048);
    for (int i = 0; i < 20000; i++) *data += f();
    SHOW(*data);
}

static void fresh_functions(void) {
    unsigned char *at = pages(64, RWX);
    uint64_t h = 0;
    for (int i = 0; i < 20000; i++) h = h * 31 + returns(at + i * 16 % (64 * P - 16), i)();
    printf("%016lx\n", h);
}

static unsigned char *shared_code;
static atomic_int ready, stop;

static void *follow(void *unused) {
    (void)unused;
    long bad = 0;
    for (int i = 1; i <= 500; i++) {
        while (atomic_load(&ready) < i) sched_yield();
        bad += ((function *)shared_code)() != i;
        atomic_store(&ready, -i);
        while (atomic_load(&ready) == -i) sched_yield();
    }
    return (void *)bad;
}

// One thread rewrites and says so; the other runs what was written.
static void from_another_thread(void) {
    shared_code = pages(1, RWX);
    pthread_t t;
    void *bad;
    pthread_create(&t, 0, follow, 0);
    for (int i = 1; i <= 500; i++) {
        returns(shared_code, i);
        atomic_store(&ready, i);
        while (atomic_load(&ready) != -i) sched_yield();
        atomic_store(&ready, 0);
    }
    pthread_join(t, &bad);
    SHOW((long)bad);
}

static void *run_on(void *f) {
    long bad = 0;
    while (!atomic_load(&stop)) bad += ((function *)f)() != 42;
    return (void *)bad;
}

// Neighbours on a page come and go while other threads run code there.
static void under_running_threads(void) {
    unsigned char *at = pages(1, RWX);
    pthread_t t[3];
    void *bad;
    returns(at, 42);
    for (int i = 0; i < 3; i++) pthread_create(&t[i], 0, run_on, at);
    long total = 0;
    for (int i = 0; i < 2000; i++) total += returns(at + 512 + i % 8 * 64, i)();
    atomic_store(&stop, 1);
    for (int i = 0; i < 3; i++) pthread_join(t[i], &bad), total += (long)bad;
    SHOW(total);
}

// More code than the translator's cache holds: instructions with a gs prefix become long on the host. A second thread runs on.
static void more_than_the_cache(void) {
    enum { FUNCTION = 512, MIB = 1 << 20, ROUNDS = 28 };
    static long there[8] = {5, 6, 7};
    syscall(SYS_arch_prctl, 0x1001, there);
    int fd = memfd_create("code", 0);
    unsigned char *at = malloc(MIB);
    memset(at, 0x90, MIB);
    for (int f = 0; f < MIB / FUNCTION; f++) {
        unsigned char *p = at + f * FUNCTION;
        // xor eax, eax; 62 times add eax, gs:[8 * n]; ret
        *p++ = 0x31;
        *p++ = 0xc0;
        for (int i = 0; i < 62; i++, p += 8) memcpy(p, "\x65\x03\x04\x25\x00\x00\x00\x00", 8), p[4] = (f + i) % 3 * 8;
        *p = 0xc3;
    }
    if (write(fd, at, MIB) != MIB) perror("write");
    pthread_t t;
    void *bad;
    unsigned char *other = pages(1, RWX);
    returns(other, 42);
    atomic_store(&stop, 0);
    pthread_create(&t, 0, run_on, other);
    long total = 0;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned char *code = mmap(0, MIB, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
        for (int f = 0; f < MIB / FUNCTION; f++) total += ((function *)(code + f * FUNCTION))();
    }
    atomic_store(&stop, 1);
    pthread_join(t, &bad);
    SHOW(total);
    SHOW((long)bad);
}

// The same code at two addresses: written at one, run at the other, and then at a third that comes later.
static void two_addresses(void) {
    int fd = memfd_create("twice", 0);
    ftruncate(fd, P);
    unsigned char *w = mmap(0, P, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    unsigned char *x = mmap(0, P, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    long total = 0;
    for (int i = 0; i < 60; i++) {
        returns(w + i * 64, i);
        total += ((function *)(x + i * 64))();
    }
    SHOW(total);
    for (int i = 0; i < 20; i++) {
        returns(w, i);
        total = total * 3 + ((function *)x)();
    }
    SHOW(total);
    munmap(w, P);
    for (int i = 0; i < 20; i++) {
        w = mmap(0, P, PROT_READ | (i % 2 ? PROT_WRITE : 0), MAP_SHARED, fd, 0);
        mprotect(w, P, PROT_READ | PROT_WRITE);
        returns(w, 100 + i);
        total = total * 3 + ((function *)x)();
        if (i % 3) munmap(w, P);
    }
    SHOW(total);
}

// Memory of the program's own where the translator could have its code, while another thread runs on; then every page is
// filled with what stops whoever executes it.
static void where_the_translator_is(void) {
    unsigned char *at = (unsigned char *)0x70000000L, *half = at + 0x8000000, *code = pages(1, RWX);
    size_t all = 0x7ffe0000L - 0x70000000L;
    pthread_t t;
    void *bad;
    returns(code, 42);
    atomic_store(&stop, 0);
    pthread_create(&t, 0, run_on, code);
    SHOW(mmap(at, all, PROT_READ | PROT_WRITE, ANON | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) == at);
    memset(at, 0xcc, all);
    long total = 0;
    for (int i = 0; i < 2000; i++) total += returns(code + 512 + i % 8 * 64, i)();
    SHOW(total);
    // Part of it comes back, and is taken again by a move.
    SHOW(munmap(half, 0x1000000));
    unsigned char *moved = pages(2, RWX);
    returns(moved + P, 7);
    SHOW(mremap(moved, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, half) == half);
    SHOW(((function *)(half + P))());
    if (!fork()) _exit(((function *)(half + P))());
    int status;
    wait(&status);
    SHOW(WEXITSTATUS(status));
    atomic_store(&stop, 1);
    pthread_join(t, &bad);
    SHOW((long)bad);
}

static const struct {
    const char *name;
    void (*run)(void);
} ways[] = {
    {"next_instruction", next_instruction},
    {"rewritten", rewritten},
    {"loop_on_itself", loop_on_itself},
    {"protections", protections},
    {"other_code_at_the_same_place", other_code_at_the_same_place},
    {"beside_data", beside_data},
    {"fresh_functions", fresh_functions},
    {"from_another_thread", from_another_thread},
    {"under_running_threads", under_running_threads},
    {"more_than_the_cache", more_than_the_cache},
    {"two_addresses", two_addresses},
    {"where_the_translator_is", where_the_translator_is},
};

int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IOLBF, 0);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (argc == 2 && !strcmp(ways[i].name, argv[1])) {
            ways[i].run();
            return 0;
        }
    return 2;
}
