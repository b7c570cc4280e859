// What is in a process's own directory below /proc beside its texts: permissions and link counts, what
// descriptors are, values that can be written, namespaces, the network; and open files of /proc that travel.
#include "show.h"
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>

static char text[1 << 20];

static long load(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return -1;
    long n = 0, got;
    while ((got = read(fd, text + n, sizeof text - 1 - n)) > 0) n += got;
    close(fd);
    text[n] = 0;
    return got < 0 ? -1 : n;
}

static long store(const char *path, const char *value) {
    int fd = open(path, O_WRONLY);
    if (fd < 0) return -1;
    long n = write(fd, value, strlen(value));
    int kept = errno;
    close(fd);
    errno = kept;
    return n;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

// The entries of a directory with their kind and permissions. What some kernels have and no guest gets is
// left out.
static void list(const char *path) {
    static const char *absent[] = {".", "..", "cpu_resctrl_groups", "fail-nth", "latency", "make-it-fail",
        "patch_state", "seccomp_cache"};
    char *names[400], whole[512];
    int count = 0;
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d)) && count < 400;) {
        int left_out = 0;
        for (unsigned i = 0; i < sizeof absent / sizeof *absent; i++) left_out |= !strcmp(e->d_name,
            absent[i]);
        if (!left_out) names[count++] = strdup(e->d_name);
    }
    if (d) closedir(d);
    qsort(names, count, sizeof *names, by_name);
    for (int i = 0; i < count; i++) {
        struct stat s;
        snprintf(whole, sizeof whole, "%s/%s", path, names[i]);
        if (lstat(whole, &s)) printf("%s: %s\n", whole, strerrorname_np(errno));
        else printf("%s: %o %ld\n", whole, s.st_mode, (long)s.st_size * !S_ISDIR(s.st_mode));
        free(names[i]);
    }
}

static pthread_barrier_t barrier;
static void *waits(void *unused) {
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return unused;
}

static long links(const char *path) {
    struct stat s;
    return stat(path, &s) ? -1 : (long)s.st_nlink;
}

static void counts(void) {
    pthread_t t[2];
    SHOW(links("/proc/self/task"));
    pthread_barrier_init(&barrier, 0, 3);
    for (int i = 0; i < 2; i++) pthread_create(t + i, 0, waits, 0);
    pthread_barrier_wait(&barrier);
    SHOW(links("/proc/self/task"));
    SHOW(links("/proc/self/task/.."));
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);
    SHOW(links("/proc/self/fd"));
    SHOW(links("/proc/self/ns"));
    SHOW(links("/proc/self/stat"));
}

static void modes(void) {
    int kinds[] = {O_RDONLY, O_WRONLY, O_RDWR, O_PATH};
    put("file", "text");
    for (int i = 0; i < 4; i++) {
        char path[64];
        struct stat s;
        int fd = open("file", kinds[i]);
        sprintf(path, "/proc/self/fd/%d", fd);
        lstat(path, &s);
        printf("%o: %o %ld\n", kinds[i], s.st_mode, (long)s.st_size);
        close(fd);
    }
    int fd = open("/proc/self/stat", O_RDONLY);
    SHOW(fcntl(fd, F_GETFL));
    close(fd);
}

// Sends a descriptor through a pair of sockets and takes it out again.
static int through(int fd) {
    int pair[2], got = -1;
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec part = {&byte, 1};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control,
        .msg_controllen = sizeof control};
    socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET, c->cmsg_type = SCM_RIGHTS, c->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(pair[0], &m, 0) == 1 && recvmsg(pair[1], &m, 0) == 1 && (c = CMSG_FIRSTHDR(&m)))
        memcpy(&got, CMSG_DATA(c), sizeof got);
    int kept = errno;
    close(pair[0]), close(pair[1]);
    errno = kept;
    return got;
}

static void travels(void) {
    char b[64] = {0};
    int fd = open("/proc/self/comm", O_RDWR), got = through(fd);
    SHOW(got >= 0);
    SHOW(read(got, b, 5));
    SHOW(read(fd, b + 5, 50));
    show_bytes("name", b, strlen(b));
    SHOW(store("/proc/self/comm", "other"));
    SHOW(load("/proc/self/comm"));
    show_bytes("name", text, strlen(text));
    close(fd), close(got);
    fd = open("/proc/self", O_RDONLY | O_DIRECTORY);
    SHOW((got = through(fd)) >= 0);
    SHOW(openat(got, "statm", O_RDONLY) >= 0);
    close(fd), close(got);
    fd = open("/proc/self/fd", O_PATH);
    SHOW((got = through(fd)) >= 0);
    SHOW(faccessat(got, "0", F_OK, 0));
    close(fd), close(got);
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, 0);
    fd = signalfd(-1, &set, SFD_NONBLOCK);
    SHOW((got = through(fd)) >= 0);
    struct signalfd_siginfo info;
    SHOW(read(got, &info, sizeof info));
    raise(SIGUSR1);
    struct pollfd p = {got, POLLIN, 0};
    SHOW(poll(&p, 1, 1000));
    SHOW(read(got, &info, sizeof info));
    SHOW(info.ssi_signo);
    close(fd), close(got);
}

