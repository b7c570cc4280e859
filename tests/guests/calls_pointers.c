// Null pointers and pointers that lead nowhere: each is EFAULT, or says that there is none, as its call has
// it; and
// what a call looks at before its memory is what it complains of.
#include "show.h"
#include <mqueue.h>
#include <poll.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sem.h>
#include <sys/sendfile.h>
#include <sys/shm.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/times.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <utime.h>

// Calls past libc, which looks at some pointers itself.
#define RAW(name, ...) SHOW(syscall(SYS_##name, ##__VA_ARGS__))

static char *nowhere, *readonly, buf[8192];
static int file, folder, pipes[2], sockets[2], listener, epoll;

// How many numbers below 64 are open: none is left behind by a call that fails.
static int count_open(void) {
    int n = 0;
    for (int fd = 0; fd < 64; fd++) n += fcntl(fd, F_GETFD) != -1;
    errno = 0;
    return n;
}

static void files(void) {
    for (int bad = 0; bad < 2; bad++) {
        void *p = bad ? nowhere : 0;
        RAW(stat, "f", p); RAW(lstat, "f", p); RAW(fstat, file, p); RAW(newfstatat, AT_FDCWD, "f", p, 0);
        RAW(stat, p, buf); RAW(stat, "none", p); RAW(fstat, 99, p);
        RAW(statx, AT_FDCWD, "f", 0, STATX_ALL, p); RAW(statx, 99, "f", 0, STATX_ALL, p);
        RAW(statfs, "f", p); RAW(fstatfs, file, p); RAW(statfs, "none", p);
        RAW(open, p, O_RDONLY); RAW(openat, 99, p, O_RDONLY); RAW(access, p, 0); RAW(mkdir, p, 0700);
        RAW(rename, "f", p); RAW(rename, p, "f"); RAW(link, "f", p); RAW(unlink, p); RAW(chdir, p);
        RAW(symlink, p, "s"); RAW(symlink, "s", p); RAW(truncate, p, 0); RAW(chmod, p, 0600);
        RAW(readlink, "l", p, 50); RAW(readlink, p, buf, 50); RAW(readlink, "none", p, 50);
        RAW(readlink, "l", p, 0);
        RAW(getcwd, p, 100); RAW(getcwd, p, 0); RAW(getcwd, p, 1);
        RAW(setxattr, "f", "user.a", p, 1, 0); RAW(setxattr, "f", p, buf, 1, 0);
        RAW(setxattr, "none", "user.a", p, 1, 0);
        RAW(fsetxattr, file, "user.a", p, 1, 0); RAW(fsetxattr, 99, "user.a", p, 1, 0);
        RAW(setxattr, "f", "user.none", p, 0, 0); RAW(removexattr, "f", p);
        RAW(removexattr, "f", "user.none");
        RAW(setxattr, "f", "user.a", "xyz", 3, 0);
        RAW(getxattr, "f", "user.a", p, 50); RAW(getxattr, "f", "user.a", p, 0);
        RAW(getxattr, "f", p, buf, 9);
        RAW(getxattr, "f", "user.a", p, 1); RAW(getxattr, "f", "user.b", p, 50);
        RAW(listxattr, "f", p, 50); RAW(listxattr, "f", p, 0); RAW(flistxattr, file, p, 50);
        RAW(getdents64, folder, p, 1000); RAW(getdents64, 99, p, 1000); RAW(getdents64, file, p, 1000);
        RAW(getdents64, folder, p, 0); RAW(inotify_add_watch, 99, p, IN_OPEN);
        RAW(openat2, AT_FDCWD, "f", p, 24); RAW(openat2, AT_FDCWD, p, buf, 24);
    }
    RAW(utime, "f", 0); RAW(utime, "f", nowhere); RAW(utime, 0, 0); RAW(utimes, "f", 0); RAW(utimes, 0, 0);
    RAW(utimes, "f", nowhere); RAW(futimesat, AT_FDCWD, 0, 0); RAW(futimesat, file, 0, 0);
    RAW(futimesat, 99, 0, 0);
    RAW(utimensat, file, 0, 0, 0); RAW(utimensat, AT_FDCWD, 0, 0, 0); RAW(utimensat, 99, 0, 0, 0);
    RAW(utimensat, AT_FDCWD, "f", nowhere, 0); RAW(utimensat, AT_FDCWD, nowhere, 0, 0);
    RAW(newfstatat, file, 0, buf, AT_EMPTY_PATH); RAW(newfstatat, file, 0, buf, 0);
    RAW(newfstatat, 99, 0, buf, AT_EMPTY_PATH);
    RAW(statx, file, 0, AT_EMPTY_PATH, STATX_ALL, buf); RAW(statx, file, 0, 0, STATX_ALL, buf);
    RAW(newfstatat, file, nowhere, buf, AT_EMPTY_PATH);
    RAW(fchownat, file, 0, -1, -1, AT_EMPTY_PATH);
    RAW(stat, "f", readonly); RAW(getcwd, readonly, 100); RAW(getxattr, "f", "user.a", readonly, 50);
}

