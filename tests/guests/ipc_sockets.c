// Who is at the other end of a socket and who sent a message, many descriptors at once, bytes from one descriptor to another.
#include "show.h"
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

static void credentials(void) {
    int sv[2];
    struct ucred u;
    socklen_t n = sizeof u;
    socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
    SHOW(getsockopt(sv[0], SOL_SOCKET, SO_PEERCRED, &u, &n));
    SHOW(u.pid == getpid());
    pid_t me = getpid(), c;
    struct sockaddr_un a = {AF_UNIX, "sk"};
    int l = socket(AF_UNIX, SOCK_STREAM, 0);
    bind(l, (void *)&a, sizeof a);
    listen(l, 3);
    int on = 1;
    setsockopt(l, SOL_SOCKET, SO_PASSCRED, &on, 4);
    if (!(c = fork())) {
        int k = socket(AF_UNIX, SOCK_STREAM, 0);
        setsockopt(k, SOL_SOCKET, SO_PASSCRED, &on, 4);
        connect(k, (void *)&a, sizeof a);
        n = sizeof u;
        getsockopt(k, SOL_SOCKET, SO_PEERCRED, &u, &n);
        printf("child sees parent %d\n", u.pid == me);
        write(k, "x", 1);
        char b[10];
        read(k, b, 10);
        struct ucred own = {getpid(), getuid(), getgid()};
        char ctl[CMSG_SPACE(sizeof own)];
        struct iovec v = {"cred", 4};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        *h = (struct cmsghdr){CMSG_LEN(sizeof own), SOL_SOCKET, SCM_CREDENTIALS};
        memcpy(CMSG_DATA(h), &own, sizeof own);
        SHOW(sendmsg(k, &m, 0));
        own.pid = me;
        memcpy(CMSG_DATA(h), &own, sizeof own);
        if (getuid()) SHOW(sendmsg(k, &m, 0));
        exit(0);
    }
    int s = accept(l, 0, 0), mine, from[2], kind[2];
    long got[2];
    n = sizeof u;
    getsockopt(s, SOL_SOCKET, SO_PEERCRED, &u, &n);
    mine = u.pid == c && u.uid == getuid();
    char b[10], ctl[200];
    for (int i = 0; i < 2; i++) {
        struct iovec v = {b, 10};
        struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
        got[i] = recvmsg(s, &m, 0);
        struct cmsghdr *h = CMSG_FIRSTHDR(&m);
        if (h) memcpy(&u, CMSG_DATA(h), sizeof u);
        kind[i] = h ? h->cmsg_type : -1;
        from[i] = h && u.pid == c;
        if (!i) write(s, "y", 1);
    }
    // What the child has to say comes first.
    waitpid(c, 0, 0);
    printf("parent sees child %d\n", mine);
    for (int i = 0; i < 2; i++) printf("%ld bytes, control %d from child %d\n", got[i], kind[i], from[i]);
    unlink("sk");
}

static int *passed(struct msghdr *m) {
    return (int *)CMSG_DATA(CMSG_FIRSTHDR(m));
}

static void many(void) {
    int sv[2], fds[253];
    socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
    for (int i = 0; i < 253; i++) fds[i] = sv[0];
    static char ctl[CMSG_SPACE(sizeof fds)];
    struct iovec v = {"x", 1};
    struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = ctl, .msg_controllen = sizeof ctl};
    struct cmsghdr *h = CMSG_FIRSTHDR(&m);
    *h = (struct cmsghdr){CMSG_LEN(sizeof fds), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(h), fds, sizeof fds);
    SHOW(sendmsg(sv[0], &m, 0));
    SHOW(sendmsg(sv[0], &m, 0));
    char b[10];
    v = (struct iovec){b, 10};
    memset(ctl, 0, sizeof ctl);
    SHOW(recvmsg(sv[1], &m, MSG_CMSG_CLOEXEC));
    h = CMSG_FIRSTHDR(&m);
    printf("len %ld flags %x ctl %ld\n", (long)h->cmsg_len, m.msg_flags, (long)m.msg_controllen);
    printf("first %d last %d\n", passed(&m)[0], passed(&m)[252]);
    for (int i = 0; i < 253; i++) close(passed(&m)[i]);
    // Room for some of them.
    m.msg_controllen = CMSG_SPACE(8) + 4;
    SHOW(recvmsg(sv[1], &m, 0));
    h = CMSG_FIRSTHDR(&m);
    printf("len %ld flags %x ctl %ld\n", (long)h->cmsg_len, m.msg_flags, (long)m.msg_controllen);
    printf("first %d second %d\n", passed(&m)[0], passed(&m)[1]);
    for (int i = 0; i < (h->cmsg_len - 16) / 4; i++) close(passed(&m)[i]);
    // Looked at, and then taken.
    int d[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, d);
    v = (struct iovec){"dg", 2};
    m.msg_controllen = CMSG_SPACE(4);
    h = CMSG_FIRSTHDR(&m);
    *h = (struct cmsghdr){CMSG_LEN(4), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(h), sv, 4);
    SHOW(sendmsg(d[0], &m, 0));
    v = (struct iovec){b, 10};
    m.msg_controllen = sizeof ctl;
    SHOW(recvmsg(d[1], &m, MSG_PEEK));
    h = CMSG_FIRSTHDR(&m);
    SHOW(h->cmsg_len);
    m.msg_controllen = sizeof ctl;
    SHOW(recvmsg(d[1], &m, 0));
    h = CMSG_FIRSTHDR(&m);
    SHOW(h->cmsg_len);
    m.msg_controllen = 3;
    SHOW(sendmsg(d[0], &m, 0));
}