// The line of a text that begins so, with a descriptor's or process's number as given.
static void line(const char *key) {
    char *at = text;
    while (at && strncmp(at, key, strlen(key))) at = strchr(at, '\n') ? strchr(at, '\n') + 1 : 0;
    if (at) printf("%.*s\n", (int)strcspn(at, "\n"), at);
    else printf("no %s\n", key);
}

static void about(int fd) {
    char path[64];
    sprintf(path, "/proc/self/fdinfo/%d", fd);
    SHOW(load(path) > 0);
}

static void descriptors(void) {
    int event = eventfd(5, EFD_SEMAPHORE), timer = timerfd_create(CLOCK_MONOTONIC, 0), watch = inotify_init();
    about(event);
    line("flags:");
    line("eventfd-count:");
    line("eventfd-semaphore:");
    about(timer);
    line("clockid:");
    line("ticks:");
    line("it_value:");
    line("it_interval:");
    inotify_add_watch(watch, ".", IN_CREATE);
    about(watch);
    printf("%d\n", !strncmp(strstr(text, "inotify"), "inotify wd:1 ino:", 17));
    int epoll = epoll_create1(EPOLL_CLOEXEC), far = dup2(event, 77);
    epoll_ctl(epoll, EPOLL_CTL_ADD, far, &(struct epoll_event){EPOLLIN, {.u64 = 0xabc}});
    about(epoll);
    line("flags:");
    char *target = strstr(text, "tfd:");
    printf("%.*s\n", target ? (int)(strstr(target, " pos:") - target) : 4, target ? target : "none");
    sigset_t set;
    sigemptyset(&set), sigaddset(&set, SIGHUP);
    about(signalfd(-1, &set, 0));
    line("sigmask:");
    pid_t child = fork();
    if (!child) pause();
    int pid = syscall(SYS_pidfd_open, child, 0);
    about(pid);
    char expected[64];
    sprintf(expected, "\nPid:\t%d\n", child);
    SHOW(strstr(text, expected) != 0);
    sprintf(expected, "/proc/self/task/%d/children", getpid());
    SHOW(load(expected) > 0 && atoi(text) == child);
    kill(child, SIGKILL);
    SHOW(waitpid(child, 0, 0) == child);
    about(pid);
    line("Pid:");
    syscall(SYS_close_range, 3, ~0U, 0);
}

static void values(void) {
    load("/proc/self/oom_score_adj");
    int had = atoi(text);
    printf("%ld\n", store("/proc/self/oom_score_adj", "500\n"));
    load("/proc/self/oom_score_adj");
    printf("%s", text);
    load("/proc/self/oom_adj");
    printf("%s", text);
    SHOW(store("/proc/self/oom_score_adj", "1001"));
    SHOW(store("/proc/self/oom_score_adj", "-1001"));
    SHOW(store("/proc/self/oom_score_adj", "x"));
    SHOW(store("/proc/self/oom_score_adj", "600 "));
    pid_t child = fork();
    if (!child) {
        load("/proc/self/oom_score_adj");
        _exit(atoi(text) == 600 ? 0 : 1);
    }
    int status;
    waitpid(child, &status, 0);
    SHOW(status);
    SHOW(had <= 600);
    load("/proc/self/coredump_filter");
    printf("%s", text);
    SHOW(store("/proc/self/coredump_filter", "0x23"));
    load("/proc/self/coredump_filter");
    printf("%s", text);
    SHOW(store("/proc/self/coredump_filter", "all"));
    SHOW(store("/proc/self/timerslack_ns", "70000"));
    load("/proc/self/timerslack_ns");
    printf("%s", text);
    SHOW(prctl(PR_GET_TIMERSLACK));
    SHOW(store("/proc/self/timerslack_ns", "0"));
    SHOW(prctl(PR_GET_TIMERSLACK));
    load("/proc/self/personality");
    printf("%s", text);
    SHOW(load("/proc/self/schedstat") > 0);
    SHOW(load("/proc/self/sched") > 0);
    char expected[64];
    sprintf(expected, "other (%d, #threads: 1)", getpid());
    SHOW(strncmp(text, expected, strlen(expected)));
    SHOW(load("/proc/self/wchan"));
    SHOW(load("/proc/self/numa_maps") > 0);
}

// What is read and written is counted.
static void counted(long *into) {
    load("/proc/self/io");
    sscanf(text, "rchar: %ld wchar: %ld syscr: %ld syscw: %ld", into, into + 1, into + 2, into + 3);
}

