// Runs a program in a network namespace of its own that has one interface beside loopback, `wire`, with the address
// 192.0.2.2 and the way to everywhere. Then prints whether anything with the given key has left by it, and whether a
// service of that address (port 9997, TCP and UDP) was reached.
//
// usage: network_wire KEY MILLISECONDS PROGRAM ARGUMENT…: after the program's end it waits that long for the key.
// Exit status 77: there is no such namespace to be had.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_link.h>
#include <linux/if_packet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *ADDRESS = "192.0.2.2";

static void need(int done, const char *what) {
    if (done >= 0) return;
    printf("no network: %s: %s\n", what, strerror(errno));
    exit(77);
}

static void put(const char *file, const char *text) {
    int fd = open(file, O_WRONLY);
    if (fd >= 0) { write(fd, text, strlen(text)); close(fd); }
}

// The user stays who it is.
static void enter(void) {
    int user = getuid(), group = getgid();
    if (geteuid() == 0) {
        need(unshare(CLONE_NEWNET), "unshare");
    } else {
        char map[64];
        need(unshare(CLONE_NEWUSER | CLONE_NEWNET), "unshare");
        put("/proc/self/setgroups", "deny");
        snprintf(map, sizeof map, "%d %d 1", user, user);
        put("/proc/self/uid_map", map);
        snprintf(map, sizeof map, "%d %d 1", group, group);
        put("/proc/self/gid_map", map);
    }
}

static char request[512];

static struct rtattr *attribute(int type, const void *data, int len) {
    struct nlmsghdr *head = (void *)request;
    struct rtattr *a = (void *)(request + NLMSG_ALIGN(head->nlmsg_len));
    a->rta_type = type;
    a->rta_len = RTA_LENGTH(len);
    memcpy(RTA_DATA(a), data, len);
    head->nlmsg_len = NLMSG_ALIGN(head->nlmsg_len) + RTA_ALIGN(a->rta_len);
    return a;
}

// Makes a link of this kind; one of a pair if it has a peer.
static int link_of(const char *kind) {
    struct nlmsghdr *head = (void *)request;
    memset(request, 0, sizeof request);
    head->nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg));
    head->nlmsg_type = RTM_NEWLINK;
    head->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
    attribute(IFLA_IFNAME, "wire", 5);
    struct rtattr *info = attribute(IFLA_LINKINFO, "", 0);
    attribute(IFLA_INFO_KIND, kind, strlen(kind));
    info->rta_len = request + head->nlmsg_len - (char *)info;
    int s = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
    send(s, request, head->nlmsg_len, 0);
    struct { struct nlmsghdr head; struct nlmsgerr error; char rest[512]; } answer;
    recv(s, &answer, sizeof answer, 0);
    close(s);
    errno = -answer.error.error;
    return answer.error.error ? -1 : 0;
}

static void up(int s, const char *name) {
    struct ifreq r = {0};
    strcpy(r.ifr_name, name);
    need(ioctl(s, SIOCGIFFLAGS, &r), name);
    r.ifr_flags |= IFF_UP | (strcmp(name, "lo") ? IFF_NOARP : 0);
    need(ioctl(s, SIOCSIFFLAGS, &r), name);
}

static struct sockaddr_in at(const char *address, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = inet_addr(address);
    return a;
}

static void connect_wire(void) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    up(s, "lo");
    need(link_of("dummy") && link_of("veth") ? -1 : 0, "link");
    struct ifreq r = {.ifr_name = "wire"};
    *(struct sockaddr_in *)&r.ifr_addr = at(ADDRESS, 0);
    need(ioctl(s, SIOCSIFADDR, &r), "address");
    up(s, "wire");
    // The other end of a pair must be up, or nothing is sent.
    struct ifreq peer = {.ifr_name = "veth0"};
    if (ioctl(s, SIOCGIFFLAGS, &peer) == 0) up(s, "veth0");
    struct rtentry route = {.rt_dev = "wire", .rt_flags = RTF_UP};
    *(struct sockaddr_in *)&route.rt_dst = at("0.0.0.0", 0);
    *(struct sockaddr_in *)&route.rt_genmask = at("0.0.0.0", 0);
    need(ioctl(s, SIOCADDRT, &route), "route");
    close(s);
}

static int has(int socket, const char *key) {
    char frame[2048];
    for (;;) {
        struct sockaddr_ll from;
        socklen_t len = sizeof from;
        int n = recvfrom(socket, frame, sizeof frame, MSG_DONTWAIT, (void *)&from, &len);
        if (n < 0) return 0;
        if (memmem(frame, n, key, strlen(key))) return 1;
    }
}

int main(int argc, char **argv) {
    const char *key = argv[1];
    setbuf(stdout, NULL);
    enter();
    connect_wire();
    int wire = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    where.sll_ifindex = if_nametoindex("wire");
    need(bind(wire, (void *)&where, sizeof where), "sniffer");
    int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in service = at(ADDRESS, 9997);
    need(bind(tcp, (void *)&service, sizeof service), "service");
    need(listen(tcp, 8), "service");
    need(bind(udp, (void *)&service, sizeof service), "service");
    pid_t child = fork();
    if (!child) { execv(argv[3], argv + 3); _exit(127); }
    int status, left = has(wire, key);
    waitpid(child, &status, 0);
    struct pollfd p = {wire, POLLIN};
    struct timespec now, end;
    clock_gettime(CLOCK_MONOTONIC, &end);
    long until = end.tv_sec * 1000 + end.tv_nsec / 1000000 + atoi(argv[2]), rest;
    while (!left && (clock_gettime(CLOCK_MONOTONIC, &now),
                     rest = until - now.tv_sec * 1000 - now.tv_nsec / 1000000) > 0) {
        poll(&p, 1, rest);
        left = has(wire, key);
    }
    printf("left: %s\nreached: %s\n", left ? "yes" : "no", accept(tcp, 0, 0) >= 0 || has(udp, key) ? "yes" : "no");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