static void descriptors(void) {
    for (int bad = 0; bad < 2; bad++) {
        void *p = bad ? nowhere : 0;
        RAW(read, file, p, 5); RAW(read, file, p, 0); RAW(read, 99, p, 5); RAW(read, folder, p, 5);
        RAW(write, file, p, 5); RAW(write, file, p, 0); RAW(write, 99, p, 5);
        RAW(pread64, file, p, 5, 1L << 40);
        RAW(pread64, file, p, 5, 0L); RAW(pread64, file, p, 5, -1L); RAW(pwrite64, file, p, 5, 0L);
        RAW(readv, file, p, 1); RAW(readv, file, p, 0); RAW(readv, 99, p, 1); RAW(writev, file, p, 1);
        RAW(writev, file, p, 0);
        RAW(read, pipes[0], p, 5); RAW(readv, pipes[0], p, 1); RAW(write, pipes[1], p, 5);
        RAW(pipe, p); RAW(pipe2, p, O_CLOEXEC); RAW(pipe2, p, 99);
        RAW(socketpair, AF_UNIX, SOCK_STREAM, 0, p);
        RAW(poll, p, 1, 0); RAW(poll, p, 0, 0); RAW(ppoll, p, 1, p, 0, 8L);
        RAW(epoll_ctl, epoll, EPOLL_CTL_ADD, pipes[1], p); RAW(epoll_ctl, epoll, EPOLL_CTL_MOD, pipes[1], p);
        RAW(epoll_ctl, epoll, EPOLL_CTL_DEL, pipes[1], p); RAW(epoll_ctl, 99, EPOLL_CTL_ADD, pipes[1], p);
        RAW(epoll_ctl, 99, EPOLL_CTL_DEL, pipes[1], p); RAW(epoll_wait, epoll, p, 1, 0);
        RAW(epoll_wait, epoll, p, 0, 0);
        RAW(sendfile, pipes[1], file, bad ? p : 0, 0); RAW(sendfile, 99, file, bad ? p : 0, 5);
        RAW(copy_file_range, file, bad ? p : 0, 99, 0, 5, 0); RAW(splice, 99, bad ? p : 0, pipes[1], 0, 5, 0);
        RAW(timerfd_settime, 99, 0, p, 0); RAW(signalfd4, -1, p, 8L, 0); RAW(memfd_create, p, 0);
        RAW(fcntl, file, F_GETLK, p); RAW(fcntl, file, F_SETLK, p); RAW(fcntl, 99, F_GETLK, p);
        RAW(fcntl, file, F_GETOWN_EX, p); RAW(fcntl, file, F_SETOWN_EX, p);
        RAW(getrandom, p, 5, 0); RAW(getrandom, p, 0, 0); RAW(getrandom, p, 5, 99);
    }
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    struct itimerspec none = {0};
    RAW(timerfd_settime, timer, 0, &none, 0); RAW(timerfd_settime, timer, 0, &none, nowhere);
    RAW(timerfd_gettime, timer, 0);
    struct timespec t = {0, 1000};
    memcpy(buf, &t, sizeof t);
    RAW(pselect6, 0, 0, 0, 0, readonly, 0); RAW(ppoll, 0, 0, readonly, 0, 8L);
    RAW(select, 0, 0, 0, 0, readonly);
    RAW(pselect6, 5, nowhere, 0, 0, readonly, 0); RAW(pselect6, 0, nowhere, 0, 0, nowhere, 0);
    RAW(pipe, readonly); RAW(pipe, nowhere - 4); RAW(socketpair, AF_UNIX, SOCK_STREAM, 0, readonly);
    struct epoll_event e = {.events = EPOLLOUT | EPOLLONESHOT};
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[1], &e));
    RAW(epoll_wait, epoll, readonly, 1, 0); RAW(epoll_wait, epoll, 0, 1, 0);
    SHOW(epoll_wait(epoll, &e, 1, 0));
    struct iovec past[] = {{buf, 5}, {(void *)-4096, 5}}, kernel[] = {{buf, 5}, {buf, 1L << 47}},
        negative[] = {{buf, 5}, {buf, -1}};
    RAW(readv, file, past, 2); RAW(writev, file, past, 2); RAW(readv, file, kernel, 2);
    RAW(readv, file, negative, 2);
    RAW(preadv, file, past, 2, 0, 0); RAW(readv, 99, past, 2); RAW(readv, file, past, 1025);
    RAW(readv, pipes[0], past, 2);
    struct iovec half[] = {{buf, 5}, {nowhere, 5}};
    RAW(pread64, file, buf, 3, 0L); RAW(preadv, file, half, 2, 0, 0);
    SHOW(lseek(file, 0, SEEK_CUR));
    SHOW(count_open());
    close(timer);
}

