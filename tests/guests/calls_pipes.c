// Pipes, FIFOs, eventfd, timerfd, and waiting for many descriptors at once.
#include "show.h"
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <time.h>

enum { LARGE = 3 << 20 };
static char *large, *back;

static void *write_large(void *fd) {
    long n = write((long)fd, large, LARGE);
    printf("written: %ld\n", n);
    close((long)fd);
    return 0;
}

static void pipes(void) {
    int p[2], q[2];
    char b[100];
    SHOW(pipe(p));
    SHOW(pipe2(q, O_NONBLOCK | O_CLOEXEC));
    SHOW(pipe2(q, 7));
    printf("%d %d %d %d\n", p[0], p[1], q[0], q[1]);
    SHOW(fcntl(q[0], F_GETFL));
    SHOW(fcntl(q[1], F_GETFD));
    SHOW(read(q[0], b, 1));
    SHOW(write(q[1], "abc", 3));
    int n = 0;
    SHOW(ioctl(q[0], FIONREAD, &n));
    SHOW(n);
    SHOW(read(q[0], b, 100));
    SHOW(fcntl(q[1], F_GETPIPE_SZ));
    SHOW(fcntl(q[1], F_SETPIPE_SZ, 4096));
    memset(large, 'x', LARGE);
    SHOW(write(q[1], large, LARGE));
    SHOW(write(q[1], large, 1));
    SHOW(read(q[0], back, 100));
    SHOW(write(q[1], large, 1));
    SHOW(write(q[1], large, 0));
    close(q[0]);
    signal(SIGPIPE, SIG_IGN);
    SHOW(write(q[1], "x", 1));
    close(q[1]);
    SHOW(lseek(p[0], 0, SEEK_CUR));
    SHOW(write(p[0], "x", 1));
    SHOW(read(p[1], b, 1));

    fill(large, LARGE, 3);
    pthread_t t;
    pthread_create(&t, 0, write_large, (void *)(long)p[1]);
    long total = 0, got;
    while ((got = read(p[0], back + total, LARGE - total)) > 0) total += got;
    pthread_join(t, 0);
    SHOW(total);
    SHOW(sum(back, LARGE) == sum(large, LARGE));
    SHOW(read(p[0], b, 1));
    close(p[0]);

    pipe(p);
    pipe(q);
    SHOW(write(p[1], "spliced", 7));
    // A pipe may have room for one piece only, so each is read before the next.
    SHOW(tee(p[0], q[1], 100, 0));
    SHOW(read(q[0], b, 7));
    SHOW(splice(p[0], 0, q[1], 0, 100, SPLICE_F_NONBLOCK));
    SHOW(splice(p[0], 0, q[1], 0, 100, SPLICE_F_NONBLOCK));
    SHOW(read(q[0], b + 7, 93));
    show_bytes("both", b, 14);
    put("f", "from a file");
    int fd = open("f", O_RDWR);
    loff_t at = 5;
    SHOW(splice(fd, &at, p[1], 0, 100, 0));
    SHOW(at);
    SHOW(splice(p[0], 0, fd, 0, 3, 0));
    SHOW(splice(fd, 0, fd, 0, 3, 0));
    SHOW(splice(p[0], &at, fd, 0, 3, 0));
    SHOW(read(p[0], b, 100));
    show_bytes("rest", b, 3);
    SHOW(read(fd, b, 100));
    show_bytes("file", b, 8);
    for (int i = 0; i < 2; i++) close(p[i]), close(q[i]);
    close(fd);
}

static void fifos(void) {
    SHOW(mkfifo("fifo", 0600));
    SHOW(open("fifo", O_WRONLY | O_NONBLOCK));
    int r = open("fifo", O_RDONLY | O_NONBLOCK), w = open("fifo", O_WRONLY);
    char b[10];
    SHOW(read(r, b, 1));
    SHOW(write(w, "fifo", 4));
    SHOW(read(r, b, 10));
    SHOW(close(w));
    SHOW(read(r, b, 1));
    SHOW(unlink("fifo"));
    close(r);
}

