// Sockets: pairs, descriptors that are passed, addresses, options, and messages of every shape.
#include "show.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <linux/vm_sockets.h>

static void pairs(void) {
    int s[2], d[2], q[2];
    char b[100] = {0};
    SHOW(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    SHOW(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, d));
    SHOW(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, q));
    SHOW(socketpair(AF_INET, SOCK_STREAM, 0, (int[2]){0}));
    SHOW(fcntl(d[0], F_GETFL));
    SHOW(fcntl(q[0], F_GETFD));
    SHOW(send(s[0], "stream", 6, 0));
    SHOW(recv(s[1], b, 3, MSG_PEEK));
    SHOW(recv(s[1], b, 100, 0));
    SHOW(recv(s[1], b, 100, MSG_DONTWAIT));
    SHOW(write(d[0], "one", 3));
    SHOW(write(d[0], "two longer", 10));
    SHOW(write(d[0], "", 0));
    SHOW(read(d[1], b, 100));
    SHOW(recv(d[1], b, 4, MSG_TRUNC));
    SHOW(recv(d[1], b, 100, 0));
    SHOW(recv(d[1], b, 100, 0));
    struct msghdr m = {.msg_iov = (struct iovec[]){{b, 2}, {b + 10, 3}}, .msg_iovlen = 2};
    SHOW(send(q[0], "packets", 7, MSG_EOR));
    SHOW(recvmsg(q[1], &m, 0));
    printf("flags %x name %d\n", m.msg_flags, m.msg_namelen);
    show_bytes("scattered", b, 13);
    signal(SIGPIPE, SIG_IGN);
    SHOW(shutdown(s[0], SHUT_WR));
    SHOW(read(s[1], b, 1));
    SHOW(send(s[0], "x", 1, 0));
    SHOW(send(s[1], "back", 4, MSG_NOSIGNAL));
    SHOW(close(s[1]));
    SHOW(read(s[0], b, 100));
    SHOW(read(s[0], b, 100));
    SHOW(shutdown(s[0], 9));
    SHOW(shutdown(1, SHUT_RD));
    SHOW(lseek(d[0], 0, SEEK_SET));
    SHOW(pread(d[0], b, 1, 0));
}

static void passing(void) {
    int s[2], p[2];
    char b[100], control[CMSG_SPACE(4 * sizeof(int))];
    socketpair(AF_UNIX, SOCK_STREAM, 0, s);
    pipe(p);
    put("passed", "content");
    int file = open("passed", O_RDONLY);
    struct iovec v = {"fds", 3};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(8)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(8), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), (int[]){file, p[1]}, 8);
    SHOW(sendmsg(s[0], &m, 0));
    ((int *)CMSG_DATA(c))[1] = 99;
    SHOW(sendmsg(s[0], &m, 0));
    close(p[1]);
    v = (struct iovec){b, 100};
    m.msg_controllen = sizeof control;
    SHOW(recvmsg(s[1], &m, MSG_CMSG_CLOEXEC));
    c = CMSG_FIRSTHDR(&m);
    printf("len %ld flags %x level %d type %d\n", (long)c->cmsg_len, m.msg_flags, c->cmsg_level, c->cmsg_type);
    int got[2];
    memcpy(got, CMSG_DATA(c), 8);
    printf("%d %d\n", got[0], got[1]);
    SHOW(fcntl(got[0], F_GETFD));
    SHOW(lseek(file, 3, SEEK_SET));
    SHOW(read(got[0], b, 100));
    show_bytes("through the passed one", b, 4);
    SHOW(write(got[1], "pipe", 4));
    SHOW(close(got[1]));
    SHOW(read(p[0], b, 10));
    SHOW(read(p[0], b, 10));
    // Too little room for the control message.
    m = (struct msghdr){.msg_iov = &(struct iovec){"f", 1}, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(4)};
    c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){.cmsg_len = CMSG_LEN(4), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &file, 4);
    SHOW(sendmsg(s[0], &m, 0));
    m.msg_iov = &v;
    m.msg_controllen = 0;
    SHOW(recvmsg(s[1], &m, 0));
    printf("flags %x\n", m.msg_flags);

    SHOW(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &(int){1}, 4));
    SHOW(send(s[0], "who", 3, 0));
    m.msg_controllen = sizeof control;
    SHOW(recvmsg(s[1], &m, 0));
    c = CMSG_FIRSTHDR(&m);
    struct ucred u;
    memcpy(&u, CMSG_DATA(c), sizeof u);
    printf("type %d mine %d\n", c->cmsg_type, u.uid == getuid());
    socklen_t n = sizeof u;
    SHOW(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &u, &n));
    SHOW(u.uid == getuid() && u.gid == getgid());
}

static void local(void) {
    struct sockaddr_un a = {AF_UNIX, "sock"}, peer;
    socklen_t n = sizeof peer;
    int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(connect(c, (void *)&a, sizeof a));
    SHOW(bind(l, (void *)&a, sizeof a));
    SHOW(bind(l, (void *)&a, sizeof a));
    SHOW(connect(c, (void *)&a, sizeof a));
    SHOW(listen(l, 3));
    SHOW(connect(c, (void *)&a, sizeof a));
    int s = accept4(l, (void *)&peer, &n, SOCK_CLOEXEC);
    SHOW(s);
    SHOW(n);
    n = sizeof peer;
    SHOW(getpeername(c, (void *)&peer, &n));
    printf("%d %s\n", peer.sun_family, basename(peer.sun_path));
    n = 4;
    SHOW(getsockname(l, (void *)&peer, &n));
    SHOW(n > 4);
    SHOW(write(c, "hello", 5));
    struct pollfd f = {s, POLLIN};
    SHOW(poll(&f, 1, 1000));
    int waiting;
    SHOW(ioctl(s, FIONREAD, &waiting));
    SHOW(waiting);
    close(l);
    SHOW(unlink("sock"));
    int d = socket(AF_UNIX, SOCK_DGRAM, 0), e = socket(AF_UNIX, SOCK_DGRAM, 0);
    struct sockaddr_un x = {AF_UNIX, "\0rxbox-test-abstract"};
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 20;
    sprintf(x.sun_path + 1, "rxbox-%08x", getpid());
    SHOW(bind(d, (void *)&x, size - 5));
    SHOW(sendto(e, "to", 2, 0, (void *)&x, size - 5));
    char b[10];
    n = sizeof peer;
    SHOW(recvfrom(d, b, 10, 0, (void *)&peer, &n));
    SHOW(n);
    SHOW(sendto(e, "to", 2, 0, (void *)&x, 1));
    SHOW(bind(e, 0, 0));
    close(s), close(c), close(d), close(e);
}

