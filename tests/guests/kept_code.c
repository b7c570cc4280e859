// Code of a program file that changes, goes away and comes back while another thread is in code of the same file.
#include "show.h"
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef ANSWER
#define ANSWER 1
#endif

enum { PAGE = 4096 };

// Its page is its own, and so is its first instruction: mov $ANSWER, %eax; ret.
int answer(void);
#define NUMBER_(n) #n
#define NUMBER(n) NUMBER_(n)
__asm__(".text\n .balign 4096\nanswer: mov $" NUMBER(ANSWER) ", %eax\n ret\n .balign 4096\n");

static volatile int stop;
static volatile long turns;

// Leaves the loop only because of what another thread writes.
static void *turn(void *at) {
    (void)at;
    while (!stop) turns++;
    return (void *)1;
}

static void until_it_turns(void) {
    for (long before = turns; turns == before;) usleep(100);
}

int main(void) {
    int (*volatile call)(void) = answer;
    printf("%d\n", call());
    fflush(stdout);
    if (getchar() == EOF) return 1;
    pthread_t thread;
    pthread_create(&thread, NULL, turn, NULL);
    until_it_turns();
    uint8_t *code = (uint8_t *)(uintptr_t)answer;
    // Every one of these takes the whole mapping of the file from under the thread.
    for (int i = 0; i < 20; i++) {
        mprotect(code, PAGE, PROT_READ | PROT_WRITE);
        code[1] = (uint8_t)(40 + i);
        mprotect(code, PAGE, PROT_READ | PROT_EXEC);
        if (call() != 40 + i) printf("turn %d: %d\n", i, call());
        until_it_turns();
    }
    uint8_t *other = mmap(code, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    static const uint8_t seventy[] = {0xb8, 70, 0, 0, 0, 0xc3};
    for (unsigned i = 0; i < sizeof seventy; i++) other[i] = seventy[i];
    printf("%d\n", call());
    until_it_turns();
    // One of these wants to lie where a translator may have its own.
    int refused = 0;
    for (uintptr_t at = 0x60000000; at < 0x7ff00000; at += 0x4000000)
        if (mmap((void *)at, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED) refused++;
    printf("%d refused\n", refused);
    until_it_turns();
    stop = 1;
    void *end = NULL;
    pthread_join(thread, &end);
    printf("%ld\n", (long)end);
    return 0;
}