static void polling(void) {
    // One to read from and one to write to: with a byte in it a pipe may be full.
    int p[2], q[2];
    pipe(p);
    pipe(q);
    struct pollfd f[4] = {{p[0], POLLIN}, {q[1], POLLOUT}, {-1, POLLIN}, {99, POLLIN}};
    SHOW(poll(f, 4, 0));
    printf("%x %x %x %x\n", f[0].revents, f[1].revents, f[2].revents, f[3].revents);
    SHOW(poll(f, 1, 5));
    SHOW(poll(0, 0, 1));
    SHOW(poll((void *)8, 1, 0));
    write(p[1], "x", 1);
    struct timespec t = {0, 1000000}, bad = {0, -1};
    SHOW(ppoll(f, 3, &t, 0));
    printf("%x %x\n", f[0].revents, f[1].revents);
    SHOW(ppoll(f, 3, &bad, 0));
    fd_set r, w;
    FD_ZERO(&r);
    FD_ZERO(&w);
    FD_SET(p[0], &r);
    FD_SET(q[1], &w);
    struct timeval v = {0, 1000};
    SHOW(select(q[1] + 1, &r, &w, 0, &v));
    SHOW(FD_ISSET(p[0], &r) && FD_ISSET(q[1], &w));
    FD_ZERO(&r);
    // Linux looks at no bit above the size of the process's table, which is 64 at least.
    close(60);
    FD_SET(60, &r);
    SHOW(select(61, &r, 0, 0, &v));
    SHOW(select(-1, 0, 0, 0, &v));
    v = (struct timeval){0, 2000};
    SHOW(select(0, 0, 0, 0, &v));
    SHOW(pselect(0, 0, 0, 0, &t, 0));

    int e = epoll_create1(EPOLL_CLOEXEC), file = open("f", O_RDONLY);
    struct epoll_event ev = {EPOLLIN | EPOLLET, {.u64 = 0x1122334455667788}}, out[4];
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, p[0], &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, file, &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, e, &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, 99, &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_DEL, q[1], &ev));
    SHOW(epoll_wait(e, out, 4, 0));
    printf("%x %lx\n", out[0].events, out[0].data.u64);
    SHOW(epoll_wait(e, out, 4, 0));
    ev.events = EPOLLOUT | EPOLLONESHOT;
    ev.data.u64 = 5;
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, q[1], &ev));
    SHOW(epoll_pwait(e, out, 4, 100, 0));
    printf("%x %lx\n", out[0].events, out[0].data.u64);
    SHOW(epoll_wait(e, out, 4, 1));
    SHOW(epoll_ctl(e, EPOLL_CTL_MOD, q[1], &ev));
    SHOW(epoll_wait(e, out, 4, -1));
    SHOW(epoll_wait(e, out, 0, 0));
    SHOW(epoll_wait(e, (void *)8, 4, 0));
    // A descriptor that is closed leaves the set, and its number can be added anew.
    ev.events = EPOLLIN;
    int gone = eventfd(1, 0);
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, gone, &ev));
    SHOW(close(gone));
    SHOW(epoll_wait(e, out, 4, 0));
    SHOW(eventfd(1, 0) == gone);
    SHOW(epoll_ctl(e, EPOLL_CTL_MOD, gone, &ev));
    SHOW(epoll_ctl(e, EPOLL_CTL_ADD, gone, &ev));
    SHOW(epoll_wait(e, out, 4, 0));
    struct pollfd nested = {e, POLLIN};
    SHOW(poll(&nested, 1, 0));
    close(p[1]);
    close(gone);
    SHOW(poll(f, 1, 0));
    printf("%x\n", f[0].revents);
    close(p[0]);
    close(q[0]);
    close(q[1]);
    close(e);
    close(file);
}

static void *later(void *fd) {
    nanosleep(&(struct timespec){0, 20000000}, 0);
    eventfd_write((long)fd, 5);
    return 0;
}

static void counters(void) {
    uint64_t n = 7;
    int e = eventfd(3, EFD_NONBLOCK), s = eventfd(2, EFD_SEMAPHORE);
    SHOW(read(e, &n, 8));
    SHOW(n);
    SHOW(read(e, &n, 8));
    SHOW(read(e, &n, 4));
    n = -2;
    SHOW(write(e, &n, 8));
    SHOW(write(e, &n, 8));
    n = -1;
    SHOW(write(e, &n, 8));
    SHOW(read(s, &n, 8));
    SHOW(n);
    pthread_t t;
    int blocking = eventfd(0, 0);
    pthread_create(&t, 0, later, (void *)(long)blocking);
    SHOW(read(blocking, &n, 8));
    SHOW(n);
    pthread_join(t, 0);

    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct itimerspec soon = {{0, 2000000}, {0, 1000000}}, now;
    SHOW(read(timer, &n, 8));
    SHOW(timerfd_settime(timer, 0, &soon, 0));
    struct pollfd f = {timer, POLLIN};
    SHOW(poll(&f, 1, -1));
    SHOW(read(timer, &n, 8));
    SHOW(n >= 1);
    SHOW(timerfd_gettime(timer, &now));
    SHOW(now.it_interval.tv_nsec);
    soon = (struct itimerspec){{0, 0}, {0, 1}};
    SHOW(timerfd_settime(timer, TFD_TIMER_ABSTIME, &soon, &now));
    SHOW(poll(&f, 1, -1));
    soon.it_value.tv_nsec = 1000000000;
    SHOW(timerfd_settime(timer, 0, &soon, 0));
    SHOW(timerfd_create(77, 0));
    SHOW(timerfd_gettime(e, &now));
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    large = malloc(LARGE);
    back = malloc(LARGE);
    pipes();
    fifos();
    polling();
    counters();
    return 0;
}
