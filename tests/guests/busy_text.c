// A program that runs is not written to, and one that is open for writing does not run (ETXTBSY).
#include "show.h"
#include <sys/mman.h>
#include <sys/wait.h>

static int copy_of(const char *from, const char *name) {
    char block[4096];
    int in = open(from, O_RDONLY), out = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    for (long n; (n = read(in, block, sizeof block)) > 0;)
        if (write(out, block, n) != n) _exit(9);
    close(in);
    return out;
}

static int run(const char *name) {
    pid_t child = fork();
    if (child == 0) {
        execl(name, name, "ends", (char *)0);
        _exit(errno);
    }
    int status;
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        // As the program that is written to: says that it runs, and waits to be told to end.
        if (strcmp(argv[1], "waits") == 0) {
            char byte;
            write(1, "x", 1);
            read(0, &byte, 1);
        }
        return 0;
    }
    int writer = copy_of("/proc/self/exe", "text");
    SHOW(run("./text"));
    close(writer);
    SHOW(run("./text"));

    int to[2], from[2];
    char byte;
    pipe(to);
    pipe(from);
    pid_t child = fork();
    if (child == 0) {
        dup2(to[0], 0);
        dup2(from[1], 1);
        execl("./text", "./text", "waits", (char *)0);
        _exit(errno);
    }
    read(from[0], &byte, 1);
    SHOW(open("text", O_WRONLY));
    SHOW(open("text", O_RDWR));
    SHOW(open("text", O_RDONLY | O_TRUNC));
    SHOW(truncate("text", 1));
    SHOW(open("text", O_RDONLY) >= 0);
    SHOW(chmod("text", 0700));
    SHOW(rename("text", "moved"));
    SHOW(open("moved", O_WRONLY));
    write(to[1], "x", 1);
    SHOW(waitpid(child, 0, 0) == child);
    // At once: nobody need wait until everybody knows that it has ended.
    SHOW(open("moved", O_WRONLY) >= 0);
    SHOW(truncate("moved", 0));

    FILE *script = fopen("script", "w");
    fputs("#!/bin/sh\nexit 7\n", script);
    fflush(script);
    chmod("script", 0700);
    SHOW(run("./script"));
    fclose(script);
    SHOW(run("./script"));

    int memory = copy_of("/proc/self/exe", "other");
    close(memory);
    memory = memfd_create("text", 0);
    int in = open("other", O_RDONLY);
    char block[4096];
    for (long n; (n = read(in, block, sizeof block)) > 0;) write(memory, block, n);
    char name[32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", memory);
    SHOW(run(name));
    return 0;
}
