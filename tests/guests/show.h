// What the guests that are compared with their native run share: every call's result is printed, an error by its name.
#ifndef SHOW_H
#define SHOW_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

// Descriptor numbers are compared too, so what happens to be inherited is closed first.
__attribute__((constructor)) static void close_inherited(void) { syscall(SYS_close_range, 3, ~0U, 0); }

static inline void show(const char *what, long result) {
    if (result == -1) printf("%s: %s\n", what, strerrorname_np(errno));
    else printf("%s: %ld\n", what, result);
    errno = 0;
}

// Prints an expression and its value; an error by its name.
#define SHOW(...) show(#__VA_ARGS__, (long)(__VA_ARGS__))

// SIGALRM every so many seconds from now on; never for 0. On a busy machine a single one could come before
// the wait that it is to end.
static inline void alarm_every(long seconds) {
    setitimer(ITIMER_REAL, &(struct itimerval){{seconds, 0}, {seconds, 0}}, 0);
}

// Bytes as text, what is not printable as a dot.
static inline void show_bytes(const char *what, const void *bytes, long count) {
    printf("%s: %ld \"", what, count);
    for (long i = 0; i < count && i < 100; i++) {
        unsigned char c = ((const unsigned char *)bytes)[i];
        putchar(c >= ' ' && c < 127 ? c : '.');
    }
    puts("\"");
}

// Fills memory with bytes that differ from place to place.
static inline void fill(void *at, size_t count, uint32_t seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525 + 1013904223;
        ((unsigned char *)at)[i] = seed >> 24;
    }
}

// FNV-1a, to compare contents by one number.
static inline uint64_t sum(const void *at, size_t count) {
    uint64_t h = 0xcbf29ce484222325;
    for (size_t i = 0; i < count; i++) h = (h ^ ((const unsigned char *)at)[i]) * 0x100000001b3;
    return h;
}

// A new file with a text.
static inline void put(const char *name, const char *text) {
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) perror(name);
    close(fd);
}
#endif
