// Ids of processes that have ended and of threads, wherever a process id may stand.
#include "show.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

static void text_of(const char *name, pid_t pid, const char *key) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
    FILE *file = fopen(path, "r");
    if (!file) return show(name, -1);
    int found = 0;
    while (fgets(line, sizeof line, file))
        if (!key || !strncmp(line, key, strlen(key))) {
            // Numbers differ from run to run.
            char *to = line;
            for (char *c = line; *c; c++) {
                int digit = *c >= '0' && *c <= '9';
                if (!digit || to == line || to[-1] != 'N') *to++ = digit ? 'N' : *c;
            }
            *to = 0;
            printf("%s %s", name, line);
            found = 1;
        }
    printf("%s: %d\n", name, found);
    fclose(file);
}

static void everything(pid_t pid, const char *of_status) {
    siginfo_t info = {.si_signo = SIGCONT, .si_code = SI_QUEUE};
    struct rlimit limit;
    struct sched_param param = {0};
    struct timespec used;
    clockid_t clock;
    info.si_pid = getpid();
    SHOW(kill(pid, 0));
    SHOW(kill(pid, SIGCONT));
    SHOW(syscall(SYS_tkill, pid, 0));
    SHOW(syscall(SYS_tgkill, pid, pid, 0));
    SHOW(syscall(SYS_tgkill, getpid(), pid, 0));
    SHOW(syscall(SYS_rt_sigqueueinfo, pid, 0, &info));
    SHOW(syscall(SYS_rt_sigqueueinfo, pid, SIGCONT, &info));
    SHOW(syscall(SYS_rt_tgsigqueueinfo, pid, pid, 0, &info));
    SHOW(getpgid(pid) == getpgrp() ? 0 : -1);
    SHOW(getsid(pid) == getsid(0) ? 0 : -1);
    SHOW(getpriority(PRIO_PROCESS, pid));
    SHOW(sched_getscheduler(pid));
    SHOW(sched_getparam(pid, &param));
    SHOW(sched_setparam(pid, &param));
    SHOW(prlimit(pid, RLIMIT_CORE, 0, &limit));
    show("clock", clock_getcpuclockid(pid, &clock) ? -1 : clock_gettime(clock, &used));
    text_of("status", pid, of_status);
    text_of("status", pid, "Tgid");
    text_of("cmdline", pid, 0);
}

static int go[2], back[2];

static void *thread(void *arg) {
    char byte;
    *(pid_t *)arg = gettid();
    write(back[1], "x", 1);
    read(go[0], &byte, 1);
    return 0;
}

int main(void) {
    siginfo_t info;
    pid_t tid;
    pthread_t other;
    char byte;
    puts("= one that has ended");
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) _exit(3);
    SHOW(waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
    everything(pid, "State");
    char path[64];
    struct stat st;
    snprintf(path, sizeof path, "/proc/%d/exe", pid);
    SHOW(readlink(path, path, sizeof path));
    snprintf(path, sizeof path, "/proc/%d", pid);
    SHOW(stat(path, &st));
    SHOW(waitpid(pid, 0, 0) == pid ? 0 : -1);
    puts("= one that was waited for");
    everything(pid, "State");
    for (int i = 0; i < 100; i++) {
        pid_t gone = fork();
        if (!gone) _exit(0);
        waitpid(gone, 0, 0);
        struct sched_param param = {0};
        if (!sched_setparam(gone, &param)) puts("it is still there");
    }
    puts("= a thread");
    pipe(go);
    pipe(back);
    pthread_create(&other, 0, thread, &tid);
    read(back[0], &byte, 1);
    everything(tid, "Pid");
    SHOW(kill(tid, 0));
    SHOW(kill(-tid, 0));
    SHOW(setpriority(PRIO_PROCESS, tid, 1));
    SHOW(getpriority(PRIO_PROCESS, tid));
    SHOW(getpriority(PRIO_PROCESS, getpid()));
    write(go[1], "x", 1);
    pthread_join(other, 0);
    return 0;
}
