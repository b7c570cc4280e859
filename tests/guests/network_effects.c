// What a socket does beside what its calls name: each try prints "ESCAPED" if it works, else "held". The key that a
// group, a payload or a name carries is for the sniffer of network_wire.c, in whose network this runs. Whether a try
// that works also leaves the machine, the sniffer says.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/in6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#define TRY(...) do { if ((long)(__VA_ARGS__) >= 0) printf("ESCAPED: %s\n", #__VA_ARGS__); else printf("held: %s: %s\n", #__VA_ARGS__, strerror(errno)); } while (0)

static int udp(void) { return socket(AF_INET, SOCK_DGRAM, 0); }
static int tcp(void) { return socket(AF_INET, SOCK_STREAM, 0); }

static struct sockaddr_in at(const char *address, int port) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = inet_addr(address);
    return a;
}

static int to(int s, const char *address, int port) {
    struct sockaddr_in a = at(address, port);
    return sendto(s, "KEY", 3, 0, (void *)&a, sizeof a) == 3 ? 0 : -1;
}

static int joined(int s, const char *address, int port) {
    struct sockaddr_in a = at(address, port);
    return connect(s, (void *)&a, sizeof a);
}

// Does it for the number of every interface but loopback there may be.
#define EACH(done) ({ int ok = -1; for (int i = 2; i < 16; i++) if ((done) >= 0) ok = 0; ok; })

static int membership(int i) {
    struct ip_mreqn group = {.imr_ifindex = i};
    memcpy(&group.imr_multiaddr, "\xefKEY", 4);
    return setsockopt(udp(), IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group);
}

static int source_membership(int i) {
    struct group_source_req r = {.gsr_interface = i};
    struct sockaddr_in *group = (void *)&r.gsr_group, *source = (void *)&r.gsr_source;
    *group = at("239.1.2.3", 0);
    *source = at("192.0.2.9", 0);
    memcpy(&source->sin_addr, "\xcbKEY", 4);
    return setsockopt(udp(), IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, &r, sizeof r);
}

static int membership6(int i) {
    struct ipv6_mreq group = {.ipv6mr_interface = i};
    memcpy(&group.ipv6mr_multiaddr, "\xff\x05-----------KEY", 16);
    return setsockopt(socket(AF_INET6, SOCK_DGRAM, 0), IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group, sizeof group);
}

static void groups(void) {
    TRY(EACH(membership(i)));
    TRY(EACH(source_membership(i)));
    TRY(EACH(membership6(i)));
}

static int by_option(int level, int name, int value) {
    int s = udp();
    return setsockopt(s, level, name, &value, sizeof value) < 0 ? -1 : to(s, "127.0.0.1", 9998);
}

static int by_name(void) {
    int s = udp();
    return setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "wire", 5) < 0 ? -1 : to(s, "127.0.0.1", 9998);
}

// A datagram with a control message that chooses its device or its source.
static int by_message(int device, const char *source, const char *address, int port) {
    char control[CMSG_SPACE(sizeof(struct in_pktinfo))] = {0};
    struct sockaddr_in a = at(address, port);
    struct iovec io = {"KEY", 3};
    struct msghdr m = {&a, sizeof a, &io, 1, control, sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(sizeof(struct in_pktinfo)), IPPROTO_IP, IP_PKTINFO};
    struct in_pktinfo *info = (void *)CMSG_DATA(c);
    info->ipi_ifindex = device;
    info->ipi_spec_dst.s_addr = inet_addr(source);
    return sendmsg(udp(), &m, 0);
}

// The loopback address, which the profile allows, by way of a device.
static void devices(void) {
    TRY(by_name());
    TRY(EACH(by_option(SOL_SOCKET, SO_BINDTOIFINDEX, i)));
    TRY(EACH(by_option(IPPROTO_IP, IP_UNICAST_IF, htonl(i))));
    TRY(EACH(by_message(i, "0.0.0.0", "127.0.0.1", 9998)));
}

static int bound_to(const char *device) {
    int s = tcp();
    setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, device, strlen(device) + 1);
    return s;
}

static int connected_before(void) {
    int s = udp();
    return joined(s, "192.0.2.1", 1) < 0 || joined(s, "0.0.0.0", 9997) < 0 ? -1 : write(s, "KEY", 3);
}

// The unspecified address is the source's where one is set. Whether the host's service was reached, that one says.
static void unspecified_by_device(void) { joined(bound_to("wire"), "0.0.0.0", 9997); }
static void unspecified_after_another(void) { connected_before(); }
static void unspecified_by_message(void) { by_message(0, "192.0.2.2", "0.0.0.0", 9997); }

