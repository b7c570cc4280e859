// Transfers that are whole or an error, what a failed one leaves to be read, and the signals that come with
// one.
#include "show.h"
#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>

static volatile sig_atomic_t signals[65];
static void count(int signal) { signals[signal]++; }

// Datagrams longer than what crosses to the supervisor in one piece of a stream.
static void datagrams(void) {
    int pair[2], room = 212992, kinds[] = {SOCK_DGRAM, SOCK_SEQPACKET};
    long sizes[] = {262143, 262144, 262145, 300000, 400000, 425000, 600000, 2000000};
    char *from = malloc(2000000), *to = malloc(2000000);
    fill(from, 2000000, 7);
    for (int k = 0; k < 2; k++) {
        SHOW(socketpair(AF_UNIX, kinds[k], 0, pair));
        SHOW(setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room));
        for (int i = 0; i < 8; i++) {
            struct iovec parts[] = {{from, 1000}, {from + 1000, sizes[i] - 1000}};
            struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
            struct mmsghdr one = {.msg_hdr = message};
            for (int way = 0; way < 5; way++) {
                memset(to, 0, 2000000);
                long sent = way == 0 ? send(pair[0], from, sizes[i], 0) : way == 1 ? write(pair[0], from,
                    sizes[i])
                          : way == 2 ? writev(pair[0], parts, 2) : way == 3 ? sendmsg(pair[0], &message, 0)
                          : sendmmsg(pair[0], &one, 1, 0);
                printf("%ld bytes, way %d: ", sizes[i], way);
                show("sent", sent);
                if (sent < 0) continue;
                struct iovec room[] = {{to, 300000}, {to + 300000, 1700000}};
                struct msghdr into = {.msg_iov = room, .msg_iovlen = 2};
                long got = way == 0 ? recv(pair[1], to, 500000, 0) : way == 1 ? read(pair[1], to, 500000)
                         : way == 2 ? readv(pair[1], room, 2) : recvmsg(pair[1], &into, 0);
                printf("got %ld, %s\n", got, got >= 0 && !memcmp(from, to, got) ? "the same" : "other bytes");
            }
        }
        SHOW(recv(pair[1], to, 1, MSG_DONTWAIT));
        close(pair[0]);
        close(pair[1]);
    }
    free(from);
    free(to);
}

// What cannot be given stays to be read.
static void listings(void) {
    char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), name[20];
    mprotect(pages + 4096, 4096, PROT_NONE);
    SHOW(mkdir("many", 0700));
    for (int i = 0; i < 60; i++) {
        sprintf(name, "many/f%d", i);
        put(name, "");
    }
    int dir = open("many", O_RDONLY | O_DIRECTORY), entries = 0;
    SHOW(syscall(SYS_getdents64, dir, 0, 4096));
    SHOW(syscall(SYS_getdents64, dir, pages + 4096, 4096));
    SHOW(syscall(SYS_getdents64, dir, pages + 4096 - 8, 4096));
    SHOW(syscall(SYS_getdents64, dir, pages, 8));
    SHOW(syscall(SYS_getdents64, dir, pages, 0));
    SHOW(syscall(SYS_getdents64, dir, pages, -1));
    SHOW(syscall(SYS_getdents64, dir, pages, 0x80000000));
    for (long n; (n = syscall(SYS_getdents64, dir, pages + 4096 - 200, 4096)) > 0;) {
        if (!entries) show("with 200 bytes of room", n);
        for (long at = 0; at < n; entries++) at += ((struct dirent64 *)(pages + 4096 - 200 + at))->d_reclen;
    }
    SHOW(entries);
    SHOW(syscall(SYS_getdents64, dir, pages + 4096, 4096));
    SHOW(syscall(SYS_getdents64, dir, pages, -1));
    close(dir);
    // A view of the process's own.
    dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
    SHOW(syscall(SYS_getdents64, dir, 0, 4096));
    SHOW(syscall(SYS_getdents64, dir, pages + 4096 - 8, 4096));
    SHOW(syscall(SYS_getdents64, dir, pages, 8));
    SHOW(syscall(SYS_getdents64, dir, pages + 4096 - 30, 4096));
    close(dir);
}

