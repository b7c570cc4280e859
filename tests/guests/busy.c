// A guest that always does something that could be left behind: objects of System V and POSIX, threads, processes
// with and without a session of their own, some of which ignore all that asks them to end. Its argument is a number
// for its names.
#include <fcntl.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <unistd.h>

static int ends[2];

static void *passes_bytes(void *unused) {
    char byte = 0;
    for (;;) if (write(ends[1], &byte, 1) != 1 || read(ends[0], &byte, 1) != 1) pause();
}

static void forks_for_ever(int stays) {
    for (;;) {
        pid_t child = fork();
        if (!child) {
            if (stays && setsid() < 0) _exit(1);
            usleep(1000);
            execl("/bin/true", "true", NULL);
            _exit(1);
        }
        if (child > 0) waitpid(child, NULL, 0); else usleep(1000);
    }
}

int main(int argc, char **argv) {
    int key = atoi(argv[1]);
    char name[64], *memory;
    struct { long type; char text[8]; } message = {1, "text"};
    snprintf(name, sizeof name, "/busy-%d", key);
    signal(SIGHUP, SIG_IGN), signal(SIGTERM, SIG_IGN), signal(SIGINT, SIG_IGN);
    memory = shmat(shmget(key, 65536, IPC_CREAT | 0600), NULL, 0);
    if (memory != (char *)-1) memset(memory, 1, 65536);
    semget(key, 1, IPC_CREAT | 0600);
    msgsnd(msgget(key, IPC_CREAT | 0600), &message, sizeof message.text, IPC_NOWAIT);
    mq_open(name, O_CREAT | O_RDWR, 0600, NULL);
    pthread_t thread;
    if (pipe(ends) || pthread_create(&thread, NULL, passes_bytes, NULL)) return 1;
    puts("up"), fflush(stdout);
    if (!fork()) {
        setsid();
        if (!fork()) for (;;) pause();
        forks_for_ever(1);
    }
    forks_for_ever(0);
}