static void transfers(void) {
    long before[4], after[4];
    char b[1000];
    int zero = open("/dev/zero", O_RDONLY), file = open("file", O_RDWR | O_TRUNC);
    counted(before);
    counted(after);
    long text_read = after[0] - before[0], text_reads = after[2] - before[2];
    counted(before);
    for (int i = 0; i < 3; i++) SHOW(write(file, b, read(zero, b, sizeof b)));
    SHOW(pwrite(file, b, 100, 5));
    SHOW(read(-1, b, 1));
    SHOW(read(file, b, 1));
    counted(after);
    // The text has more digits the larger the numbers are.
    SHOW((after[0] - before[0] - text_read + 50) / 100);
    SHOW(after[1] - before[1] >= 3100);
    SHOW(after[2] - before[2] - text_reads);
    SHOW(after[3] - before[3] >= 4);
    close(zero), close(file);
}

// Each mapping of a file has a link with its name.
static void mappings(void) {
    long wrong = 0, files = 0;
    load("/proc/self/maps");
    for (char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : 0) {
        unsigned long from, to;
        char path[128], b[4096];
        if (sscanf(at, "%lx-%lx", &from, &to) != 2) break;
        int length = strcspn(at, "\n");
        char *name = memchr(at, '/', length);
        if (!name) continue;
        sprintf(path, "/proc/self/map_files/%lx-%lx", from, to);
        long n = readlink(path, b, sizeof b);
        files++, wrong += n != at + length - name || memcmp(b, name, n);
    }
    SHOW(files > 3);
    SHOW(wrong);
    SHOW(access("/proc/self/map_files/1000-2000", F_OK));
}

static void namespaces(void) {
    char b[64], other[64], path[64];
    list("/proc/self/ns");
    static const char *kinds[] = {"cgroup", "ipc", "mnt", "net", "pid", "user", "uts"};
    for (int i = 0; i < 7; i++) {
        struct stat s;
        sprintf(path, "/proc/self/ns/%s", kinds[i]);
        long n = readlink(path, b, sizeof b - 1);
        b[n < 0 ? 0 : n] = 0;
        SHOW(stat(path, &s));
        sprintf(other, "%s:[%lu]", kinds[i], s.st_ino);
        SHOW(strcmp(b, other));
        int fd = open(path, O_RDONLY);
        SHOW(fd >= 0);
        close(fd);
    }
}

// Whether a file below net has a line with this word.
static int has(const char *file, const char *word) {
    char path[64];
    sprintf(path, "/proc/self/net/%s", file);
    return load(path) < 0 ? -1 : strstr(text, word) != 0;
}

static void network(void) {
    char word[64];
    struct stat s;
    SHOW(readlink("/proc/net", word, sizeof word) == 8 && !memcmp(word, "self/net", 8));
    SHOW(has("dev", "lo:"));
    SHOW(has("tcp", "local_address"));
    SHOW(has("route", "Destination"));
    SHOW(has("if_inet6", "") >= 0);
    int sockets[] = {socket(AF_INET, SOCK_STREAM, 0), socket(AF_INET, SOCK_DGRAM, 0), socket(AF_UNIX,
        SOCK_STREAM, 0)};
    struct sockaddr_in in = {AF_INET, 0, {htonl(INADDR_LOOPBACK)}, {0}};
    for (int i = 0; i < 2; i++) SHOW(bind(sockets[i], (struct sockaddr *)&in, sizeof in));
    SHOW(listen(sockets[0], 5));
    struct sockaddr_un name = {AF_UNIX, "bound.sock"};
    SHOW(bind(sockets[2], (struct sockaddr *)&name, sizeof name));
    static const char *files[] = {"tcp", "udp", "unix"};
    for (int i = 0; i < 3; i++) {
        fstat(sockets[i], &s);
        sprintf(word, " %lu ", s.st_ino);
        SHOW(has(files[i], word));
    }
    SHOW(has("unix", "bound.sock\n"));
    // What it is as a descriptor and as a line is the same.
    close(sockets[2]);
    SHOW(has("unix", "bound.sock\n"));
    close(sockets[0]), close(sockets[1]);
}

int main(void) {
    setvbuf(stdout, 0, _IOLBF, 0);
    list("/proc/self");
    char task[64];
    sprintf(task, "/proc/self/task/%d", getpid());
    int back = open(".", O_PATH);
    SHOW(chdir(task));
    list(".");
    SHOW(fchdir(back));
    close(back);
    list("/proc/self/attr");
    counts();
    modes();
    travels();
    descriptors();
    values();
    transfers();
    mappings();
    namespaces();
    network();
    SHOW(load("/proc/sys/net/core/somaxconn") > 0);
    SHOW(load("/proc/sys/net/ipv4/ip_local_port_range") > 0);
    SHOW(load("/proc/tty/drivers") > 0);
    int proc = open("/proc", O_RDONLY);
    SHOW(syscall(SYS_syncfs, proc));
    return 0;
}
