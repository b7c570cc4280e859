// Descriptors of objects that a call cannot use: the kernel's word comes first, whatever the object's name.
#include "show.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/timerfd.h>
#include <sys/xattr.h>

// Calls that take access to the file.
static void access_to(int fd) {
    char b[64] = {0};
    struct stat s;
    struct statfs fs;
    struct epoll_event event = {0};
    struct itimerspec timer = {0};
    socklen_t len = sizeof b;
    int pipes[2], epoll = epoll_create1(0);
    pipe(pipes);
    SHOW(read(fd, b, 8));
    SHOW(write(fd, b, 8));
    SHOW(pread(fd, b, 8, 0));
    SHOW(lseek(fd, 0, SEEK_SET));
    SHOW(ftruncate(fd, 0));
    SHOW(fallocate(fd, 0, 0, 1));
    SHOW(fsync(fd));
    // Objects without a name have one inode together, on which others may try locks at the same time.
    if (fcntl(fd, F_GETFL) & O_PATH) SHOW(flock(fd, LOCK_SH | LOCK_NB));
    // A pipe has no name that a rule could speak of.
    if (lseek(fd, 0, SEEK_CUR) >= 0 || errno != ESPIPE) {
        SHOW(fchmod(fd, 0600));
        SHOW(fchown(fd, -1, -1));
        SHOW(futimens(fd, 0));
    }
    SHOW(fgetxattr(fd, "user.a", b, 8));
    SHOW(flistxattr(fd, b, 8) > 0);
    SHOW(fcntl(fd, F_GETFL) & O_PATH);
    SHOW(fcntl(fd, F_GETFD));
    SHOW(fcntl(fd, F_GETOWN));
    SHOW(fcntl(fd, F_GETPIPE_SZ) > 0);
    SHOW(fcntl(fd, F_GET_SEALS));
    SHOW(ioctl(fd, FIONREAD, b) >= 0);
    SHOW(syscall(SYS_getdents64, fd, b, 64) > 0);
    SHOW(fstat(fd, &s));
    SHOW(fstatfs(fd, &fs));
    SHOW((long)mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, 0) == -1 ? -1 : 0);
    SHOW(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    SHOW(epoll_ctl(fd, EPOLL_CTL_ADD, pipes[0], &event));
    SHOW(epoll_wait(fd, &event, 1, 0));
    SHOW(inotify_add_watch(fd, ".", IN_CREATE));
    SHOW(timerfd_gettime(fd, &timer));
    SHOW(sendfile(pipes[1], fd, 0, 1));
    SHOW(splice(fd, 0, pipes[1], 0, 1, SPLICE_F_NONBLOCK));
    SHOW(copy_file_range(fd, 0, fd, 0, 1, 0));
    SHOW(listen(fd, 1));
    SHOW(accept(fd, 0, 0));
    SHOW(getsockname(fd, (void *)b, &len));
    SHOW(getsockopt(fd, SOL_SOCKET, SO_TYPE, b, &len));
    SHOW(send(fd, b, 1, MSG_DONTWAIT | MSG_NOSIGNAL));
    SHOW(recv(fd, b, 1, MSG_DONTWAIT));
    struct pollfd polled = {fd, POLLIN};
    SHOW(poll(&polled, 1, 0));
    SHOW(polled.revents & POLLNVAL);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(fd, &set);
    SHOW(select(fd + 1, &set, 0, 0, &(struct timeval){0}) < 0 ? -1 : 0);
    close(epoll), close(pipes[0]), close(pipes[1]);
}

// Names that begin at the descriptor.
static void names_from(int fd) {
    struct stat s;
    char b[8];
    SHOW(openat(fd, "file", O_RDONLY) < 0 ? -1 : 0);
    SHOW(openat(fd, "new", O_CREAT | O_WRONLY, 0600) < 0 ? -1 : 0);
    SHOW(fstatat(fd, "file", &s, 0));
    SHOW(faccessat(fd, "file", R_OK, 0));
    SHOW(mkdirat(fd, "made", 0700));
    SHOW(unlinkat(fd, "nothing", 0));
    SHOW(renameat(fd, "nothing", fd, "other"));
    SHOW(symlinkat("x", fd, "link"));
    SHOW(readlinkat(fd, "file", b, 8));
    SHOW(readlinkat(fd, "", b, 8));
    SHOW(fchmodat(fd, "file", 0600, 0));
    SHOW(fchdir(fd));
    SHOW(fstatat(fd, "", &s, AT_EMPTY_PATH));
}

static void object(const char *what, int fd) {
    printf("-- %s\n", what);
    access_to(fd);
    names_from(fd);
    close(fd);
}

int main(void) {
    int pipes[2], sockets[2];
    mkdir("d", 0700);
    put("d/file", "text");
    put("file", "text");
    symlink("file", "link");
    pipe2(pipes, O_NONBLOCK);
    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets);
    object("file by path", open("file", O_PATH));
    object("link by path", open("link", O_PATH | O_NOFOLLOW));
    object("folder by path", open("d", O_PATH));
    chdir("..");
    object("end of a pipe", pipes[0]);
    object("socket", sockets[0]);
    object("counter", eventfd(1, EFD_NONBLOCK));
    object("timer", timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    object("epoll", epoll_create1(0));
    object("inotify", inotify_init1(IN_NONBLOCK));
    object("memory", memfd_create("memory", 0));
    // Below the least size of a table: select(2) looks at no number beyond it.
    object("no descriptor", 55);
    char b[8];
    SHOW(readlinkat(AT_FDCWD, "", b, 8));
    // Of several things that are wrong the kernel tells of the one that it comes to first.
    SHOW(splice(99, 0, 98, 0, 0, 0));
    SHOW(splice(99, 0, 98, 0, 0, 0x100));
    SHOW(tee(99, 98, 0, 0));
    SHOW(tee(99, 98, 1, 0));
    SHOW(fgetxattr(99, "", b, 8));
    SHOW(setxattr("missing", "", b, 8, 0));
    SHOW(removexattr("missing", "user.a"));
    SHOW(socket(77, SOCK_STREAM | 0x2000, 0));
    SHOW(socket(77, SOCK_STREAM, 0));
    SHOW(timerfd_create(CLOCK_REALTIME_ALARM, 1));
    SHOW((long)mmap(0, 4096, PROT_READ, MAP_PRIVATE, 99, 1) == -1 ? -1 : 0);
    return 0;
}
