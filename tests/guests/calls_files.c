// Regular files: opening, positions, sizes, contents, metadata, locks, and copies within the kernel.
#include "show.h"
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/statfs.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static char big[1 << 20], back[1 << 20];

static void show_stat(const char *what, const struct stat *s) {
    printf("%s: mode %o links %ld size %ld uid %d mtime %ld.%09ld atime %ld.%09ld\n", what, s->st_mode, (long)s->st_nlink,
           (long)s->st_size, s->st_uid, (long)s->st_mtim.tv_sec, s->st_mtim.tv_nsec, (long)s->st_atim.tv_sec,
           s->st_atim.tv_nsec);
}

static void opening(void) {
    umask(027);
    SHOW(umask(022));
    SHOW(open("none", O_RDONLY));
    SHOW(open("a", O_RDWR | O_CREAT | O_EXCL, 0666));
    SHOW(open("a", O_RDWR | O_CREAT | O_EXCL, 0666));
    SHOW(open("a", O_RDONLY | O_DIRECTORY));
    SHOW(open("a/b", O_RDONLY));
    SHOW(open(".", O_WRONLY));
    SHOW(open(".", O_RDONLY | O_CREAT, 0600));
    SHOW(open("", O_RDONLY));
    SHOW(open((char *)8, O_RDONLY));
    SHOW(symlink("a", "l"));
    SHOW(symlink("loop", "loop"));
    SHOW(open("l", O_RDONLY | O_NOFOLLOW));
    SHOW(open("loop", O_RDONLY));
    SHOW(open("l", O_PATH | O_NOFOLLOW));
    char name[300];
    memset(name, 'n', 299);
    name[299] = 0;
    SHOW(open(name, O_RDWR | O_CREAT, 0600));
    SHOW(close(4));
    SHOW(close(4));
    SHOW(read(4, name, 1));
    int t = open(".", O_TMPFILE | O_RDWR, 0640);
    SHOW(t);
    if (t >= 0) {
        char path[40];
        SHOW(write(t, "temporary", 9));
        sprintf(path, "/proc/self/fd/%d", t);
        SHOW(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
        close(t);
    }
    SHOW(access("a", R_OK | W_OK));
    SHOW(access("a", X_OK));
    SHOW(access("none", F_OK));
    SHOW(faccessat(AT_FDCWD, "loop", F_OK, AT_SYMLINK_NOFOLLOW));
    SHOW(syscall(SYS_openat, AT_FDCWD, "a", O_RDONLY | 1 << 30, 0));
    SHOW(creat("c", 0777));
    SHOW(openat(3, "x", O_RDONLY));
    SHOW(openat(77, "x", O_RDONLY));
    SHOW(openat(77, "/dev/null", O_RDONLY));
}

static void positions(void) {
    int fd = open("p", O_RDWR | O_CREAT, 0644);
    char b[64] = {0};
    SHOW(write(fd, "0123456789", 10));
    SHOW(lseek(fd, -3, SEEK_END));
    SHOW(read(fd, b, 64));
    SHOW(read(fd, b, 64));
    SHOW(lseek(fd, -30, SEEK_CUR));
    SHOW(lseek(fd, 100, SEEK_SET));
    SHOW(read(fd, b, 4));
    SHOW(write(fd, "end", 3));
    SHOW(lseek(fd, 0, SEEK_DATA));
    SHOW(lseek(fd, 1000, SEEK_DATA));
    SHOW(lseek(fd, 0, 17));
    SHOW(pread(fd, b, 5, 98));
    show_bytes("pread", b, 5);
    SHOW(pread(fd, b, 5, -1));
    SHOW(pwrite(fd, "XY", 2, 1));
    SHOW(lseek(fd, 0, SEEK_CUR));
    struct iovec v[3] = {{b, 2}, {b + 10, 0}, {b + 20, 4}};
    SHOW(preadv(fd, v, 3, 0));
    show_bytes("preadv", b, 30);
    SHOW(preadv2(fd, v, 3, -1, 0));
    SHOW(preadv2(fd, v, 3, 0, 0x4000));
    SHOW(pwritev2(fd, (struct iovec[]){{"ap", 2}, {"pend", 4}}, 2, 0, RWF_APPEND));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(readv(fd, v, -1));
    SHOW(readv(fd, v, 2000));
    SHOW(writev(fd, (struct iovec[]){{"a", 1}, {(void *)8, 4}}, 2));
    SHOW(writev(fd, (struct iovec[]){{"a", 1}, {"b", -1L}}, 2));
    SHOW(write(fd, (void *)8, 5));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(read(fd, (void *)8, 5));
    SHOW(ftruncate(fd, 5));
    SHOW(ftruncate(fd, -1));
    SHOW(fallocate(fd, 0, 0, 9000));
    SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, 0, 2));
    SHOW(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL));
    SHOW(read(fd, b, 5));
    show_bytes("punched", b, 5);
    SHOW(truncate("p", 3));
    SHOW(lseek(fd, 0, SEEK_END));
    SHOW(fsync(fd));
    SHOW(fdatasync(fd));
    SHOW(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
    int available = -1;
    lseek(fd, 1, SEEK_SET);
    SHOW(ioctl(fd, FIONREAD, &available));
    SHOW(available);
    SHOW(isatty(fd));
    SHOW(close(fd));
}