static char client_saw[100];

static void *client(void *port) {
    int c = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {AF_INET, (uint16_t)(long)port, {htonl(INADDR_LOOPBACK)}};
    static char data[900000], back[900000];
    fill(data, sizeof data, 9);
    if (connect(c, (void *)&a, sizeof a)) perror("connect");
    long n = send(c, data, sizeof data, 0);
    shutdown(c, SHUT_WR);
    long got = recv(c, back, sizeof back, MSG_WAITALL);
    // Printed when the threads have met again: which of the two comes first is nobody's promise.
    snprintf(client_saw, sizeof client_saw, "client: %ld %ld %d\n", n, got, memcmp(data, back, sizeof data));
    close(c);
    return 0;
}

static void internet(void) {
    int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP), v = 0;
    struct sockaddr_in a = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}}, peer;
    socklen_t n = sizeof v;
    SHOW(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &(int){1}, 4));
    SHOW(getsockopt(l, SOL_SOCKET, SO_TYPE, &v, &n));
    SHOW(v);
    SHOW(setsockopt(l, IPPROTO_TCP, TCP_NODELAY, &(int){1}, 4));
    SHOW(getsockopt(l, IPPROTO_TCP, TCP_NODELAY, &v, &n));
    SHOW(v);
    SHOW(setsockopt(l, SOL_SOCKET, 7777, &v, 4));
    SHOW(bind(l, (void *)&a, sizeof a));
    SHOW(listen(l, 5));
    n = sizeof a;
    SHOW(getsockname(l, (void *)&a, &n));
    SHOW(a.sin_port != 0 && a.sin_addr.s_addr == htonl(INADDR_LOOPBACK));
    pthread_t t;
    pthread_create(&t, 0, client, (void *)(long)a.sin_port);
    n = sizeof peer;
    int s = accept(l, (void *)&peer, &n);
    SHOW(s >= 0 && n == sizeof peer && peer.sin_family == AF_INET);
    static char b[900000];
    SHOW(recv(s, b, sizeof b, MSG_WAITALL));
    SHOW(send(s, b, sizeof b, 0));
    pthread_join(t, 0);
    printf("%s", client_saw);
    close(s);
    close(l);
    int c = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    SHOW(accept(c, 0, 0));
    SHOW(connect(c, (void *)&a, 3));
    close(c);

    int d = socket(AF_INET, SOCK_DGRAM, 0);
    a.sin_port = 0;
    SHOW(bind(d, (void *)&a, sizeof a));
    n = sizeof a;
    getsockname(d, (void *)&a, &n);
    struct mmsghdr out[3] = {{{&a, sizeof a, &(struct iovec){"first", 5}, 1}},
                             {{&a, sizeof a, &(struct iovec){"2nd", 3}, 1}},
                             {{&a, sizeof a, &(struct iovec){"third one", 9}, 1}}};
    SHOW(sendmmsg(d, out, 3, 0));
    SHOW(out[2].msg_len);
    char one[8], two[8], three[8];
    struct mmsghdr in[3] = {{{0, 0, &(struct iovec){one, 8}, 1}}, {{&peer, sizeof peer, &(struct iovec){two, 8}, 1}}, {{0, 0, &(struct iovec){three, 8}, 1}}};
    SHOW(recvmmsg(d, in, 3, 0, 0));
    printf("%d %d %d flags %x from %d\n", in[0].msg_len, in[1].msg_len, in[2].msg_len, in[2].msg_hdr.msg_flags, peer.sin_port == a.sin_port);
    struct timeval soon = {0, 5000};
    SHOW(setsockopt(d, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon));
    SHOW(recv(d, one, 8, 0));
    int six = socket(AF_INET6, SOCK_DGRAM, 0);
    SHOW(six >= 0 || errno == EAFNOSUPPORT);
    SHOW(socket(AF_INET, 99, 0));
    SHOW(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP));
}

// The machine's own address among virtual machines, where it has one.
static void machines(void) {
    unsigned cid = 0;
    int fd = open("/dev/vsock", O_RDONLY);
    show("/dev/vsock", fd);
    SHOW(ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid));
    SHOW(cid);
    uint64_t size = 70000;
    socklen_t length = sizeof size;
    int s = socket(AF_VSOCK, SOCK_STREAM, 0);
    SHOW(setsockopt(s, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, sizeof size));
    SHOW(getsockopt(s, AF_VSOCK, SO_VM_SOCKETS_BUFFER_SIZE, &size, &length));
    SHOW(size);
    SHOW(setsockopt(s, AF_VSOCK, SO_VM_SOCKETS_PEER_HOST_VM_ID, &size, sizeof size));
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    pairs();
    passing();
    local();
    internet();
    machines();
    return 0;
}
