// What a program is started with, written to the file that the first argument names: what is there before
// anything is opened.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

static char text[1 << 16];
static int used;
#define SAY(...) (used += snprintf(text + used, sizeof text - used, __VA_ARGS__))

static void signals(void) {
    uint64_t blocked = 0, ignored = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, 0, &blocked, 8);
    for (int n = 1; n <= 64; n++) {
        uint64_t action[4] = {0};
        if (syscall(SYS_rt_sigaction, n, 0, action, 8) == 0 && action[0] == 1) ignored |= 1ul << (n - 1);
        if (action[0] > 1) SAY("handler of %d\n", n);
    }
    SAY("blocked %016lx ignored %016lx\n", blocked, ignored);
}

static void limits(void) {
    for (int n = 0; n < 16; n++) {
        struct rlimit limit;
        if (getrlimit(n, &limit) == 0) SAY("limit %d: %lx %lx\n", n, limit.rlim_cur, limit.rlim_max);
    }
}

static void descriptors(void) {
    for (int fd = 0; fd < 200; fd++) {
        int flags = fcntl(fd, F_GETFD), status = fcntl(fd, F_GETFL);
        struct stat seen;
        if (flags < 0 && errno == EBADF) {
            if (fd < 3) SAY("%d: closed\n", fd);
            continue;
        }
        if (fstat(fd, &seen) < 0) seen.st_mode = 0;
        SAY("%d: flags %x status %x type %o offset %ld\n", fd, flags, status, seen.st_mode & S_IFMT,
            S_ISREG(seen.st_mode) ? (long)lseek(fd, 0, SEEK_CUR) : 0);
    }
}

int main(int argc, char **argv) {
    for (int n = 0; n < argc; n++) SAY("argument \"%s\"\n", argv[n]);
    for (char **word = environ; *word; word++) SAY("environment \"%s\"\n", *word);
    signals();
    limits();
    descriptors();
    mode_t mask = umask(0);
    SAY("umask %o personality %x priority %d\n", mask, personality(0xffffffff), getpriority(PRIO_PROCESS, 0));
    char cwd[4096];
    if (getcwd(cwd, sizeof cwd)) SAY("in %s\n", cwd);
    else SAY("in no directory: %s\n", strerrorname_np(errno));
    int report = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (report < 0 || write(report, text, used) != used) return 1;
    return 0;
}
