// Does what each line of its input asks for, as a question to a policy is written, and prints what came of it: "OK" or
// the error's name. Nothing that is there is changed.
#include "show.h"
#include <arpa/inet.h>
#include <stddef.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

static int opens(const char *path, int flags) {
    int fd = open(path, flags | O_NONBLOCK | O_NOCTTY);
    return fd < 0 ? -1 : (close(fd), 0);
}

static int maps(const char *path) {
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0) return -1;
    return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED ? -1 : (close(fd), 0);
}

static int makes(const char *path) { return mkdir(path, 0700) == 0 ? rmdir(path) : -1; }

// "tcp:127.0.0.1:80", "unix:/path", "unix:@name".
static int on(int (*what)(int, const struct sockaddr *, socklen_t), const char *address) {
    if (!strncmp(address, "unix:", 5)) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        strncpy(un.sun_path, address + 5, sizeof un.sun_path - 1);
        if (un.sun_path[0] == '@') un.sun_path[0] = 0;
        int s = socket(AF_UNIX, SOCK_STREAM, 0);
        return what(s, (void *)&un, offsetof(struct sockaddr_un, sun_path) + strlen(address + 5));
    }
    char host[64];
    int port, udp = !strncmp(address, "udp:", 4);
    if (sscanf(address + 4, "%63[0-9.]:%d", host, &port) != 2) return errno = EINVAL, -1;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = inet_addr(host)};
    int s = socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK, 0);
    int r = what(s, (void *)&in, sizeof in);
    return r < 0 && errno == EINPROGRESS ? 0 : r;
}

static int act(const char *what, char *a, char *b, char *c) {
    struct stat s;
    if (!strcmp(what, "read")) return opens(a, O_RDONLY);
    if (!strcmp(what, "write")) return opens(a, O_WRONLY);
    if (!strcmp(what, "attributes")) return chown(a, -1, -1);
    if (!strcmp(what, "create")) return makes(a);
    if (!strcmp(what, "remove")) return rename(a, a);
    if (!strcmp(what, "execute")) return maps(a);
    if (!strcmp(what, "list")) return opens(a, O_RDONLY | O_DIRECTORY);
    if (!strcmp(what, "metadata")) return lstat(a, &s);
    if (!strcmp(what, "connect")) return on(connect, a);
    if (!strcmp(what, "bind")) return on(bind, a);
    if (!strcmp(what, "rename")) return rename(a, b);
    if (!strcmp(what, "socket")) return socket(atoi(a), atoi(b), atoi(c)) < 0 ? -1 : 0;
    if (!strcmp(what, "env")) return getenv(a) ? 0 : (errno = ENOENT, -1);
    return errno = ENOSYS, -1;
}

int main(void) {
    static char line[8192];
    while (fgets(line, sizeof line, stdin)) {
        char *words[4] = {0}, *rest = line;
        for (int i = 0; i < 4; i++) words[i] = strsep(&rest, " \n");
        puts(act(words[0], words[1], words[2], words[3]) == 0 ? "OK" : strerrorname_np(errno));
    }
}
