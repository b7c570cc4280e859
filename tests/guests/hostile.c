// A guest that takes its emulator over. The code cache is executable and writable, and what is in use of it can be
// found by reading, so native code gets there in a few lines; from then on this process is not the guest's emulator
// any more but hostile_native.c, which speaks the channel and the control socket by itself.
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// NATIVE names the file with the native code as it is to lie at AT: where the cache is not, or not as far as a run this
// short reaches. The filter lets a child make pieces of low memory executable.
#define AT 0x7f000000
#define PIECE 0x100000
#define NUMBER_(n) #n
#define NUMBER(n) NUMBER_(n)
__asm__(".section .rodata\nnative:.incbin \"" NATIVE "\"\nnative_end:\n"
        // Runs anywhere: maps and opens the piece, copies the code there and goes on in it with the same arguments.
        "opener: push %rdi\n push %rsi\n push %rdx\n push %r8\n"
        " mov $9, %eax\n mov $" NUMBER(AT) ", %edi\n mov $" NUMBER(PIECE) ", %esi\n mov $3, %edx\n"
        " mov $0x32, %r10d\n mov $-1, %r8\n xor %r9d, %r9d\n syscall\n"
        " mov $10, %eax\n mov $" NUMBER(AT) ", %edi\n mov $" NUMBER(PIECE) ", %esi\n mov $7, %edx\n syscall\n"
        " pop %rcx\n pop %rsi\n mov $" NUMBER(AT) ", %edi\n rep movsb\n"
        " pop %rsi\n pop %rdi\n mov $" NUMBER(AT) ", %eax\n jmp *%rax\n"
        "opener_end:\n.previous");
extern const char native[], native_end[], opener[], opener_end[];

// From where on the cache lies; it begins with three tables, and stubs and code follow.
#define KEPT 0x60000000ul
#define TABLE 0x80000ul
#define STUBS (3 * TABLE)
// Behind the stubs that there are, in the page that is kept for more.
#define FREE (STUBS + 0x8000)

static sigjmp_buf jump;

static void fault(int signal) { siglongjmp(jump, signal); }

static int readable(uintptr_t at) {
    if (sigsetjmp(jump, 1)) return 0;
    (void)*(volatile char *)at;
    return 1;
}

int main(int argc, char **argv) {
    setbuf(stdout, NULL);
    signal(SIGSEGV, fault);
    volatile uintptr_t cache = KEPT;
    while (!readable(cache)) cache += TABLE;
    while (cache > KEPT && readable(cache - 4096)) cache -= 4096;
    signal(SIGSEGV, SIG_DFL);
    // An address that no block is for: the first-level table says where control goes for its low 16 bits.
    volatile uintptr_t nowhere = 0x12348765;
    memcpy((void *)(cache + FREE), opener, opener_end - opener);
    ((uint64_t *)cache)[nowhere & 0xffff] = cache + FREE;
    ((void (*)(int, char **, const char *, long, long))nowhere)(argc, argv, native, 0, native_end - native);
    puts("still a guest");
    return 1;
}
