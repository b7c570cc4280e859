// Calls with several wrong arguments: which of them the kernel tells of, and what it has written by then.
#include "show.h"
#include <linux/fs.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#define RAW(name, ...) SHOW(syscall(SYS_##name, ##__VA_ARGS__))
#define KERNEL ((char *)0xffff800000000000)

static char *wall, longest[5000];
static int pipes[2], folder, counter, unconnected, null;

static void transfers(void) {
    struct iovec bad[2] = {{wall, 8}, {0, (size_t)-1}};
    puts("transfers");
    RAW(readv, 99, 0, 5000); RAW(readv, pipes[1], 0, 1); RAW(readv, pipes[0], 0, 2000);
    RAW(readv, counter, bad, 0); RAW(readv, counter, bad, 2); RAW(writev, pipes[0], 0, 3);
    RAW(preadv, pipes[0], 0, 5000, 0, 0); RAW(preadv, pipes[0], 0, 1, -1, 0);
    RAW(preadv, 99, 0, 1, -1, 0); RAW(pwritev, unconnected, 0, 5000, 1, 0);
    RAW(preadv2, 99, 0, 5000, 0, 0, 0); RAW(preadv2, pipes[0], 0, 5000, 3, 0, 0);
    RAW(pread64, 99, wall, 1, -1); RAW(pread64, folder, wall, 0, 0);
    RAW(preadv, folder, bad, 0, 0, 0);
    // The vectors before the end of memory are looked at.
    struct iovec *half = (struct iovec *)(wall + 4096) - 1;
    *half = (struct iovec){wall, (size_t)-1};
    RAW(readv, null, half, 3);
    half->iov_len = 1;
    RAW(readv, null, half, 3);
    RAW(write, null, KERNEL, 8); RAW(write, null, wall, -1L); RAW(write, 99, KERNEL, 8);
    RAW(recvfrom, 99, KERNEL, 8, 0, 0, 0); RAW(sendto, 99, KERNEL, 8, 0, 0, 0);
    RAW(vmsplice, null, bad, 0, 0); RAW(vmsplice, null, 0, 1, 0); RAW(vmsplice, null, bad, 1, 0);
    RAW(vmsplice, 99, bad, 1, 64); RAW(splice, 99, 0, 99, 0, 1, 64); RAW(tee, 99, 99, 0, 64);
    RAW(splice, pipes[0], 1L, null, 0, 1, 0); RAW(splice, null, 0, null, 0, 1, 0);
    loff_t at = -1;
    RAW(sendfile, 99, pipes[0], &at, 1); RAW(sendfile, 99, null, &at, 1);
    RAW(copy_file_range, null, 0, null, 0, 1, 1);
    RAW(ftruncate, 99, -1); RAW(fallocate, folder, 8, 0x7fffffff, 4096);
    struct iovec nothing[2] = {{0}};
    RAW(process_vm_writev, -1, bad, 1, nothing, 2, 0); RAW(process_vm_readv, 0, KERNEL, 1, nothing, 5000, 0);
    RAW(process_vm_readv, 0, bad, 1, nothing, 5000, 1);
}

