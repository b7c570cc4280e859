// A service that tells its manager how it is (sd_notify(3)), and as `manager PROGRAM...` that manager: it prints what it hears,
// whether the process that it has started says it, and how many descriptors come along.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static struct sockaddr_un where = {.sun_family = AF_UNIX};
static socklen_t length;

static int channel(void) { return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0); }

// Through a socket that is connected, or, as sd_notify does, to the name; with a descriptor or none.
static int tell(int connected, const char *text, int descriptor) {
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {(void *)text, strlen(text)};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(rights), &descriptor, sizeof(int));
    }
    int s = channel();
    if (connected) {
        if (connect(s, (void *)&where, length)) return perror("connect"), 1;
    } else {
        message.msg_name = &where;
        message.msg_namelen = length;
    }
    if (sendmsg(s, &message, MSG_NOSIGNAL) < 0) return perror(text), 1;
    return close(s);
}

static int is_own(const char *name) {
    const char *value = getenv(name);
    return value && atoi(value) == getpid();
}

static const char *value(const char *name) { return getenv(name) ? getenv(name) : "none"; }

static int service(int hostile) {
    const char *name = getenv("NOTIFY_SOCKET");
    if (!name) return puts("nobody listens"), 0;
    length = offsetof(struct sockaddr_un, sun_path) + strlen(name);
    memcpy(where.sun_path, name, strlen(name));
    if (*name == '@') *where.sun_path = 0;
    char text[500];
    sprintf(text, "STATUS=watched %s %d, %s sockets %s %d, started %d", value("WATCHDOG_USEC"), is_own("WATCHDOG_PID"),
            value("LISTEN_FDS"), value("LISTEN_FDNAMES"), is_own("LISTEN_PID"), is_own("SYSTEMD_EXEC_PID"));
    int failed = tell(1, "READY=1\nSTATUS=up", -1) || tell(0, text, -1);
    if (getenv("LISTEN_FDS")) {
        int client = accept(3, 0, 0);
        failed |= client < 0 || write(client, "hello", 5) != 5 || close(client);
    }
    failed |= tell(0, "RELOADING=1\nMONOTONIC_USEC=12345", -1) || tell(1, "READY=1", -1) || tell(0, "WATCHDOG=1", -1);
    int ends[2];
    failed |= pipe(ends) || tell(0, "FDSTORE=1\nFDNAME=kept", ends[0]) || tell(1, "BARRIER=1", ends[1]);
    close(ends[1]);
    // The manager closes its copy once it has read everything.
    struct pollfd closed = {ends[0], 0, 0};
    failed |= poll(&closed, 1, 60000) != 1;
    if (hostile) {
        failed |= tell(0, "MAINPID=1\nSTATUS=\033[2Jup\nX_MINE=1", -1) || tell(0, "FDSTOREREMOVE=1\nFDNAME=a:b", ends[0]);
        char *flood = calloc(1, 100001);
        memset(flood, 'x', 100000);
        failed |= tell(0, flood, -1);
    }
    return failed | tell(0, "STOPPING=1", -1);
}

static int manager(char **program) {
    int notices = channel(), one = 1;
    struct sockaddr_in web = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    length = sizeof web;
    if (bind(listener, (void *)&web, length) || listen(listener, 5) || getsockname(listener, (void *)&web, &length) ||
        connect(client, (void *)&web, length))
        return perror("listener"), 1;
    sprintf(where.sun_path, "notices-%d", getpid());
    length = sizeof where;
    setsockopt(notices, SOL_SOCKET, SO_PASSCRED, &one, sizeof one);
    if (bind(notices, (void *)&where, length)) return perror("bind"), 1;
    pid_t child = fork();
    if (!child) {
        char pid[20], path[300], folder[200];
        sprintf(pid, "%d", getpid());
        sprintf(path, "%s/%s", getcwd(folder, sizeof folder), where.sun_path);
        setenv("NOTIFY_SOCKET", path, 1);
        setenv("WATCHDOG_USEC", "60000000", 1);
        setenv("WATCHDOG_PID", pid, 1);
        setenv("LISTEN_FDS", "1", 1);
        setenv("LISTEN_FDNAMES", "web", 1);
        setenv("LISTEN_PID", pid, 1);
        setenv("SYSTEMD_EXEC_PID", pid, 1);
        if (listener != 3) dup2(listener, 3), close(listener);
        execv(program[0], program);
        _exit(127);
    }
    close(listener);
    int status = 0, ended = 0;
    for (;;) {
        char text[5000], control[500];
        struct iovec piece = {text, sizeof text - 1};
        struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        ended = ended || waitpid(child, &status, WNOHANG) == child;
        struct pollfd readable = {notices, POLLIN, 0};
        if (poll(&readable, 1, ended ? 0 : 20) != 1) {
            if (ended) break;
            continue;
        }
        ssize_t count = recvmsg(notices, &message, MSG_DONTWAIT);
        if (count < 0) continue;
        text[count] = 0;
        int descriptors = 0, is_main = 0;
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
            if (c->cmsg_type == SCM_RIGHTS) {
                descriptors = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (int n = 0; n < descriptors; n++) close(((int *)CMSG_DATA(c))[n]);
            } else {
                is_main = ((struct ucred *)CMSG_DATA(c))->pid == child;
            }
        }
        for (char *c = text; *c; c++)
            if (*c == '\n') *c = c[1] ? ' ' : 0;
        printf("%s, %s, %d descriptors\n", text, is_main ? "main" : "other", descriptors);
    }
    unlink(where.sun_path);
    char greeting[10] = {0};
    ssize_t got = recv(client, greeting, 9, MSG_DONTWAIT);
    printf("%s, ended %d\n", got > 0 ? greeting : "no greeting", WEXITSTATUS(status));
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 2 && !strcmp(argv[1], "manager")) return manager(argv + 2);
    return service(argc > 1);
}
