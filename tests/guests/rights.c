// What a right to a file, which argument 2 names, does not give. What came of each try is a line.
#include "show.h"
#include <sys/file.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <utime.h>

#define TRY(...) do { if ((long)(__VA_ARGS__) >= 0) printf("ESCAPED: %s\n", #__VA_ARGS__); else printf("held: %s: %s\n", #__VA_ARGS__, strerror(errno)); } while (0)

// `modify` gives the contents and nothing beside them.
static void attributes(const char *f) {
    char by_fd[64];
    int fd = open(f, O_RDWR), path = open(f, O_PATH);
    if (write(fd, "x", 1) != 1) puts("ESCAPED: not writable");
    snprintf(by_fd, sizeof by_fd, "/proc/self/fd/%d", fd);
    TRY(chmod(f, 0600));
    TRY(chmod(by_fd, 0600));
    TRY(fchmod(fd, 0600));
    TRY(fchmodat(AT_FDCWD, f, 0600, 0));
    TRY(chown(f, getuid(), -1));
    TRY(lchown(f, -1, getgid()));
    TRY(fchown(fd, getuid(), getgid()));
    TRY(fchownat(path, "", getuid(), -1, AT_EMPTY_PATH));
    TRY(utime(f, NULL));
    TRY(utimes(f, NULL));
    TRY(futimens(fd, NULL));
    TRY(utimensat(AT_FDCWD, f, NULL, AT_SYMLINK_NOFOLLOW));
    TRY(setxattr(f, "user.x", "x", 1, 0));
    TRY(fsetxattr(fd, "user.x", "x", 1, 0));
    TRY(removexattr(f, "user.x"));
    TRY(chmod("/dev/null", 0666));
    TRY(utime("/dev/null", NULL));
}

static int record(int fd, int command, int type) {
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET};
    return fcntl(fd, command, &lock);
}

// Another process tries all locks that conflict with those held.
static void other(const char *f, int expected) {
    int status;
    if (fork() == 0) {
        int fd = open(f, O_RDONLY);
        _exit((flock(fd, LOCK_SH | LOCK_NB) == 0) + (record(fd, F_OFD_SETLK, F_RDLCK) == 0) * 2);
    }
    wait(&status);
    if (WEXITSTATUS(status) != expected) printf("ESCAPED: the other gets %d\n", WEXITSTATUS(status));
}

// Every lock that a file which is open to read can have. Within the sandbox they hold.
static void locks(const char *f) {
    int fd = open(f, O_RDONLY), again = open(f, O_RDONLY);
    if (record(fd, F_SETLK, F_RDLCK) != 0 || record(again, F_OFD_SETLK, F_RDLCK) != 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
        printf("ESCAPED: no lock: %s\n", strerror(errno));
    TRY(flock(again, LOCK_SH | LOCK_NB));
    TRY(record(fd, F_SETLK, F_WRLCK));
    other(f, 2);
    puts("locked");
    fflush(stdout);
    getchar();
    flock(fd, LOCK_UN);
    other(f, 3);
}

// From outside: whether somebody has a lock, or has it open to write.
static void probe(const char *f) {
    int fd = open(f, O_RDWR);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || record(fd, F_SETLK, F_WRLCK) != 0) puts("it is locked");
    close(fd);
    puts("probed");
}

// The locks of a process stay its own as it opens the file for more.
static void widened(const char *f) {
    int to_read = open(f, O_RDONLY), to_write = open(f, O_WRONLY);
    struct flock first = {.l_type = F_RDLCK, .l_len = 5}, second = {.l_type = F_WRLCK, .l_start = 10, .l_len = 5};
    if (fcntl(to_read, F_SETLK, &first) != 0 || fcntl(to_write, F_SETLK, &second) != 0) puts("ESCAPED: no lock");
    fflush(stdout);
    if (fork() == 0) {
        int fd = open(f, O_RDWR);
        for (int at = 0; at < 15; at += 5) {
            struct flock seen = {.l_type = F_WRLCK, .l_start = at, .l_len = 5};
            fcntl(fd, F_GETLK, &seen);
            printf("held: %d to %d, type %d, %s\n", at, at + 5, seen.l_type, seen.l_pid == getppid() ? "the parent" : "nobody");
        }
        exit(0);
    }
    wait(NULL);
}

int main(int argc, char **argv) {
    struct { const char *name; void (*run)(const char *); } all[] = {
        {"attributes", attributes}, {"locks", locks}, {"probe", probe}, {"widened", widened}};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (argc > 2 && !strcmp(argv[1], all[i].name)) { all[i].run(argv[2]); return 0; }
    return 99;
}