static void appending(void) {
    int a = open("log", O_WRONLY | O_CREAT | O_APPEND, 0600), b = open("log", O_WRONLY | O_APPEND);
    SHOW(write(a, "one\n", 4));
    SHOW(write(b, "two\n", 4));
    SHOW(lseek(a, 0, SEEK_SET));
    SHOW(write(a, "three\n", 6));
    SHOW(fcntl(a, F_GETFL));
    SHOW(fcntl(a, F_SETFL, 0));
    SHOW(pwrite(a, "ONE", 3, 0));
    SHOW(fcntl(a, F_GETFL));
    SHOW(dup(a));
    SHOW(dup2(a, 50));
    SHOW(dup2(a, a));
    SHOW(dup3(a, a, 0));
    SHOW(dup3(a, 51, O_CLOEXEC));
    SHOW(fcntl(51, F_GETFD));
    SHOW(fcntl(50, F_GETFD));
    SHOW(fcntl(a, F_DUPFD, 60));
    SHOW(fcntl(a, F_DUPFD_CLOEXEC, 60));
    SHOW(lseek(50, 0, SEEK_CUR) == lseek(a, 0, SEEK_CUR));
    SHOW(close_range(50, 61, 0));
    SHOW(fcntl(60, F_GETFD));
    close(a);
    close(b);
}

// More than the channel holds at once.
static void large(void) {
    int fd = open("big", O_RDWR | O_CREAT, 0644);
    fill(big, sizeof big, 1);
    SHOW(write(fd, big, sizeof big));
    SHOW(pread(fd, back, sizeof back, 12345));
    printf("%016lx\n", sum(back, sizeof back - 12345));
    struct iovec v[64];
    for (int i = 0; i < 64; i++) v[i] = (struct iovec){back + i * 16000, 1 + i * 250};
    SHOW(preadv(fd, v, 64, 777));
    printf("%016lx\n", sum(back, sizeof back));
    SHOW(pwritev(fd, v, 64, 1 << 19));
    SHOW(lseek(fd, 0, SEEK_SET));
    memset(back, 0, sizeof back);
    SHOW(read(fd, back, sizeof back + 0));
    printf("%016lx\n", sum(back, sizeof back));

    int to = open("copy", O_RDWR | O_CREAT | O_TRUNC, 0644);
    off_t at = 1000;
    loff_t from = 5, into = 7;
    SHOW(sendfile(to, fd, &at, 700000));
    SHOW(at);
    SHOW(sendfile(to, fd, 0, 10));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(sendfile(to, fd, 0, 10));
    SHOW(lseek(fd, 0, SEEK_CUR));
    SHOW(copy_file_range(fd, &from, to, &into, 400000, 0));
    SHOW(from);
    SHOW(into);
    SHOW(copy_file_range(fd, 0, to, 0, 100, 1));
    SHOW(lseek(to, 0, SEEK_SET));
    memset(back, 0, sizeof back);
    SHOW(read(to, back, sizeof back));
    printf("%016lx\n", sum(back, sizeof back));
    close(fd);
    close(to);
}

