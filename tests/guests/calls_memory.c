// Guest memory: mappings of every kind, their protection, moving, sharing with files, the break, and what faults.
#include "show.h"
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#define P 4096UL
#define NEAR ((char *)0x200000000000)

static sigjmp_buf back;
static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)context;
    printf("signal %d code %d at %s%lx\n", signal, info->si_code, (char *)info->si_addr >= NEAR ? "+" : "",
           (char *)info->si_addr >= NEAR ? (long)((char *)info->si_addr - NEAR) : (long)info->si_addr);
    siglongjmp(back, 1);
}

static void touch(const char *what, volatile char *at, int write) {
    printf("%s: ", what);
    if (sigsetjmp(back, 1)) return;
    char c = *at;
    if (write) *at = c + 1;
    printf("%d\n", *at);
}
#define READ(at) touch("read " #at, at, 0)
#define WRITE(at) touch("write " #at, at, 1)

static long map(const char *what, void *at, size_t n, int prot, int flags, int fd, off_t offset) {
    char *p = mmap(at, n, prot, flags, fd, offset);
    if (p == MAP_FAILED) show(what, -1);
    else if (p >= NEAR && p < NEAR + (1L << 40)) printf("%s: +%lx\n", what, p - NEAR);
    else printf("%s: somewhere%s\n", what, (long)p % P ? " odd" : "");
    return (long)p;
}
#define MAP(...) map("mmap " #__VA_ARGS__, __VA_ARGS__)
#define ANON (MAP_PRIVATE | MAP_ANONYMOUS)
#define FIX (MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED)
#define RW (PROT_READ | PROT_WRITE)

// Where programs want to have something of theirs: fixed images, Wine's page, shadows of sanitizers, heaps.
static void conventional(void) {
    static const unsigned long places[] = {0x10000, 0x400000, 0x40000000, 0x70000000, 0x78000000, 0x7ffe0000, 0x7fff8000, 0x80000000, 0x100000000,
        0xc000000000, 0x2008fff7000, 0x10007fff8000, 0x300000000000, 0x500000000000, 0x568000000000,
        0x600000000000, 0x700000000000, 0x7b0000000000, 0x7e0000000000};
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) {
        void *at = (void *)places[i], *got = mmap(at, P, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
        printf("%#lx: %s\n", places[i], got == at ? "there" : strerror(errno));
        if (got == at) munmap(at, P);
    }
    // As much as there is.
    for (int bits = 30; bits < 47; bits++) {
        char *got = mmap(0, 1L << bits, PROT_NONE, ANON | MAP_NORESERVE, -1, 0);
        printf("2^%d bytes: %s\n", bits, got == MAP_FAILED ? strerror(errno) : "somewhere");
        if (got != MAP_FAILED) munmap(got, 1L << bits);
    }
}

