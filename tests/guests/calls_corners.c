// Locks, flags and sizes of descriptors that are none of a regular file, and calls at the borders of what
// they take.
#include "show.h"
#include <linux/fs.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <limits.h>

#define RAW(name, ...) SHOW(syscall(SYS_##name, ##__VA_ARGS__))

static void locks(void) {
    int pipes[2], pair[2];
    SHOW(pipe(pipes));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    int fds[] = {pipes[0], pipes[1], pair[0], open("d", O_RDONLY), open("/dev/null", O_RDWR),
        open("/proc/self/status", O_RDONLY),
        open("f", O_RDWR), open("f", O_PATH), open("f", O_RDONLY), timerfd_create(CLOCK_MONOTONIC, 0)};
    for (int i = 0; i < 10; i++) {
        struct flock write = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1},
            read = {.l_type = F_RDLCK}, get = write;
        printf("descriptor %d\n", i);
        SHOW(fcntl(fds[i], F_SETLK, &write));
        SHOW(fcntl(fds[i], F_SETLK, &read));
        SHOW(fcntl(fds[i], F_GETLK, &get)); SHOW(get.l_type);
        get = write;
        SHOW(fcntl(fds[i], F_SETLK, &(struct flock){.l_type = F_UNLCK}));
        SHOW(fcntl(fds[i], F_OFD_GETLK, &get)); SHOW(fcntl(fds[i], F_OFD_SETLK, &read));
        SHOW(fcntl(fds[i], F_OFD_SETLK, &write));
        write.l_type = F_UNLCK;
        SHOW(fcntl(fds[i], F_SETLK, &write)); SHOW(fcntl(fds[i], F_OFD_SETLK, &write));
        SHOW(flock(fds[i], LOCK_SH | LOCK_NB)); SHOW(flock(fds[i], LOCK_EX | LOCK_NB));
        SHOW(flock(fds[i], LOCK_UN));
        SHOW(flock(fds[i], 0)); SHOW(flock(fds[i], 99));
        struct f_owner_ex owner = {0};
        SHOW(fcntl(fds[i], F_GETOWN_EX, &owner)); SHOW(fcntl(fds[i], F_SETOWN_EX, &owner));
        SHOW(fcntl(fds[i], F_GETOWN)); SHOW(fcntl(fds[i], F_SETOWN, 0));
        SHOW(fcntl(fds[i], F_GETPIPE_SZ)); SHOW(fcntl(fds[i], F_GET_SEALS)); SHOW(fcntl(fds[i], F_GETSIG));
        SHOW(fcntl(fds[i], F_SETSIG, 0));
        SHOW(fcntl(fds[i], F_GETLEASE)); SHOW(fcntl(fds[i], F_SETLEASE, F_UNLCK));
        SHOW(fcntl(fds[i], F_NOTIFY, 0)); SHOW(fcntl(fds[i], 99, 0));
        SHOW(fallocate(fds[i], 0, 0, 10)); SHOW(ftruncate(fds[i], 5)); SHOW(fsync(fds[i]));
        SHOW(fdatasync(fds[i])); SHOW(sync_file_range(fds[i], 0, 0, 0)); SHOW(syncfs(fds[i]));
        SHOW(posix_fadvise(fds[i], 0, 0, 0)); SHOW(readahead(fds[i], 0, 10));
        SHOW(lseek(fds[i], 0, SEEK_CUR)); SHOW(lseek(fds[i], 0, 99)); SHOW(lseek(fds[i], -5, SEEK_SET));
        SHOW((long)mmap(0, 4096, PROT_READ, MAP_SHARED, fds[i], 0) == -1 ? -1 : 0);
        SHOW((long)mmap(0, 4096, PROT_WRITE, MAP_SHARED, fds[i], 0) == -1 ? -1 : 0);
        SHOW(syscall(SYS_accept, fds[i], 0, 0)); SHOW(listen(fds[i], 1));
        int n; SHOW(ioctl(fds[i], FS_IOC_GETFLAGS, &n));
    }
    SHOW(fcntl(pipes[1], F_SETPIPE_SZ, 1 << 30)); SHOW(fcntl(pipes[1], F_SETPIPE_SZ, -1));
    SHOW(fcntl(pipes[1], F_SETPIPE_SZ, 0)); SHOW(fcntl(pipes[1], F_SETPIPE_SZ, 5000));
    SHOW(fcntl(pipes[1], F_SETPIPE_SZ, 1 << 20));
    SHOW(fcntl(open("f", O_RDONLY | O_NOFOLLOW), F_GETFL));
    SHOW(fcntl(open("f", O_RDWR | O_CREAT | O_APPEND | O_NOATIME, 0600), F_GETFL));
    SHOW(fcntl(open("d", O_RDONLY | O_DIRECTORY), F_GETFL));
    SHOW(fcntl(open("f", O_PATH | O_NOFOLLOW), F_GETFL));
    SHOW(fcntl(open("f", O_RDONLY | O_SYNC), F_GETFL));
}