static void files(void) {
    put("in", "0123456789abcdef");
    int in = open("in", O_RDONLY), out = open("out", O_RDWR | O_CREAT | O_TRUNC, 0644);
    off_t o = 4;
    SHOW(sendfile(out, in, &o, 5));
    SHOW(o);
    SHOW(sendfile(out, in, 0, 100));
    SHOW(lseek(in, 0, SEEK_CUR));
    SHOW(sendfile(in, out, 0, 1));
    int sv[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
    lseek(in, 0, 0);
    SHOW(sendfile(sv[0], in, 0, 10));
    char b[64];
    SHOW(recv(sv[1], b, 64, 0));
    show_bytes("sent", b, 10);
    loff_t a = 2, c = 100;
    SHOW(copy_file_range(in, &a, out, &c, 8, 0));
    printf("%ld %ld\n", a, c);
    SHOW(copy_file_range(in, 0, out, 0, 1000, 0));
    SHOW(copy_file_range(in, 0, out, 0, 10, 1));
    SHOW(copy_file_range(sv[0], 0, out, 0, 10, 0));
    a = 0;
    c = 1;
    SHOW(copy_file_range(out, &a, out, &c, 8, 0));
    int p[2];
    pipe(p);
    SHOW(splice(sv[0], 0, p[1], 0, 10, SPLICE_F_NONBLOCK));
    write(sv[1], "via socket", 10);
    SHOW(splice(sv[0], 0, p[1], 0, 100, 0));
    SHOW(splice(p[0], 0, sv[0], 0, 5, 0));
    SHOW(recv(sv[1], b, 64, 0));
    SHOW(read(p[0], b, 64));
    SHOW(send(sv[0], "abcdef", 6, MSG_MORE));
    SHOW(recv(sv[1], b, 3, MSG_PEEK));
    SHOW(recv(sv[1], b, 3, MSG_WAITALL));
    SHOW(recv(sv[1], b, 10, MSG_DONTWAIT));
    SHOW(recv(sv[1], b, 10, MSG_DONTWAIT));
    struct iovec out_bytes[2] = {{"one", 3}, {"three", 5}};
    struct mmsghdr mm[2] = {{{.msg_iov = out_bytes, .msg_iovlen = 1}}, {{.msg_iov = out_bytes + 1, .msg_iovlen = 1}}};
    int d[2];
    socketpair(AF_UNIX, SOCK_DGRAM, 0, d);
    SHOW(sendmmsg(d[0], mm, 2, 0));
    printf("%d %d\n", mm[0].msg_len, mm[1].msg_len);
    char x[2][8];
    struct iovec in_bytes[3] = {{x[0], 8}, {x[1], 2}, {x[1], 2}};
    struct mmsghdr rr[3] = {};
    for (int i = 0; i < 3; i++) rr[i].msg_hdr.msg_iov = in_bytes + i, rr[i].msg_hdr.msg_iovlen = 1;
    struct timespec ts = {0, 10000000};
    SHOW(recvmmsg(d[1], rr, 3, MSG_WAITFORONE, &ts));
    printf("%d %d %x\n", rr[0].msg_len, rr[1].msg_len, rr[1].msg_hdr.msg_flags);
    SHOW(recvmmsg(d[1], rr, 3, MSG_DONTWAIT, 0));
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    credentials();
    many();
    files();
    return 0;
}

