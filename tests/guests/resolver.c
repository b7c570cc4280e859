// Asks name servers by hand, as no C library does.
//   resolver ask NAME KIND [SERVER]   a datagram from a socket that is bound and not connected, as musl sends it
//   resolver stream NAME KIND         the same question on a connection
//   resolver connect ADDRESS PORT     whether an address can be reached
//   resolver send ADDRESS PORT        whether a datagram can be sent there
//   resolver flood SUFFIX COUNT       asks for so many names, and for the first of them once more at the end
//   resolver junk COUNT               sends so many messages that are none, then asks for api.example.org
//   resolver moves NAME               one socket asks, goes elsewhere, and asks again
#include "show.h"
#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

static const char *server = "192.0.2.53";

static struct sockaddr_in at(const char *address, int port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, address, &to.sin_addr);
    return to;
}

static int question(unsigned char *out, int id, const char *name, int kind) {
    unsigned char *p = out;
    unsigned char head[12] = {id >> 8, id, 1, 0, 0, 1};
    memcpy(p, head, 12);
    p += 12;
    while (*name) {
        int length = strcspn(name, ".");
        *p++ = length;
        memcpy(p, name, length);
        p += length;
        name += length + (name[length] == '.');
    }
    unsigned char tail[5] = {0, kind >> 8, kind, 0, 1};
    memcpy(p, tail, 5);
    return p + 5 - out;
}

static void show_from(const char *what, struct sockaddr_in *from) {
    char text[64];
    printf("%s %s:%d\n", what, inet_ntop(AF_INET, &from->sin_addr, text, 64), ntohs(from->sin_port));
}

static void show_answer(const unsigned char *in, long count) {
    if (count < 12) return (void)printf("nothing\n");
    printf("id %02x%02x code %d answers %d\n", in[0], in[1], in[3] & 15, in[6] << 8 | in[7]);
}

static long wait_for(int s, unsigned char *in, int size, struct sockaddr_in *from) {
    socklen_t length = sizeof *from;
    if (poll(&(struct pollfd){s, POLLIN}, 1, 20000) != 1) return -1;
    return recvfrom(s, in, size, 0, (void *)from, &length);
}

static int ask(int s, const char *name, int kind) {
    unsigned char out[600], in[2000];
    struct sockaddr_in to = at(server, 53), from = {0};
    int length = question(out, 0xbeef, name, kind);
    if (sendto(s, out, length, 0, (void *)&to, sizeof to) != length) return SHOW(-1), 1;
    show_answer(in, wait_for(s, in, sizeof in, &from));
    show_from("from", &from);
    return 0;
}

int main(int argc, char **argv) {
    unsigned char out[600], in[4000];
    struct sockaddr_in any = at("0.0.0.0", 0), to = at(server, 53), from = {0};
    socklen_t length = sizeof from;
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    if (!strcmp(argv[1], "ask")) {
        if (argc > 4) server = argv[4];
        SHOW(bind(s, (void *)&any, sizeof any));
        return ask(s, argv[2], atoi(argv[3]));
    }
    if (!strcmp(argv[1], "stream")) {
        s = socket(AF_INET, SOCK_STREAM, 0);
        SHOW(connect(s, (void *)&to, sizeof to));
        SHOW(getpeername(s, (void *)&from, &length));
        show_from("peer", &from);
        int count = question(out + 2, 0xbeef, argv[2], atoi(argv[3]));
        out[0] = count >> 8, out[1] = count;
        // In pieces, and twice.
        write(s, out, 5);
        write(s, out + 5, count - 3);
        write(s, out, count + 2);
        for (int n = 0; n < 2; n++) {
            if (recv(s, in, 2, MSG_WAITALL) != 2) return puts("closed"), 1;
            int size = in[0] << 8 | in[1];
            show_answer(in, recv(s, in, size, MSG_WAITALL));
        }
        return 0;
    }
    if (!strcmp(argv[1], "connect")) {
        s = socket(AF_INET, SOCK_STREAM, 0);
        to = at(argv[2], atoi(argv[3]));
        SHOW(connect(s, (void *)&to, sizeof to));
        return 0;
    }
    if (!strcmp(argv[1], "send")) {
        to = at(argv[2], atoi(argv[3]));
        SHOW(sendto(s, "x", 1, 0, (void *)&to, sizeof to));
        return 0;
    }
    if (!strcmp(argv[1], "flood")) {
        char name[200];
        SHOW(connect(s, (void *)&to, sizeof to));
        for (int n = 0; n < atoi(argv[3]); n++) {
            snprintf(name, 200, "n%d.%s", n, argv[2]);
            send(s, out, question(out, n, name, 1), 0);
        }
        // What came of those that were answered.
        while (poll(&(struct pollfd){s, POLLIN}, 1, 100) == 1) recv(s, in, sizeof in, 0);
        s = socket(AF_INET, SOCK_DGRAM, 0);
        return ask(s, "api.example.org", 1);
    }
    if (!strcmp(argv[1], "junk")) {
        SHOW(connect(s, (void *)&to, sizeof to));
        for (int n = 0; n < atoi(argv[2]); n++) {
            int size = n % 599;
            fill(out, size, n);
            // Half of them have the head of a question.
            if (n % 2 && size > 12) memcpy(out, "\1\2\1\0\0\1\0\0\0\0\0\0", 12);
            send(s, out, size, 0);
        }
        s = socket(AF_INET, SOCK_DGRAM, 0);
        return ask(s, "api.example.org", 1);
    }
    if (!strcmp(argv[1], "moves")) {
        ask(s, argv[2], 1);
        to = at("198.51.100.7", 9);
        SHOW(sendto(s, "x", 1, 0, (void *)&to, sizeof to));
        ask(s, argv[2], 1);
        SHOW(sendto(s, "x", 1, 0, (void *)&to, sizeof to));
        SHOW(connect(s, (void *)&to, sizeof to));
        to = at(server, 53);
        SHOW(connect(s, (void *)&to, sizeof to));
        SHOW(getpeername(s, (void *)&from, &length));
        show_from("peer", &from);
        return ask(s, argv[2], 1);
    }
    return 2;
}
