// execve from a process with several threads, each of which waits for something else; the new program looks at itself.
#include "show.h"
#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <poll.h>
#include <sys/epoll.h>
#include <semaphore.h>

static sem_t ready;
static volatile int never;
static char *self;
static pthread_mutex_t held = PTHREAD_MUTEX_INITIALIZER;

#define WAITER(name, ...) static void *name(void *unused) { sem_post(&ready); for (;;) { __VA_ARGS__; } return NULL; }
static int ends[2];
WAITER(reads, char c; read(ends[0], &c, 1))
WAITER(spins, while (!never))
WAITER(locks, pthread_mutex_lock(&held))
WAITER(sleeps, sleep(1000))
WAITER(polls, poll(NULL, 0, -1))
WAITER(waits, wait(NULL))
WAITER(pauses, pause())
WAITER(takes, sigset_t s; int n; sigfillset(&s); sigwait(&s, &n))
WAITER(calls, syscall(SYS_getppid))
WAITER(maps, munmap(mmap(NULL, 65536, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 65536))
static void *starts(void *unused) {
    pthread_t t;
    sem_post(&ready);
    for (;;) {
        void *nothing(void *x) { return x; }
        if (pthread_create(&t, NULL, nothing, NULL) == 0) pthread_join(t, NULL);
    }
}

static void execute(const char *what) {
    char pid[16], mode[64];
    snprintf(pid, sizeof pid, "%d", getpid());
    snprintf(mode, sizeof mode, "after %s", what);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    // To the thread itself, where it waits.
    raise(SIGUSR2);
    execl(self, self, mode, pid, NULL);
    perror("execl");
    exit(1);
}

static void *executes(void *what) {
    execute(what);
    return NULL;
}

static void *fails(void *unused) {
    char *argv[] = {"x", NULL};
    SHOW(execv("/nonexistent", argv));
    SHOW(execv("/etc/passwd", argv));
    sem_post(&ready);
    return NULL;
}

static void crowd(void) {
    void *(*all[])(void *) = {reads, spins, locks, sleeps, polls, waits, pauses, takes, calls, maps, starts};
    pipe(ends);
    pthread_mutex_lock(&held);
    sem_init(&ready, 0, 0);
    pthread_t t;
    if (fork() == 0) {
        // Who reads what is shown waits for its end.
        for (int i = 0; i < 3; i++) close(i);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == 1) _exit(0);
        for (;;) pause();
    }
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        pthread_create(&t, NULL, all[i], NULL);
        sem_wait(&ready);
    }
    pthread_create(&t, NULL, fails, NULL);
    sem_wait(&ready);
}

// The new program.
static void look(const char *mode, const char *pid) {
    sigset_t set;
    int threads = 0;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *e; (e = readdir(tasks));) threads += e->d_name[0] != '.';
    printf("%s: pid %d, tid %d, threads %d\n", mode, getpid() == atoi(pid), gettid() == getpid(), threads);
    sigpending(&set);
    printf("waits: %d", sigismember(&set, SIGUSR2));
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    printf(", blocked: %d %d\n", sigismember(&set, SIGUSR2), sigismember(&set, SIGUSR1));
    char name[32] = "";
    prctl(PR_GET_NAME, name);
    printf("name %s\n", name);
    fflush(stdout);
}

int main(int argc, char **argv) {
    self = argv[0];
    if (argc == 3) {
        look(argv[1], argv[2]);
        return 5;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_t t;
    if (!strcmp(argv[1], "leader")) {
        crowd();
        execute("leader");
    } else if (!strcmp(argv[1], "other")) {
        crowd();
        pthread_create(&t, NULL, executes, "other");
        for (;;) pause();
    } else if (!strcmp(argv[1], "orphan")) {
        crowd();
        pthread_create(&t, NULL, executes, "orphan");
        pthread_exit(NULL);
    } else if (!strcmp(argv[1], "all")) {
        for (int i = 0; i < 8; i++) pthread_create(&t, NULL, executes, "all");
        execute("all");
    } else if (!strcmp(argv[1], "child")) {
        // A process forked off by another thread than the first has that one as its first.
        pid_t pid;
        void *forks(void *unused) {
            if ((pid = fork()) == 0) {
                crowd();
                pthread_create(&t, NULL, executes, "child");
                pthread_exit(NULL);
            }
            return NULL;
        }
        pthread_create(&t, NULL, forks, NULL);
        pthread_join(t, NULL);
        int status;
        waitpid(pid, &status, 0);
        printf("child: %d\n", WEXITSTATUS(status));
        return 0;
    } else if (!strcmp(argv[1], "last")) {
        // The status is that of the first thread, though it ends before others.
        sem_init(&ready, 0, 0);
        void *lasts(void *unused) {
            sem_post(&ready);
            struct timespec t = {0, 20000000};
            nanosleep(&t, NULL);
            puts("last");
            fflush(stdout);
            syscall(SYS_exit, 4);
            return NULL;
        }
        pthread_create(&t, NULL, lasts, NULL);
        sem_wait(&ready);
        syscall(SYS_exit, 3);
    }
    return 1;
}
