// Who is at the other end of unix sockets, how they are called, and which errors come first.
#include "show.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

static socklen_t name(struct sockaddr_un *at, const char *path) {
    memset(at, 0, sizeof *at);
    at->sun_family = AF_UNIX;
    strncpy(at->sun_path, path, sizeof at->sun_path);
    return offsetof(struct sockaddr_un, sun_path) + strlen(path) + 1;
}

static void peer(const char *what, int fd, pid_t expected) {
    struct ucred peer = {0};
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) return show(what, -1);
    printf("%s: %s\n", what, peer.pid == expected ? "as expected" : "another");
}

static void named(const char *what, int fd, int (*ask)(int, struct sockaddr *, socklen_t *)) {
    struct sockaddr_un at = {0};
    socklen_t size = sizeof at;
    if (ask(fd, (void *)&at, &size)) return show(what, -1);
    printf("%s: %u \"%.108s\"\n", what, size, at.sun_path);
}

static void listeners(void) {
    struct sockaddr_un at;
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), go[2], gone[2];
    peer("of a socket", listener, 0);
    SHOW(bind(listener, (void *)&at, name(&at, "server")));
    peer("of a bound one", listener, 0);
    SHOW(listen(listener, 8));
    peer("of a listener", listener, getpid());
    pipe(go);
    pipe(gone);
    for (int round = 0; round < 3; round++) {
        char byte;
        fflush(stdout);
        pid_t pid = fork();
        if (!pid) {
            int fd = socket(AF_UNIX, SOCK_STREAM, 0);
            connect(fd, (void *)&at, name(&at, "server"));
            peer("of a client", fd, getppid());
            fflush(stdout);
            write(gone[1], "x", 1);
            if (round == 0) read(go[0], &byte, 1);
            _exit(0);
        }
        read(gone[0], &byte, 1);
        if (round == 2) waitpid(pid, 0, 0);
        int fd = accept(listener, 0, 0);
        if (round == 0) peer("while it lives", fd, pid);
        if (round == 0) {
            int descriptor = -1;
            socklen_t size = sizeof descriptor;
            SHOW(getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &descriptor, &size));
            struct pollfd ended = {descriptor, POLLIN, 0};
            SHOW(poll(&ended, 1, 0));
            write(go[1], "x", 1);
            SHOW(poll(&ended, 1, -1));
            close(descriptor);
        }
        if (round < 2) waitpid(pid, 0, 0);
        peer("once it has ended", fd, pid);
        close(fd);
    }
    int pair[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, pair);
    peer("of a pair", pair[0], getpid());
    close(pair[1]);
    peer("of a pair whose other end is closed", pair[0], getpid());
    unlink("server");
}

static void names(void) {
    struct sockaddr_un at;
    char whole[200], here[150];
    mkdir("folder", 0700);
    getcwd(here, sizeof here);
    for (int i = 0; i < 5; i++) {
        const char *all[] = {"plain", "./dotted", "folder/in", "folder/../up", whole};
        snprintf(whole, sizeof whole, "%s/absolute", here);
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0), from = socket(AF_UNIX, SOCK_DGRAM, 0);
        SHOW(bind(fd, (void *)&at, name(&at, all[i])));
        if (i < 4) named("own", fd, getsockname);
        SHOW(connect(from, (void *)&at, name(&at, all[i])));
        if (i < 4) named("peer", from, getpeername);
        SHOW(sendto(fd, "x", 1, 0, (void *)&at, name(&at, all[i])));
        struct sockaddr_un got = {0};
        socklen_t size = sizeof got;
        char byte;
        SHOW(recvfrom(fd, &byte, 1, 0, (void *)&got, &size));
        printf("from the same: %d\n", !strcmp(got.sun_path, all[i]));
        SHOW(unlink(all[i]));
        close(fd);
        close(from);
    }
}

static void errors(void) {
    struct sockaddr_un at;
    struct sockaddr_in in = {AF_INET, htons(1), {htonl(INADDR_LOOPBACK)}};
    int value = 0;
    socklen_t size = sizeof value;
    int stream = socket(AF_UNIX, SOCK_STREAM, 0), datagram = socket(AF_UNIX, SOCK_DGRAM, 0), pair[2], packets[2];
    int tcp = socket(AF_INET, SOCK_STREAM, 0);
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets);
    SHOW(bind(stream, (void *)&in, sizeof in));
    SHOW(connect(stream, (void *)&in, sizeof in));
    SHOW(connect(datagram, (void *)&in, sizeof in));
    SHOW(sendto(datagram, "x", 1, 0, (void *)&in, sizeof in));
    SHOW(sendto(stream, "x", 1, MSG_NOSIGNAL, (void *)&at, name(&at, "nowhere")));
    SHOW(sendto(pair[0], "x", 1, MSG_NOSIGNAL, (void *)&at, name(&at, "nowhere")));
    SHOW(sendto(packets[0], "x", 1, MSG_NOSIGNAL, (void *)&at, name(&at, "nowhere")));
    SHOW(sendto(datagram, "x", 1, 0, (void *)&at, name(&at, "nowhere")));
    int packet = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    SHOW(sendto(packet, "x", 1, MSG_NOSIGNAL, (void *)&at, name(&at, "nowhere")));
    SHOW(getsockopt(stream, 12345, 1, &value, &size));
    SHOW(setsockopt(stream, 12345, 1, &value, size));
    SHOW(getsockopt(stream, SOL_SOCKET, 12345, &value, &size));
    SHOW(setsockopt(stream, SOL_SOCKET, 12345, &value, size));
    SHOW(setsockopt(stream, IPPROTO_TCP, TCP_NODELAY, &value, size));
    SHOW(setsockopt(tcp, 12345, 1, &value, size));
    SHOW(getsockopt(tcp, 12345, 1, &value, &size));
    SHOW(getsockopt(tcp, SOL_SOCKET, SO_PEERPIDFD, &value, &size));
    SHOW(getsockopt(-1, 12345, 1, &value, &size));
    SHOW(setsockopt(0, 12345, 1, &value, size) ? -1 : 0);
}

int main(void) {
    listeners();
    names();
    errors();
}