static int listens(void) {
    int s = tcp();
    joined(s, "127.0.0.1", 9999);
    return listen(s, 1);
}

static int has_port(int s) {
    struct sockaddr_in name;
    socklen_t len = sizeof name;
    getsockname(s, (void *)&name, &len);
    return name.sin_port ? 0 : -1;
}

static int by_write(void) { int s = udp(); write(s, "x", 1); return has_port(s); }
static int by_send(void) { int s = udp(); send(s, "x", 1, 0); return has_port(s); }

static int by_sendfile(void) {
    int s = udp(), file = open("/proc/self/exe", O_RDONLY);
    sendfile(s, file, NULL, 1);
    return has_port(s);
}

static int by_splice(void) {
    int s = udp(), ends[2];
    pipe(ends);
    write(ends[1], "x", 1);
    splice(ends[0], NULL, s, NULL, 1, 0);
    return has_port(s);
}

static int by_message_without_a_name(void) {
    int s = udp();
    struct iovec io = {"x", 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &io, .msg_iovlen = 1}};
    sendmmsg(s, &m, 1, 0);
    return has_port(s);
}

static void implicit(void) {
    TRY(listens());
    TRY(by_write());
    TRY(by_send());
    TRY(by_sendfile());
    TRY(by_splice());
    TRY(by_message_without_a_name());
}

static int anycast(int i) {
    struct ipv6_mreq r = {.ipv6mr_interface = i};
    memcpy(&r.ipv6mr_multiaddr, "\xfe\x80\0\0\0\0\0\0-----KEY", 16);
    return setsockopt(socket(AF_INET6, SOCK_DGRAM, 0), IPPROTO_IPV6, IPV6_JOIN_ANYCAST, &r, sizeof r);
}

static int priority(int value) { return setsockopt(udp(), SOL_SOCKET, SO_PRIORITY, &value, sizeof value); }

// For root alone.
static void capabilities(void) {
    TRY(EACH(anycast(i)));
    TRY(priority(7));
}

// What everybody may set, whatever the profile.
static void harmless(void) {
    char algorithm[16];
    socklen_t len = sizeof algorithm;
    int s = tcp(), one = 1, tos = 16;
    printf("%d", getsockopt(s, IPPROTO_TCP, TCP_CONGESTION, algorithm, &len));
    printf(" %d", setsockopt(s, IPPROTO_TCP, TCP_CONGESTION, algorithm, strnlen(algorithm, len)));
    printf(" %d %d", priority(0), priority(6));
    printf(" %d", setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one));
    printf(" %d", setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    printf(" %d", setsockopt(s, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
    s = udp();
    printf(" %d", setsockopt(s, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
    printf(" %d", setsockopt(s, IPPROTO_IP, IP_RECVERR, &one, sizeof one));
    printf(" %d\n", setsockopt(s, IPPROTO_IP, IP_PKTINFO, &one, sizeof one));
}

// Which interfaces are seen, by each request that tells of any.
static void interfaces(void) {
    struct ifreq r, list[16];
    struct ifconf all = {.ifc_len = sizeof list, .ifc_req = list};
    for (int i = 1; i < 16; i++) {
        memset(&r, 0, sizeof r);
        r.ifr_ifindex = i;
        if (ioctl(udp(), SIOCGIFNAME, &r) == 0) printf("number: %s\n", r.ifr_name);
    }
    for (const char **name = (const char *[]){"lo", "wire", NULL}; *name; name++) {
        memset(&r, 0, sizeof r);
        strcpy(r.ifr_name, *name);
        if (ioctl(udp(), SIOCGIFINDEX, &r) == 0) printf("index: %s\n", *name);
        if (ioctl(udp(), SIOCGIFADDR, &r) == 0) printf("address: %s\n", *name);
        if (ioctl(udp(), SIOCGIFHWADDR, &r) == 0) printf("hardware: %s\n", *name);
    }
    if (ioctl(udp(), SIOCGIFCONF, &all) == 0)
        for (int i = 0; i < all.ifc_len / sizeof *list; i++) printf("list: %s\n", list[i].ifr_name);
}

int main(int argc, char **argv) {
    setbuf(stdout, NULL);
    struct { const char *name; void (*run)(void); } all[] = {
        {"groups", groups}, {"devices", devices}, {"implicit", implicit}, {"capabilities", capabilities},
        {"harmless", harmless}, {"interfaces", interfaces}, {"unspecified_by_device", unspecified_by_device},
        {"unspecified_after_another", unspecified_after_another}, {"unspecified_by_message", unspecified_by_message},
    };
    for (int i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(argv[1], all[i].name)) all[i].run();
    return 0;
}