static void requests(void) {
    int master, slave;
    struct termios before, after;
    SHOW(openpty(&master, &slave, 0, 0, 0));
    SHOW(tcgetattr(slave, &before));
    for (int bad = 0; bad < 2; bad++) {
        void *p = bad ? nowhere : 0;
        RAW(ioctl, slave, TCGETS, p); RAW(ioctl, slave, TCSETS, p); RAW(ioctl, slave, TCSETSW, p);
        RAW(ioctl, slave, TIOCGWINSZ, p);
        RAW(ioctl, slave, TIOCSWINSZ, p); RAW(ioctl, slave, FIONREAD, p); RAW(ioctl, file, TCGETS, p);
        RAW(ioctl, file, TIOCGWINSZ, p);
        RAW(ioctl, file, FIONREAD, p); RAW(ioctl, file, FIONBIO, p); RAW(ioctl, sockets[0], FIONBIO, p);
        RAW(ioctl, 99, FIONBIO, p);
        RAW(ioctl, -1, FIONBIO, p); RAW(ioctl, -1, 0L, p); RAW(ioctl, pipes[0], FIONREAD, p);
        RAW(ioctl, sockets[0], FIOASYNC, p);
        RAW(ioctl, sockets[0], SIOCGIFFLAGS, p); RAW(ioctl, sockets[0], SIOCGIFCONF, p);
        RAW(ioctl, file, 0x6601, p);
    }
    SHOW(tcgetattr(slave, &after));
    SHOW(memcmp(&before, &after, sizeof before));
    close(master);
    close(slave);
}