static void waiting(void) {
    struct timespec wrong = {-1, 0}, odd = {0, 1000000000};
    struct itimerspec timer = {.it_value = odd};
    fd_set all;
    memset(&all, 0xff, sizeof all);
    puts("waiting");
    RAW(poll, 0, 5000000, 0); RAW(ppoll, 0, 0, &wrong, 0, 8); RAW(ppoll, 0, 0, &odd, 0, 8);
    RAW(pselect6, 64, &all, 0, 0, &odd, 0); RAW(select, 64, &all, &all, 1L, 0);
    RAW(epoll_wait, 99, 0, 0, 0); RAW(epoll_wait, null, wall, 0, 0); RAW(epoll_wait, null, KERNEL, 1, 0);
    RAW(epoll_wait, null, 1L, 1, 0); RAW(epoll_pwait2, 99, wall, 1, &wrong, 0, 8);
    struct epoll_event event = {0};
    int memory = memfd_create("m", 0);
    RAW(epoll_ctl, null, EPOLL_CTL_ADD, memory, &event); RAW(epoll_ctl, counter, EPOLL_CTL_ADD, null, &event);
    RAW(epoll_ctl, counter, EPOLL_CTL_ADD, counter, &event);
    close(memory);
    RAW(timerfd_settime, 99, 0, &timer, 0); RAW(timerfd_settime, 99, 64, &(struct itimerspec){0}, 0);
    siginfo_t info;
    memset(&info, 0x11, sizeof info);
    RAW(waitid, P_PIDFD, 99, &info, 0, 0); SHOW(info.si_signo); SHOW(info.si_code); SHOW(info.si_pid);
    RAW(waitid, P_PIDFD, -1, 0, WEXITED, 0); RAW(waitid, P_PIDFD, 99, 0, WEXITED, 0);
    RAW(waitid, P_PIDFD, 99, 1L, WEXITED, 0); RAW(waitid, P_ALL, 0, 0, 0x80000002, 0);
    memset(&info, 0x11, sizeof info);
    RAW(waitid, P_ALL, 0, &info, WEXITED, 0); SHOW(info.si_signo); SHOW(info.si_status);
}

static void names(void) {
    struct timespec odd[2] = {{0, 2000000000}, {0, 0}};
    char how[5000] = {0};
    puts("names");
    RAW(renameat2, AT_FDCWD, 0, AT_FDCWD, 0, 3); RAW(rename, "missing/x", 1L); RAW(rename, "f", 1L);
    RAW(renameat2, AT_FDCWD, "missing", AT_FDCWD, "f", RENAME_WHITEOUT | RENAME_NOREPLACE);
    RAW(renameat2, AT_FDCWD, "missing", AT_FDCWD, "f", RENAME_WHITEOUT | RENAME_EXCHANGE);
    put("moved", "text");
    struct stat status;
    if (syscall(SYS_renameat2, AT_FDCWD, "moved", AT_FDCWD, "there", RENAME_WHITEOUT)) {
        puts("no whiteouts");
        rename("moved", "there");
    } else {
        SHOW(lstat("moved", &status)); SHOW(status.st_mode & S_IFMT); SHOW(status.st_rdev);
        SHOW(unlink("moved"));
    }
    RAW(linkat, 99, "x", 99, 1L, 0x4000); RAW(link, "missing", 1L); RAW(link, "f/x", 1L);
    RAW(symlinkat, "", 99, 1L); RAW(mknod, 1L, 0170000, 0); RAW(mknod, 1L, 0, 0);
    RAW(utimensat, 99, longest, odd, 0x4000); RAW(utimensat, AT_FDCWD, "missing", odd, 0);
    RAW(utimensat, AT_FDCWD, "f", odd, 0); RAW(utimensat, null, "x", odd, 0);
    RAW(openat2, 99, longest, how, 5000); RAW(openat2, 99, longest, how, 8);
    RAW(openat2, 99, longest, how, 24);
    RAW(newfstatat, AT_FDCWD, "f", &status, AT_STATX_FORCE_SYNC); RAW(newfstatat, 99, "f", &status, 0x8000);
    RAW(inotify_add_watch, 99, longest, 0); RAW(inotify_add_watch, 99, longest, IN_OPEN);
    RAW(inotify_add_watch, counter, longest, IN_OPEN);
    int watch = inotify_init1(0);
    RAW(inotify_add_watch, watch, longest, IN_OPEN);
    RAW(inotify_add_watch, watch, "f", IN_MASK_ADD | IN_MASK_CREATE | IN_OPEN);
    close(watch);
    RAW(setxattr, "missing", "user.a", how, 1, 64); RAW(setxattr, longest, "", 1L, 1 << 20, 1);
    RAW(setxattr, longest, "user.a", 1L, 1 << 20, 1); RAW(setxattr, longest, "user.a", 1L, 5, 1);
    RAW(getxattr, longest, 0, 0, 0); RAW(getxattr, longest, "user.a", 0, 0);
    SHOW(flistxattr(unconnected, how, sizeof how)); puts(how);
    SHOW(fgetxattr(unconnected, "system.sockprotoname", how, sizeof how)); puts(how);
    SHOW(flistxattr(unconnected, how, 4)); SHOW(fgetxattr(unconnected, "system.sockprotoname", how, 2));
    SHOW(fsetxattr(unconnected, "system.sockprotoname", how, 2, 0)); SHOW(flistxattr(pipes[0], how, 10));
}