static void borders(void) {
    int file = open("f", O_RDWR), other = open("g", O_RDWR | O_CREAT, 0600), pipes[2];
    struct timespec omit[2] = {{0, UTIME_OMIT}, {0, UTIME_OMIT}}, odd[2] = {{5, UTIME_OMIT}, {7, UTIME_NOW}},
        t = {0, 1000}, bad = {0, -1};
    SHOW(utimensat(AT_FDCWD, "none", omit, 0)); SHOW(utimensat(99, 0, omit, 0));
    SHOW(utimensat(99, "f", omit, 0)); SHOW(utimensat(AT_FDCWD, "none", omit, 99));
    SHOW(utimensat(AT_FDCWD, "f", odd, 0));
    SHOW(poll(0, 1 << 30, 0)); SHOW(poll(0, 100000, 0)); SHOW(sendfile(-1, -1, 0, 1));
    SHOW(sendfile(-1, file, 0, 0)); SHOW(sendfile(file, other, 0, 0)); SHOW(sendfile(other, file, 0, 3));
    off_t far = LONG_MAX - 5, none = 0, negative = -1;
    SHOW(copy_file_range(file, &far, other, 0, 100, 0));
    SHOW(copy_file_range(file, &none, other, &far, 100, 0));
    SHOW(copy_file_range(file, &negative, other, 0, 1, 0)); SHOW(copy_file_range(file, 0, other, 0, 1, 1));
    SHOW(copy_file_range(file, 0, file, 0, 10, 0)); SHOW(sendfile(other, file, &negative, 1));
    SHOW(sendfile(other, file, &far, 100));
    SHOW(fallocate(file, 0, LONG_MAX, 10)); SHOW(fallocate(file, 0, -1, 10)); SHOW(fallocate(file, 0, 0, 0));
    SHOW(fallocate(file, 0x100, 0, 1)); SHOW(fallocate(file, FALLOC_FL_PUNCH_HOLE, 0, 1));
    SHOW(ftruncate(file, -1)); SHOW(truncate("f", -1)); SHOW(truncate("none", -1));
    SHOW(pread(file, &t, 8, LONG_MAX)); SHOW(pwrite(file, &t, 8, LONG_MAX)); SHOW(readahead(file, -1, 1));
    RAW(execveat, -1, "", 0, 0, AT_EMPTY_PATH); RAW(execveat, -1, "x", 0, 0, 0);
    RAW(execveat, file, "", 0, 0, 0); RAW(execveat, file, "x", 0, 0, 0);
    RAW(clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &t, 0); RAW(clock_nanosleep, 99, 0, &t, 0);
    RAW(clock_nanosleep, CLOCK_MONOTONIC, 0, &bad, 0); RAW(clock_nanosleep, CLOCK_MONOTONIC_RAW, 0, &t, 0);
    RAW(clock_nanosleep, CLOCK_MONOTONIC_COARSE, 0, &t, 0);
    RAW(clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &bad, 0);
    RAW(clock_settime, CLOCK_MONOTONIC, &t); RAW(clock_settime, 99, &t);
    RAW(clock_settime, CLOCK_MONOTONIC, 0);
    RAW(mlock, -4096L, 4096L); RAW(mlock, 0x7f0000000000, 4096L); RAW(munlock, -4096L, 4096L);
    RAW(mlock, -1L, 2L); RAW(mlock2, 0, 0, 99); RAW(mlockall, 0); RAW(mlockall, 99);
    struct futex_waitv waiter = {.uaddr = (uintptr_t)&t + 1, .flags = FUTEX_32};
    RAW(futex_waitv, &waiter, 1, 0, 0, 0); waiter.uaddr--; waiter.flags = 99;
    RAW(futex_waitv, &waiter, 1, 0, 0, 0); waiter.flags = FUTEX_32; waiter.val = 77;
    RAW(futex_waitv, &waiter, 1, 0, 0, 0); RAW(futex_waitv, &waiter, 0, 0, 0, 0); waiter.val = 0;
    RAW(futex_waitv, &waiter, 1, 0, &bad, CLOCK_MONOTONIC); RAW(futex_waitv, &waiter, 1, 0, &t, 99);
    RAW(futex_waitv, 0, 1, 0, 0, 0); RAW(futex_waitv, &waiter, 129, 0, 0, 0);
    RAW(futex, &t, FUTEX_WAIT, 5, &bad, 0, 0); RAW(futex, (char *)&t + 1, FUTEX_WAKE, 1, 0, 0, 0);
    RAW(futex, &t, FUTEX_WAKE_BITSET, 1, 0, 0, 0); RAW(futex, &t, FUTEX_WAIT_BITSET, 0, 0, 0, 0);
    char *pages = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages + 8192, 8192, PROT_NONE);
    pipe(pipes);
    SHOW(write(pipes[1], pages + 4096, 8192)); SHOW(write(pipes[1], pages + 8192 - 5, 10)); int there = 0;
    ioctl(pipes[0], FIONREAD, &there); SHOW(there);
    SHOW(write(other, pages + 8192 - 5, 10)); SHOW(read(pipes[0], pages + 8192 - 3, 10));
    RAW(prctl, PR_SET_TIMERSLACK, 12345); RAW(prctl, PR_GET_TIMERSLACK);
    int status;
    fflush(stdout);
    if (!fork()) { SHOW(prctl(PR_GET_TIMERSLACK)); fflush(stdout); _exit(0); }
    wait(&status);
    RAW(madvise, pages, 4096, MADV_MERGEABLE); RAW(madvise, pages, 4096, MADV_UNMERGEABLE);
    RAW(madvise, pages, 4096, MADV_HUGEPAGE); RAW(madvise, pages, 4096, 25);
    RAW(madvise, pages, 4096, MADV_DONTDUMP); RAW(madvise, pages, 4096, MADV_WIPEONFORK);
    RAW(madvise, pages, 4096, MADV_POPULATE_WRITE);
    RAW(fcntl, file, 1027, file); RAW(fcntl, file, 1027, other);
    struct iovec here = {pages, 5}, there_v = {"hello", 5}, nowhere = {pages + 8192, 5}, half[] = {{"ab", 2},
        {pages + 8192, 3}};
    RAW(process_vm_readv, getpid(), &here, 1, &there_v, 1, 0); show_bytes("read", pages, 5);
    RAW(process_vm_writev, getpid(), &there_v, 1, &here, 1, 0);
    RAW(process_vm_readv, getpid(), &here, 1, &nowhere, 1, 0);
    RAW(process_vm_readv, getpid(), &here, 1, half, 2, 0);
    RAW(process_vm_readv, getpid(), &here, 1, &there_v, 1, 1);
    RAW(process_vm_readv, 99999999, &here, 1, &there_v, 1, 0);
    RAW(process_vm_readv, getpid(), &here, 0, &there_v, 1, 0);
    RAW(process_vm_readv, getpid(), &nowhere, 1, &there_v, 1, 0);
    struct iovec spliced = {"spliced", 7}, into = {pages, 7};
    read(pipes[0], pages, 4096);
    RAW(vmsplice, pipes[1], &spliced, 1, 0); RAW(vmsplice, pipes[0], &into, 1, 0);
    show_bytes("spliced", pages, 7); RAW(vmsplice, file, &spliced, 1, 0);
    RAW(vmsplice, pipes[1], &spliced, 1, 99); RAW(vmsplice, pipes[1], &nowhere, 1, 0);
    RAW(vmsplice, pipes[1], 0, 1, 0);
}

static void usage(void) {
    if (!fork()) {
        char *much = malloc(50 << 20);
        memset(much, 1, 50 << 20);
        _exit(much[5] - 1);
    }
    struct rusage children, self;
    wait(0);
    SHOW(getrusage(RUSAGE_CHILDREN, &children)); SHOW(getrusage(RUSAGE_SELF, &self));
    SHOW(children.ru_maxrss > 50000 && children.ru_maxrss < 5000000); SHOW(self.ru_maxrss > 100); 
}

int main(void) {
    put("f", "hello, world");
    mkdir("d", 0700);
    locks();
    borders();
    usage();
}