// MSG_TRUNC on a stream of TCP throws bytes away and leaves the buffer as it is.
static void discarded(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), pair[2];
    SHOW(bind(listener, (struct sockaddr *)&at, len));
    SHOW(listen(listener, 1));
    SHOW(getsockname(listener, (struct sockaddr *)&at, &len));
    SHOW(connect(client, (struct sockaddr *)&at, len));
    int server = accept(listener, 0, 0);
    char text[20] = "................";
    SHOW(send(client, "abcdefghij", 10, 0));
    SHOW(recv(server, text, 3, MSG_TRUNC));
    show_bytes("left alone", text, 16);
    SHOW(recv(server, 0, 2, MSG_TRUNC));
    SHOW(recv(server, text, 2, MSG_TRUNC | MSG_PEEK));
    show_bytes("left alone", text, 16);
    struct iovec part = {text, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    SHOW(recvmsg(server, &message, MSG_TRUNC));
    show_bytes("left alone", text, 16);
    SHOW(recv(server, text, 16, 0));
    show_bytes("the rest", text, 16);
    SHOW(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
    SHOW(send(pair[0], "0123456789", 10, 0));
    SHOW(recv(pair[1], text, 3, MSG_TRUNC));
    show_bytes("cut", text, 16);
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
    SHOW(send(pair[0], "0123456789", 10, 0));
    SHOW(recv(pair[1], text, 3, MSG_TRUNC));
    SHOW(recv(pair[1], text + 3, 9, 0));
    show_bytes("all", text, 16);
}

static int pipes[2];
static void *reader(void *unused) {
    char some[100];
    // The writer has filled the pipe and sleeps for room, or will find nobody.
    for (int room; ioctl(pipes[0], 0x541b, &room) == 0 && room < 65536;) usleep(1000);
    read(pipes[0], some, sizeof some);
    close(pipes[0]);
    return 0;
}

static void pipe_signals(void) {
    pthread_t other;
    char *much = calloc(1, 1 << 20);
    signals[SIGPIPE] = 0;
    SHOW(pipe(pipes));
    pthread_create(&other, 0, reader, 0);
    long written = write(pipes[1], much, 200000);
    printf("written some: %d, signals %d\n", written > 0 && written < 200000, signals[SIGPIPE]);
    pthread_join(other, 0);
    SHOW(write(pipes[1], much, 1));
    SHOW(signals[SIGPIPE]);
    close(pipes[1]);
    SHOW(pipe(pipes));
    pthread_create(&other, 0, reader, 0);
    written = write(pipes[1], much, 1 << 20);
    printf("written some: %d, signals %d\n", written > 0 && written < 1 << 20, signals[SIGPIPE]);
    pthread_join(other, 0);
    close(pipes[1]);
    free(much);
}

static void limits(void) {
    struct rlimit limit = {1000, RLIM_INFINITY}, none = {RLIM_INFINITY, RLIM_INFINITY};
    getrlimit(RLIMIT_FSIZE, &none);
    int fd = open("limited", O_RDWR | O_CREAT | O_TRUNC, 0600);
    SHOW(ftruncate(fd, 3000));
    limit.rlim_max = none.rlim_max;
    SHOW(setrlimit(RLIMIT_FSIZE, &limit));
    SHOW(signals[SIGXFSZ] = 0);
    SHOW(ftruncate(fd, 5000)); SHOW(signals[SIGXFSZ]);
    SHOW(ftruncate(fd, 2000)); SHOW(signals[SIGXFSZ]);
    SHOW(truncate("limited", 5000)); SHOW(signals[SIGXFSZ]);
    SHOW(truncate("limited", 1500)); SHOW(signals[SIGXFSZ]);
    SHOW(fallocate(fd, 0, 0, 5000)); SHOW(signals[SIGXFSZ]);
    SHOW(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 5000)); SHOW(signals[SIGXFSZ]);
    SHOW(fallocate(fd, 0, 900, 50)); SHOW(signals[SIGXFSZ]);
    SHOW(pwrite(fd, "abcdef", 6, 997)); SHOW(signals[SIGXFSZ]);
    SHOW(pwrite(fd, "abcdef", 6, 1000)); SHOW(signals[SIGXFSZ]);
    SHOW(ftruncate(fd, 1000)); SHOW(ftruncate(fd, 1001)); SHOW(signals[SIGXFSZ]);
    SHOW(setrlimit(RLIMIT_FSIZE, &none));
    close(fd);
}

int main(void) {
    struct sigaction action = {.sa_handler = count};
    sigaction(SIGPIPE, &action, 0);
    sigaction(SIGXFSZ, &action, 0);
    listings();
    discarded();
    pipe_signals();
    limits();
    datagrams();
}