static void anonymous(void) {
    MAP(0, P, RW, ANON, -1, 0);
    MAP(NEAR, 8 * P, RW, ANON, -1, 0);
    MAP(NEAR, P, RW, ANON | MAP_FIXED_NOREPLACE, -1, 0);
    MAP(NEAR + 16 * P, P, PROT_READ, ANON | MAP_FIXED_NOREPLACE, 99, 0);
    MAP(NEAR + 1, P, RW, FIX, -1, 0);
    MAP(0, 0, RW, ANON, -1, 0);
    MAP(0, P, RW, 0, -1, 0);
    MAP(0, P, RW, MAP_PRIVATE, -1, 0);
    MAP(0, -P, RW, ANON, -1, 0);
    MAP(0, P, RW, ANON, -1, 5);
    MAP((void *)-P, P, RW, FIX, -1, 0);
    WRITE(NEAR);
    WRITE(NEAR + 16 * P);
    READ(NEAR + 16 * P);
    READ(NEAR + 17 * P);
    READ((char *)8);
    READ((char *)0x8000000000000000);
    SHOW(mprotect(NEAR + P, P, PROT_NONE));
    READ(NEAR + P);
    SHOW(mprotect(NEAR + P, 2 * P, PROT_READ));
    READ(NEAR + P);
    WRITE(NEAR + 2 * P);
    SHOW(mprotect(NEAR + 1, P, RW));
    SHOW(mprotect(NEAR + P, 2 * P, RW));
    SHOW(mprotect(NEAR + 7 * P, 2 * P, RW));
    SHOW(mprotect(NEAR, P, 64));
    SHOW(mprotect(NEAR, 0, RW));
    WRITE(NEAR + 2 * P);
    SHOW(munmap(NEAR + 3 * P, P));
    SHOW(munmap(NEAR + 3 * P, P));
    SHOW(munmap(NEAR + 3, P));
    SHOW(munmap(NEAR, 0));
    READ(NEAR + 3 * P);
    READ(NEAR + 4 * P);
    MAP(NEAR + 3 * P, P, RW, FIX, -1, 0);
    SHOW(madvise(NEAR + 2 * P, P, MADV_DONTNEED));
    READ(NEAR + 2 * P);
    SHOW(madvise(NEAR + 2 * P, P, MADV_WILLNEED));
    SHOW(madvise(NEAR, P, 7777));
    SHOW(madvise(NEAR + 40 * P, P, MADV_DONTNEED));
    SHOW(madvise(NEAR, P, MADV_FREE));
    SHOW(msync(NEAR, P, MS_SYNC));
    SHOW(msync(NEAR + 40 * P, P, MS_SYNC));
    SHOW(msync(NEAR, P, MS_SYNC | MS_ASYNC));
    unsigned char resident[8];
    SHOW(mincore(NEAR, 8 * P, resident));
    SHOW(mincore(NEAR + 40 * P, P, resident));
    SHOW(mlock(NEAR, P));
    SHOW(munlock(NEAR, P));
    SHOW(mlockall(77));
    SHOW(munlockall());
    MAP(0, P, RW, ANON | MAP_POPULATE | MAP_NORESERVE | MAP_STACK, -1, 0);
    MAP(NEAR + (1L << 30), 4 * P, RW, ANON | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
    long low = MAP(0, P, RW, ANON | MAP_32BIT, -1, 0);
    SHOW(low > 0 && low < 1L << 31);
    // Far more than there is memory: only what is touched counts.
    char *huge = (char *)MAP(NEAR + (1L << 33), 1L << 36, RW, ANON | MAP_NORESERVE | MAP_FIXED, -1, 0);
    WRITE(huge + (1L << 35));
    SHOW(munmap(huge, 1L << 36));
}

static void moving(void) {
    char *a = (char *)MAP(NEAR + 0x100000, 2 * P, RW, FIX, -1, 0);
    strcpy(a + P, "moves along");
    SHOW((char *)mremap(a, 2 * P, P, 0) - NEAR);
    READ(NEAR + 0x101000);
    SHOW((char *)mremap(a, P, 4 * P, 0) - NEAR);
    WRITE(a + 3 * P);
    MAP(NEAR + 0x104000, P, RW, FIX, -1, 0);
    show("mremap blocked", (long)mremap(a, 4 * P, 5 * P, 0));
    strcpy(a + P, "moves along");
    char *b = mremap(a, 4 * P, 5 * P, MREMAP_MAYMOVE);
    SHOW(b != a);
    show_bytes("moved", b + P, 11);
    READ(NEAR + 0x100000);
    SHOW((char *)mremap(b, 5 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_FIXED, NEAR + 0x200000) - NEAR);
    show_bytes("fixed", NEAR + 0x200000 + P, 11);
    SHOW((long)mremap(NEAR + 0x200000, 2 * P, P, MREMAP_FIXED, NEAR + 0x300000));
    SHOW((long)mremap(NEAR + 0x200001, P, P, 0));
    SHOW((long)mremap(NEAR + 0x800000, P, 2 * P, MREMAP_MAYMOVE));
    SHOW((long)mremap(NEAR + 0x200000, 2 * P, 0, 0));
    char *c = mremap(NEAR + 0x200000, 2 * P, 2 * P, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
    SHOW(c != (void *)-1 && !strcmp(c + P, "moves along") && NEAR[0x200000 + P] == 0);
    // A shared mapping can be doubled by an old size of 0.
    char *s = mmap(NEAR + 0x400000, 2 * P, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    strcpy(s, "twice");
    char *t = mremap(s, 0, 2 * P, MREMAP_MAYMOVE);
    SHOW(t != (void *)-1 && !strcmp(t, "twice"));
}

static void files(void) {
    int fd = open("mapped", O_RDWR | O_CREAT, 0644), ro = open("mapped", O_RDONLY), wo = open("mapped", O_WRONLY);
    ftruncate(fd, 3 * P + 100);
    pwrite(fd, "start", 5, 0);
    pwrite(fd, "third", 5, 2 * P);
    char *s = (char *)MAP(NEAR + 0x500000, 4 * P, RW, MAP_SHARED | MAP_FIXED, fd, 0);
    char *p = (char *)MAP(NEAR + 0x510000, 2 * P, RW, MAP_PRIVATE | MAP_FIXED, ro, 2 * P);
    show_bytes("shared", s, 5);
    show_bytes("private", p, 5);
    memcpy(s + 2, "ORE", 3);
    memcpy(p, "PRIV", 4);
    char b[8] = {0};
    pread(fd, b, 5, 0);
    show_bytes("file", b, 5);
    pread(fd, b, 5, 2 * P);
    show_bytes("file", b, 5);
    pwrite(fd, "x", 1, 2 * P + 4);
    show_bytes("private sees", p, 5);
    pwrite(fd, "late", 4, P);
    show_bytes("shared sees", s + P, 4);
    SHOW(msync(s, 4 * P, MS_SYNC));
    SHOW(msync(s, 4 * P, MS_ASYNC | MS_INVALIDATE));
    MAP(0, P, RW, MAP_SHARED, ro, 0);
    MAP(0, P, PROT_READ, MAP_SHARED, wo, 0);
    MAP(0, P, PROT_READ, MAP_PRIVATE, wo, 0);
    MAP(0, P, PROT_READ, MAP_SHARED, 99, 0);
    MAP(0, P, PROT_READ, MAP_SHARED, fd, 77);
    MAP(0, P, PROT_READ, MAP_PRIVATE, open(".", O_RDONLY), 0);
    MAP(0, P, PROT_READ, MAP_PRIVATE, open("mapped", O_PATH), 0);
    char *r = (char *)MAP(NEAR + 0x520000, P, PROT_READ, MAP_SHARED | MAP_FIXED, ro, 0);
    SHOW(mprotect(r, P, RW));
    WRITE(r);
    READ(s + 3 * P + 200);
    SHOW(ftruncate(fd, P));
    READ(s + 2 * P);
    READ(p);
    READ(p + P);
    SHOW(close(fd));
    SHOW(unlink("mapped"));
    WRITE(s);
    show_bytes("after closing", s, 5);
    SHOW(munmap(s, 4 * P));
    char *z = (char *)MAP(NEAR + 0x530000, 2 * P, RW, MAP_PRIVATE | MAP_FIXED, open("/dev/zero", O_RDWR), 0);
    WRITE(z);
    z = (char *)MAP(NEAR + 0x540000, 2 * P, RW, MAP_SHARED | MAP_FIXED, open("/dev/zero", O_RDWR), 0);
    WRITE(z);

    int m = memfd_create("anonymous", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    SHOW(ftruncate(m, 2 * P));
    char *one = (char *)MAP(NEAR + 0x550000, P, RW, MAP_SHARED | MAP_FIXED, m, P);
    char *two = (char *)MAP(NEAR + 0x560000, P, RW, MAP_SHARED | MAP_FIXED, m, P);
    strcpy(one, "two views");
    show_bytes("view", two, 9);
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_SHRINK));
    SHOW(ftruncate(m, 0));
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
    SHOW(fcntl(m, F_GET_SEALS));
}

static void the_break(void) {
    char *start = sbrk(0);
    SHOW(sbrk(3 * P) == start);
    strcpy(start + 2 * P, "broken");
    SHOW(brk(start + P));
    SHOW(brk(start + 3 * P));
    show_bytes("zero again", start + 2 * P, 6);
    SHOW((char *)syscall(SYS_brk, 0) == start + 3 * P);
    SHOW((char *)syscall(SYS_brk, 1UL << 50) == start + 3 * P);
    SHOW(brk(start));
    struct rlimit l = {1 << 20, RLIM_INFINITY};
    getrlimit(RLIMIT_DATA, &l);
    SHOW(l.rlim_max == RLIM_INFINITY);
}

int main(void) {
    setvbuf(stdout, malloc(1 << 16), _IOLBF, 1 << 16);
    stack_t alternate = {.ss_sp = malloc(1 << 16), .ss_size = 1 << 16};
    sigaltstack(&alternate, 0);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    conventional();
    anonymous();
    moving();
    files();
    the_break();
    return 0;
}