static void metadata(void) {
    struct stat s;
    put("m", "hello");
    struct timespec times[2] = {{100, 5}, {200, 999999999}};
    SHOW(utimensat(AT_FDCWD, "m", times, 0));
    SHOW(stat("m", &s));
    show_stat("stat", &s);
    times[0].tv_nsec = UTIME_OMIT;
    times[1] = (struct timespec){300, 1};
    int fd = open("m", O_RDONLY);
    SHOW(futimens(fd, times));
    SHOW(fstat(fd, &s));
    show_stat("fstat", &s);
    times[0].tv_nsec = 1 << 30;
    SHOW(utimensat(AT_FDCWD, "m", times, 0));
    SHOW(chmod("m", 04751));
    SHOW(fchmod(fd, 0640));
    SHOW(fstatat(fd, "", &s, AT_EMPTY_PATH));
    show_stat("by descriptor", &s);
    SHOW(fstatat(fd, "", &s, 0));
    SHOW(fstatat(AT_FDCWD, "", &s, AT_EMPTY_PATH));
    SHOW(S_ISDIR(s.st_mode));
    SHOW(lstat("l", &s));
    SHOW(s.st_mode == (S_IFLNK | 0777) && s.st_size == 1);
    SHOW(stat("loop", &s));
    SHOW(fstat(99, &s));
    SHOW(stat("m", (void *)8));
    struct statx x;
    SHOW(statx(AT_FDCWD, "m", 0, STATX_BASIC_STATS, &x));
    printf("statx: %o %ld %ld\n", x.stx_mode, (long)x.stx_size, (long)x.stx_mtime.tv_sec);
    SHOW(statx(AT_FDCWD, "m", 0x40000, STATX_BASIC_STATS, &x));
    SHOW(chown("m", -1, -1));
    SHOW(fchownat(fd, "", -1, -1, AT_EMPTY_PATH));
    SHOW(lchown("l", getuid(), getgid()));
    struct statfs f, g;
    SHOW(statfs("m", &f));
    SHOW(fstatfs(fd, &g));
    SHOW(f.f_type == g.f_type && f.f_bsize == g.f_bsize && f.f_namelen == 255);
    SHOW(statfs("none", &f));

    char value[64];
    SHOW(setxattr("m", "user.one", "1st", 3, XATTR_CREATE));
    SHOW(setxattr("m", "user.one", "2nd", 3, XATTR_CREATE));
    SHOW(fsetxattr(fd, "user.two", "second", 6, 0));
    SHOW(getxattr("m", "user.one", value, 64));
    SHOW(getxattr("m", "user.one", value, 2));
    SHOW(getxattr("m", "user.two", 0, 0));
    SHOW(fgetxattr(fd, "user.three", value, 64));
    SHOW(listxattr("m", value, 64));
    SHOW(listxattr("m", 0, 0));
    SHOW(removexattr("m", "user.two"));
    SHOW(fremovexattr(fd, "user.two"));
    SHOW(lsetxattr("l", "user.x", "v", 1, 0));
    SHOW(setxattr("m", "nonsense", "v", 1, 0));
    SHOW(getxattr("m", "user.one", (void *)8, 64));
    close(fd);
}

static void locks(void) {
    int a = open("lock", O_RDWR | O_CREAT, 0600), b = open("lock", O_RDWR);
    SHOW(flock(a, LOCK_EX | LOCK_NB));
    SHOW(flock(b, LOCK_SH | LOCK_NB));
    SHOW(flock(a, LOCK_UN));
    SHOW(flock(b, LOCK_SH | LOCK_NB));
    SHOW(flock(b, 77));
    struct flock l = {.l_type = F_WRLCK, .l_start = 10, .l_len = 20};
    SHOW(fcntl(a, F_SETLK, &l));
    SHOW(fcntl(b, F_SETLK, &l));
    l.l_pid = 0;
    SHOW(fcntl(a, F_OFD_SETLK, &l));
    l.l_type = F_UNLCK;
    SHOW(fcntl(a, F_SETLK, &l));
    l.l_type = F_WRLCK;
    SHOW(fcntl(a, F_OFD_SETLK, &l));
    SHOW(fcntl(b, F_OFD_SETLK, &l));
    SHOW(fcntl(b, F_OFD_GETLK, &l));
    printf("lock %d %ld %ld %d\n", l.l_type, (long)l.l_start, (long)l.l_len, l.l_pid);
    close(a);
    l = (struct flock){.l_type = F_WRLCK};
    SHOW(fcntl(b, F_OFD_SETLK, &l));
    SHOW(lockf(b, F_TLOCK, 5));
    close(b);
}

static void devices(void) {
    char b[16] = "unchanged";
    int null = open("/dev/null", O_RDWR), zero = open("/dev/zero", O_RDWR), full = open("/dev/full", O_RDWR);
    SHOW(write(null, big, sizeof big));
    SHOW(read(null, b, 16));
    SHOW(read(zero, b, 16));
    show_bytes("zero", b, 16);
    memset(back, 1, sizeof back);
    SHOW(read(zero, back, sizeof back));
    printf("%016lx\n", sum(back, sizeof back));
    SHOW(write(full, b, 1));
    SHOW(lseek(null, 5, SEEK_SET));
    SHOW(ioctl(null, TCGETS, b));
    SHOW(read(open("/dev/urandom", O_RDONLY), back, 300000));
    struct stat s;
    fstat(null, &s);
    printf("%o %lx\n", s.st_mode, (long)s.st_rdev);
}

int main(void) {
    opening();
    positions();
    appending();
    large();
    metadata();
    locks();
    devices();
    return 0;
}