static void sockets(void) {
    int pair[2] = {7, 7}, first = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_storage at = {.ss_family = AF_UNIX};
    struct stat status;
    puts("sockets");
    close(first);
    RAW(socketpair, 99, SOCK_STREAM, 0, pair); SHOW(pair[0] == first); SHOW(pair[1] == first + 1);
    RAW(socketpair, AF_INET, SOCK_STREAM, 0, pair); RAW(socketpair, 99, SOCK_STREAM, 0, 1L);
    RAW(socketpair, 99, 0x100000, 0, 1L); RAW(socket, AF_UNIX, 12, 0); RAW(socket, 99, 12, 0);
    RAW(socket, 9, 0x80b, 1);
    RAW(accept4, 99, 0, 0, 1); RAW(accept4, null, 0, 0, 1); RAW(accept4, null, 0, 0, 0);
    RAW(accept4, unconnected, &at, 1L, 0);
    RAW(connect, 99, KERNEL, 16); RAW(connect, null, KERNEL, 16); RAW(connect, null, &at, 4000);
    RAW(connect, null, &at, 16); RAW(bind, null, KERNEL, 16);
    socklen_t negative = -1, four = 4;
    RAW(getpeername, unconnected, &at, &negative); RAW(getsockname, 99, &at, &negative);
    RAW(getsockopt, unconnected, IPPROTO_IPV6, 66, 0, 1L);
    RAW(setsockopt, unconnected, IPPROTO_TCP, 1, 1L, 4);
    RAW(setsockopt, unconnected, IPPROTO_IP, 42, longest, 400); RAW(setsockopt, null, IPPROTO_TCP, 6, 1L, 3);
    RAW(getsockopt, null, SOL_SOCKET, 3, 0, &four);
    RAW(sendto, null, "x", 1, 0, &at, 4000); RAW(sendto, 99, "x", 1, 0, &at, 4000);
    int tcp = socket(AF_INET, SOCK_STREAM, 0), udp = socket(AF_INET6, SOCK_DGRAM, 0);
    at.ss_family = 77;
    RAW(sendto, tcp, "x", 1, MSG_NOSIGNAL, &at, 16); RAW(sendto, udp, "x", 1, 0, &at, 28);
    // The address of a connection does not fit: its length is told.
    int ends[2];
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    RAW(getpeername, ends[0], wall + 4095, &four); SHOW(four);
    SHOW(fstat(unconnected, &status)); SHOW(status.st_mode);
    close(tcp), close(udp), close(ends[0]), close(ends[1]);
}

