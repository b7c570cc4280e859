// Locks of all kinds between processes, shared offsets and memory over fork, memory files and their seals.
#include "show.h"
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

static int fd;
static int p[2], q[2];
static volatile int *deadlocks;
static int lk(int f, int command, int type, long start, long len) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return fcntl(f, command, &l);
}

// What stands in the way, and whose it is.
static void get(const char *what, int f, int command, int type, long start, long len, pid_t who) {
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    int r = fcntl(f, command, &l);
    const char *whose = l.l_type == F_UNLCK ? "nobody" : l.l_pid == who ? "expected" : l.l_pid == -1 ? "-1" : "other";
    printf("%s: %d type %d start %ld len %ld pid %s\n", what, r, l.l_type, (long)l.l_start, (long)l.l_len, whose);
}

static void tell(int *x) { write(x[1], "x", 1); }
static void hear(int *x) { char c; read(x[0], &c, 1); }
static void on(int s) {}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    pipe(p), pipe(q);
    deadlocks = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    put("f", "0123456789012345678901234567890123456789");
    fd = open("f", O_RDWR);
    SHOW(lk(fd, F_SETLK, F_WRLCK, 0, 10));
    pid_t me = getpid(), c = fork();
    if (!c) {
        int own = open("f", O_RDWR);
        get("parent's", own, F_GETLK, F_WRLCK, 5, 100, me);
        get("parent's by inherited", fd, F_GETLK, F_RDLCK, 0, 0, me);
        get("free", own, F_GETLK, F_WRLCK, 10, 5, me);
        SHOW(lk(own, F_SETLK, F_WRLCK, 0, 5));
        SHOW(lk(own, F_SETLK, F_WRLCK, 20, 5));
        tell(p), hear(q);
        // Each waits for the other; whoever comes second is told.
        deadlocks[1] = lk(own, F_SETLKW, F_WRLCK, 0, 10) && errno == EDEADLK;
        lk(own, F_SETLK, F_UNLCK, 20, 5);
        hear(q);
        SHOW(lk(own, F_SETLKW, F_WRLCK, 0, 10));
        get("mine", own, F_GETLK, F_WRLCK, 0, 100, me);
        tell(p), hear(q);
        exit(0);
    }
    hear(p);
    get("child's", fd, F_GETLK, F_WRLCK, 15, 100, c);
    tell(q);
    deadlocks[0] = lk(fd, F_SETLKW, F_WRLCK, 20, 5) && errno == EDEADLK;
    lk(fd, F_SETLK, F_UNLCK, 0, 0);
    tell(q), hear(p);
    SHOW(deadlocks[0] + deadlocks[1]);
    get("child's now", fd, F_GETLK, F_WRLCK, 0, 5, c);
    // The locks of a process that was killed are gone once it was waited for.
    kill(c, SIGKILL); waitpid(c, 0, 0);
    SHOW(lk(fd, F_SETLK, F_WRLCK, 0, 100));
    int other = open("f", O_RDONLY);
    close(other);
    if (!(c = fork())) {
        get("dropped by close", fd, F_GETLK, F_WRLCK, 0, 100, me);
        exit(0);
    }
    waitpid(c, 0, 0);
    // Locks of a description.
    int a = open("f", O_RDWR), b = open("f", O_RDWR);
    SHOW(lk(a, F_OFD_SETLK, F_WRLCK, 0, 10));
    SHOW(lk(b, F_OFD_SETLK, F_WRLCK, 0, 10));
    SHOW(lk(fd, F_SETLK, F_WRLCK, 0, 10));
    get("ofd", b, F_OFD_GETLK, F_WRLCK, 0, 10, 0);
    get("ofd by posix", fd, F_GETLK, F_WRLCK, 0, 10, 0);
    int d = dup(a);
    SHOW(lk(d, F_OFD_SETLK, F_WRLCK, 0, 20));
    close(a);
    SHOW(lk(b, F_OFD_SETLK, F_RDLCK, 15, 1));
    close(d);
    SHOW(lk(b, F_OFD_SETLK, F_RDLCK, 15, 1));
    close(b);
    // Locks of the whole file.
    a = open("f", O_RDWR), b = open("f", O_RDWR);
    SHOW(flock(a, LOCK_EX));
    SHOW(flock(b, LOCK_SH | LOCK_NB));
    SHOW(flock(dup(a), LOCK_UN));
    SHOW(flock(b, LOCK_SH | LOCK_NB));
    SHOW(flock(a, LOCK_EX | LOCK_NB));
    struct sigaction sa = {.sa_handler = on};
    sigaction(SIGALRM, &sa, 0);
    alarm_every(1);
    SHOW(flock(a, LOCK_EX));
    alarm_every(0);
    // A signal ends the wait.
    lk(fd, F_SETLK, F_UNLCK, 0, 0);
    if (!(c = fork())) {
        lk(fd, F_SETLK, F_WRLCK, 0, 0);
        tell(p);
        hear(q);
        exit(0);
    }
    hear(p);
    alarm_every(1);
    SHOW(lk(fd, F_SETLKW, F_RDLCK, 0, 1));
    alarm_every(0);
    tell(q);
    waitpid(c, 0, 0);
    SHOW(lk(fd, F_SETLKW, F_RDLCK, 0, 1));
    lk(fd, F_SETLK, F_UNLCK, 0, 0);
    // A process keeps its locks over execve.
    if (!(c = fork())) {
        lk(fd, F_SETLK, F_WRLCK, 3, 4);
        char script[64];
        sprintf(script, "echo >&%d; read x <&%d", p[1], q[0]);
        execl("/bin/sh", "sh", "-c", script, NULL);
    }
    hear(p);
    get("kept over exec", fd, F_GETLK, F_WRLCK, 0, 0, c);
    kill(c, SIGKILL);
    waitpid(c, 0, 0);
    get("gone", fd, F_GETLK, F_WRLCK, 0, 0, c);
    // Offsets are shared.
    lseek(fd, 3, 0);
    int dd = dup(fd);
    char x[4] = {0};
    read(dd, x, 2);
    puts(x);
    if (!(c = fork())) {
        read(fd, x, 2);
        puts(x);
        exit(0);
    }
    waitpid(c, 0, 0);
    SHOW(lseek(fd, 0, SEEK_CUR));
    // Memory over fork.
    char *s = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    char *fm = mmap(0, 40, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *pm = mmap(0, 40, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    pm[0] = 'P';
    if (!(c = fork())) {
        s[5000] = 9;
        fm[1] = 'M';
        pm[2] = 'C';
        exit(0);
    }
    waitpid(c, 0, 0);
    printf("%d %.4s %.4s\n", s[5000], fm, pm);
    // Memory files and their seals.
    int m = syscall(SYS_memfd_create, "name", 2);
    SHOW(ftruncate(m, 4096));
    SHOW(fcntl(m, F_GET_SEALS));
    char *w = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0);
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_WRITE));
    munmap(w, 4096);
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK));
    SHOW(write(m, "x", 1));
    SHOW(ftruncate(m, 1));
    SHOW(ftruncate(m, 8192));
    SHOW(fcntl(m, F_GET_SEALS));
    SHOW(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, m, 0) == MAP_FAILED);
    SHOW(mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, m, 0) != MAP_FAILED);
    SHOW(mmap(0, 4096, PROT_READ, MAP_SHARED, m, 0) != MAP_FAILED);
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_SEAL));
    SHOW(fcntl(m, F_ADD_SEALS, F_SEAL_GROW));
    SHOW(fcntl(fd, F_GET_SEALS));
    char n[100]={0};
    sprintf(n, "/proc/self/fd/%d", m);
    char l[100]={0};
    readlink(n, l, 99);
    puts(l);
    return 0;
}

