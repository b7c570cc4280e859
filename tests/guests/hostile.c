// A guest that takes its emulator over. The code cache is executable and lies at a fixed address, so native code
// gets there in three lines; from then on this process is not the guest's emulator any more but hostile_native.c,
// which speaks the channel and the control socket by itself.
#include <stdint.h>
#include <stdio.h>
#include <string.h>

// NATIVE names the file with the native code as it is to lie at AT.
#define AT 0x70181000ul
__asm__(".section .rodata\nnative:.incbin \"" NATIVE "\"\nnative_end:\n.previous");
extern const char native[], native_end[];

int main(int argc, char **argv) {
    setbuf(stdout, NULL);
    // An address that no block is for: the first-level table says where control goes for its low 16 bits.
    volatile uintptr_t nowhere = 0x12348765;
    memcpy((void *)AT, native, native_end - native);
    ((uint64_t *)0x70000000)[nowhere & 0xffff] = AT;
    ((void (*)(int, char **))nowhere)(argc, argv);
    puts("still a guest");
    return 1;
}