static void memory(void) {
    puts("memory");
    RAW(mlock, wall, -1L); RAW(munlock, wall, -1L); RAW(mlock2, wall, -1L, 1); RAW(mlock2, wall, -1L, 2);
    RAW(msync, wall, -1L, 0); RAW(msync, wall + 1, 4096, 0); RAW(msync, wall, -1L, 64);
    RAW(mlock, wall + 100, 100); RAW(munlock, wall + 100, 100); RAW(mlock, 0x7fffffffe000, 8192);
    RAW(mlock, KERNEL, 4096); RAW(msync, KERNEL, 4096, 0);
    RAW(mmap, 0, -1L, 0, 0, -1, 0); RAW(mmap, 0, -1L, 0, 0, null, 0); RAW(mmap, 0, 0, 0, 2, pipes[0], 0);
    RAW(mmap, 0, 4096, 0, 0x20, -1, 0); RAW(mmap, 0, -1L, 0, 0x20, -1, 0); RAW(mmap, 0, 0, 0, 0x20, -1, 0);
    RAW(mmap, 0, 4096, 4, 0x40, counter, 0); RAW(mmap, 0, 4096, 0, 2, counter, 1);
    RAW(mmap, 1, 4096, 0, MAP_PRIVATE | MAP_FIXED, counter, 0); RAW(mmap, 0, 4096, 4, 2, counter, 0);
    RAW(getrandom, wall, -1L, 0); RAW(getrandom, wall + 4096, 1, 0);
}

static void processes(void) {
    unsigned size = 8, attributes[20] = {8};
    char mask[1024] = {1};
    puts("processes");
    RAW(sched_setattr, -1, 0, 0); RAW(sched_setattr, 0x7fffffff, attributes, 1);
    RAW(sched_setattr, 0x7fffffff, attributes, 0); SHOW(attributes[0]);
    attributes[0] = 48, attributes[1] = 6;
    RAW(sched_setattr, 0x7fffffff, attributes, 0); RAW(sched_setattr, 0, attributes, 0);
    attributes[0] = 80, attributes[1] = 0, attributes[19] = 1;
    RAW(sched_setattr, 0, attributes, 0); SHOW(attributes[0]);
    attributes[0] = 48;
    RAW(sched_setattr, 0, attributes, 0); RAW(sched_setattr, 0, (char *)attributes + sizeof attributes, 0);
    RAW(sched_getattr, 0, attributes, size, 0); RAW(sched_getattr, 0, attributes, 48, 1);
    RAW(sched_getattr, 0x7fffffff, attributes, 48, 0); RAW(sched_getattr, 0, attributes, 5000, 0);
    RAW(sched_getattr, 0, attributes, 80, 0); SHOW(attributes[0]); SHOW(attributes[19]);
    RAW(sched_getaffinity, 0, 0x7fffffff, mask); RAW(sched_getaffinity, 0x7fffffff, 12, mask);
    RAW(sched_setaffinity, 0, 0x7fffffff, mask); RAW(sched_setaffinity, 0, 8, 1L);
    RAW(sched_setscheduler, 0, 6, attributes + 2);
    RAW(pipe2, 1L, 0x100000);
    RAW(get_robust_list, -1, 0, 0); RAW(get_robust_list, 0x7fffffff, 0, 0);
    RAW(getpriority, 1, 0x7ffffff0); RAW(ioprio_get, 2, 0x7ffffff0); RAW(ioprio_get, 2, 0);
    RAW(ptrace, 9999, 0x7fffffff, 0, 0); RAW(ptrace, 0x4206, 0x7fffffff, 1, 1);
    SHOW(unshare(CLONE_SYSVSEM)); SHOW(unshare(CLONE_SYSVSEM | CLONE_FS));
    SHOW(fcntl(null, F_NOTIFY, 4)); SHOW(fcntl(null, F_NOTIFY, 0));
}

int main(void) {
    wall = (char *)mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    SHOW(munmap(wall + 4096, 4096));
    memset(longest, 'n', sizeof longest - 1);
    put("f", "text");
    SHOW(setpgid(0, 0));
    SHOW(pipe(pipes));
    folder = open(".", O_RDONLY), counter = eventfd(0, EFD_NONBLOCK), null = open("/dev/null", O_RDWR);
    unconnected = socket(AF_UNIX, SOCK_STREAM, 0);
    transfers(), waiting(), names(), sockets(), memory(), processes();
}