static void of_sockets(void) {
    socklen_t len = sizeof(struct sockaddr_un), negative = -1, none = 0;
    int one = 1;
    for (int bad = 0; bad < 2; bad++) {
        void *p = bad ? nowhere : 0;
        RAW(setsockopt, sockets[0], SOL_SOCKET, SO_REUSEADDR, p, 4);
        RAW(setsockopt, sockets[0], SOL_SOCKET, SO_REUSEADDR, p, 0);
        RAW(setsockopt, 99, SOL_SOCKET, SO_REUSEADDR, p, 4);
        RAW(setsockopt, file, SOL_SOCKET, SO_REUSEADDR, p, 4);
        RAW(getsockopt, sockets[0], SOL_SOCKET, SO_TYPE, p, &len);
        RAW(getsockopt, sockets[0], SOL_SOCKET, SO_TYPE, &one, p);
        RAW(getsockopt, 99, SOL_SOCKET, SO_TYPE, &one, p); RAW(connect, sockets[0], p, 16);
        RAW(connect, 99, p, 16); RAW(bind, sockets[0], p, 16);
        RAW(bind, file, p, 16); RAW(getsockname, sockets[0], p, &len); RAW(getsockname, sockets[0], buf, p);
        len = sizeof(struct sockaddr_un);
        RAW(getsockname, sockets[0], p, &none); RAW(getpeername, listener, p, p);
        RAW(getsockname, sockets[0], buf, &negative);
        RAW(sendto, sockets[0], p, 5, 0, 0, 0); RAW(sendto, sockets[0], p, 0, 0, 0, 0);
        RAW(sendto, 99, p, 5, 0, 0, 0);
        RAW(sendto, sockets[0], buf, 1, 0, p, bad ? 16 : 0); RAW(sendmsg, sockets[0], p, 0);
        RAW(sendmsg, 99, p, 0);
        RAW(recvmsg, sockets[1], p, MSG_DONTWAIT); RAW(recvmsg, 99, p, 0);
        RAW(recvfrom, sockets[1], p, 5, MSG_DONTWAIT, 0, 0);
        RAW(recvfrom, sockets[0], p, 5, MSG_DONTWAIT, 0, 0);
        RAW(accept, 99, p, p); RAW(accept, file, p, p); RAW(accept4, listener, p, p, 99);
    }
    RAW(recvfrom, sockets[1], buf, 5, MSG_DONTWAIT, 0, nowhere);
    SHOW(count_open());
}

static void processes(void) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int bad = 0; bad < 2; bad++) {
        void *p = bad ? nowhere : 0;
        RAW(getrlimit, RLIMIT_NOFILE, p); RAW(setrlimit, RLIMIT_NOFILE, p); RAW(getrlimit, 99, p);
        RAW(setrlimit, 99, p);
        RAW(prlimit64, 0, RLIMIT_NOFILE, p, 0); RAW(prlimit64, 0, RLIMIT_NOFILE, 0, p);
        RAW(getrusage, RUSAGE_SELF, p); RAW(getrusage, 99, p);
        RAW(getresuid, p, p, p); RAW(getgroups, -1, p); RAW(uname, p); RAW(sysinfo, p); RAW(capget, p, p);
        RAW(sched_getparam, 0, p); RAW(sched_setparam, 0, p); RAW(sched_setscheduler, 0, SCHED_OTHER, p);
        RAW(sched_getparam, -1, p);
        RAW(sched_getaffinity, 0, 128, p); RAW(sched_setaffinity, 0, 128, p);
        RAW(sched_rr_get_interval, 0, p); RAW(sched_getattr, 0, p, 48, 0);
        RAW(sched_setattr, 0, p, 0); RAW(getcpu, p, p, 0);
        RAW(nanosleep, p, 0); RAW(clock_nanosleep, CLOCK_MONOTONIC, 0, p, 0);
        RAW(clock_gettime, CLOCK_MONOTONIC, p); RAW(clock_gettime, 99, p);
        RAW(clock_getres, CLOCK_MONOTONIC, p); RAW(clock_getres, 99, p); RAW(gettimeofday, p, 0);
        RAW(gettimeofday, 0, p);
        RAW(times, bad ? p : nowhere); RAW(rt_sigqueueinfo, getpid(), 0, p);
        RAW(prctl, 15, p); RAW(prctl, 16, p); RAW(prctl, 2, p); RAW(rt_sigaction, SIGUSR1, p, 0, 8L);
        RAW(rt_sigaction, SIGUSR1, 0, p, 8L);
        RAW(rt_sigprocmask, SIG_BLOCK, p, 0, 8L); RAW(rt_sigprocmask, 99, p, p, 8L); RAW(sigaltstack, p, 0);
        RAW(sigaltstack, 0, p); RAW(rt_sigpending, p, 8L);
        RAW(setitimer, ITIMER_REAL, p, 0); RAW(getitimer, ITIMER_REAL, p);
        RAW(timer_create, CLOCK_MONOTONIC, p, p); RAW(wait4, -1, p, 0, p);
        RAW(execve, p, p, p); RAW(futex, p, 1, 1, 0, 0, 0); RAW(futex, p, 129, 1, 0, 0, 0);
        RAW(set_robust_list, p, 0); RAW(get_robust_list, 0, p, p); RAW(mincore, buf, 1, p);
    }
    SHOW(syscall(SYS_time, 0) > 0); RAW(time, nowhere);
}

