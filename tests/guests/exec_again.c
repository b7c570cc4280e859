// exec_again N: executes itself N times more, in the same process.
// exec_again: executes the program "other", a file whose code lies at the same addresses as this one's but differs in one place.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef ANSWER
#define ANSWER 1
#endif

static __attribute__((noinline)) int answer(void) {
    __asm__ volatile("");
    return ANSWER;
}

int main(int argc, char **argv) {
    printf("answer %d\n", answer());
    fflush(stdout);
    if (argc > 1) {
        int left = atoi(argv[1]);
        if (left == 0) return 0;
        char number[16];
        snprintf(number, sizeof number, "%d", left - 1);
        execl("/proc/self/exe", argv[0], number, (char *)NULL);
        return 1;
    }
    if (ANSWER == 1) {
        // The shell writes the other program into this one's file, so that it even is the same file to the kernel.
        execl("/bin/sh", "sh", "-c", "cat two >one && exec ./one", (char *)NULL);
        return 1;
    }
    return 0;
}
