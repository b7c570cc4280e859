/* The interfaces that a socket sees, by index; then whether loopback can be reached. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(void) {
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    if (s < 0) {
        printf("no socket: %s\n", strerror(errno));
        return 1;
    }
    for (int i = 1; i < 64; i++) {
        struct ifreq request = {.ifr_ifindex = i};
        if (ioctl(s, SIOCGIFNAME, &request) == 0)
            printf("interface %s\n", request.ifr_name);
    }
    /* A membership makes the kernel send a report from the interface, whatever addresses the socket may reach. */
    struct ip_mreqn group = {.imr_multiaddr.s_addr = inet_addr("239.1.2.3")};
    int joined = 0;
    for (int i = 2; i < 64; i++) {
        group.imr_ifindex = i;
        joined += setsockopt(s, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) == 0;
    }
    printf("joined %s\n", joined ? "somewhere" : "nowhere");
    return 0;
}