static void queues(void) {
    struct { long type; char text[8]; } message = {1, "text"};
    int queue = msgget(IPC_PRIVATE, 0600), set = semget(IPC_PRIVATE, 2, 0600), segment = shmget(IPC_PRIVATE,
        4096, 0600);
    for (int bad = 0; bad < 2; bad++) {
        void *p = bad ? nowhere : 0;
        SHOW(syscall(SYS_msgsnd, queue, p, 4L, 0)); SHOW(syscall(SYS_msgsnd, queue, p, -1L, 0));
        SHOW(syscall(SYS_msgsnd, -1, p, 4L, 0));
        SHOW(msgsnd(queue, &message, 4, 0)); SHOW(syscall(SYS_msgrcv, queue, p, 8L, 0L, IPC_NOWAIT));
        SHOW(syscall(SYS_msgrcv, queue, p, 8L, 0L, IPC_NOWAIT));
        SHOW(syscall(SYS_msgctl, queue, IPC_STAT, p)); SHOW(syscall(SYS_msgctl, queue, IPC_SET, p));
        SHOW(syscall(SYS_msgctl, -1, IPC_STAT, p));
        SHOW(syscall(SYS_semop, set, p, 1L)); SHOW(syscall(SYS_semop, -1, p, 1L));
        SHOW(syscall(SYS_semop, set, p, 0L));
        SHOW(syscall(SYS_semctl, set, 0, IPC_STAT, p)); SHOW(syscall(SYS_semctl, set, 0, GETALL, p));
        SHOW(syscall(SYS_semctl, set, 0, SETALL, p));
        SHOW(syscall(SYS_shmctl, segment, IPC_STAT, p)); SHOW(syscall(SYS_shmctl, segment, IPC_SET, p));
    }
    msgctl(queue, IPC_RMID, 0);
    semctl(set, 0, IPC_RMID);
    shmctl(segment, IPC_RMID, 0);
}

int main(void) {
    put("f", "hello");
    SHOW(symlink("f", "l"));
    SHOW(mkdir("d", 0700));
    nowhere = (char *)mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + 4096;
    mprotect(nowhere, 4096, PROT_NONE);
    readonly = mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    file = open("f", O_RDWR);
    folder = open("d", O_RDONLY);
    SHOW(pipe2(pipes, O_NONBLOCK));
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets));
    listener = socket(AF_UNIX, SOCK_STREAM, 0);
    epoll = epoll_create1(0);
    files();
    descriptors();
    requests();
    of_sockets();
    processes();
    queues();
}
