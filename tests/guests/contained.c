// Uses up what it can get of one thing, says how far it came, and goes on trying.
#include "show.h"
#include <pthread.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void *waits(void *unused) {
    for (;;) pause();
}

static void say(int count, const char *of, int error) {
    printf("%d %s, then %s\n", count, of, strerrorname_np(error));
    fflush(stdout);
}

static void forks(void) {
    int n = 0;
    pid_t pid;
    while ((pid = fork()) > 0) n++;
    if (pid == 0) waits(NULL);
    say(n, "children", errno);
    while (fork() == -1) continue;
}

static void bomb(void) {
    for (;;) {
        if (fork() == -1 && errno == EAGAIN) {
            static int said;
            if (!said++) write(1, "EAGAIN\n", 7);
        }
    }
}

static void threads(void) {
    pthread_t t;
    pthread_attr_t small;
    int n = 0, error;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 65536);
    while ((error = pthread_create(&t, &small, waits, NULL)) == 0) n++;
    say(n, "threads", error);
    for (;;) pthread_create(&t, &small, waits, NULL);
}

static void descriptors(void) {
    int last = -1, fd;
    while ((fd = dup(0)) >= 0) last = fd;
    printf("descriptor %d, then %s\n", last, strerrorname_np(errno));
    fflush(stdout);
    for (;;) dup(0);
}

static void nothing(int unused) {}

static void storm(void) {
    signal(SIGUSR1, nothing);
    signal(SIGRTMIN, nothing);
    pid_t parent = getpid(), child = fork();
    if (child > 0) puts("storm");
    fflush(stdout);
    union sigval value = {0};
    for (;;) {
        kill(child == 0 ? parent : child, SIGUSR1);
        kill(getpid(), SIGUSR1);
        sigqueue(child == 0 ? parent : child, SIGRTMIN, value);
    }
}

static void memory(void) {
    for (;;) {
        char *more = malloc(1 << 20);
        if (more != NULL) memset(more, 1, 1 << 20);
    }
}

// Children that fork and are killed while they do.
static void killed(void) {
    for (int i = 0; i < 150; i++) {
        int ends[2], status;
        char c;
        pipe(ends);
        pid_t pid = fork();
        if (pid == 0) {
            close(ends[0]);
            write(ends[1], "x", 1);
            for (;;) {
                pid_t grandchild = fork();
                if (grandchild == 0) _exit(0);
                waitpid(grandchild, &status, 0);
            }
        }
        close(ends[1]);
        read(ends[0], &c, 1);
        for (volatile int spin = 0; spin < i * 20000; spin++) continue;
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        // Until nobody is left who could write.
        while (read(ends[0], &c, 1) > 0) continue;
        close(ends[0]);
    }
    puts("over");
}

static void computes(void) {
    for (volatile unsigned spin = 0;; spin++) continue;
}

// The first process stops for good, and a child computes.
static void stopped_computing(void) {
    if (fork() == 0) computes();
    raise(SIGSTOP);
}

// The first process stops for good, and a child takes memory.
static void stopped_growing(void) {
    if (fork() == 0) memory();
    raise(SIGSTOP);
}

// The first process stops until its child continues it, which makes calls of its own meanwhile.
static void continued(void) {
    pid_t parent = getpid();
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            char state = 0;
            while (state != 'T') {
                char name[64], text[512] = "";
                snprintf(name, sizeof name, "/proc/%d/stat", parent);
                int fd = open(name, O_RDONLY);
                read(fd, text, sizeof text - 1);
                close(fd);
                state = strrchr(text, ')')[2];
            }
            kill(parent, SIGCONT);
            _exit(0);
        }
        raise(SIGSTOP);
        waitpid(child, NULL, 0);
    }
    puts("over");
}

// A child ends with a connection whose data nobody takes and whose closing waits for that for an hour.
static void lingers(void) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0), status;
    bind(listener, (void *)&address, sizeof address);
    listen(listener, 1);
    getsockname(listener, (void *)&address, &length);
    if (fork() == 0) {
        static char block[1 << 16];
        struct linger hour = {1, 3600};
        int s = socket(AF_INET, SOCK_STREAM, 0);
        connect(s, (void *)&address, sizeof address);
        setsockopt(s, SOL_SOCKET, SO_LINGER, &hour, sizeof hour);
        while (send(s, block, sizeof block, MSG_DONTWAIT) > 0) continue;
        _exit(errno == EAGAIN ? 0 : 1);
    }
    wait(&status);
    printf("%d\n", status);
    fflush(stdout);
    waits(NULL);
}

// Children that have ended and are not waited for, as many as there can be; then one is.
static void zombies(void) {
    int n = 0, error;
    pid_t pid;
    while ((pid = fork()) > 0) n++;
    if (pid == 0) _exit(0);
    error = errno;
    wait(NULL);
    pid = fork();
    if (pid == 0) _exit(0);
    say(n, pid > 0 ? "zombies, one fewer and one more" : "zombies", error);
    waits(NULL);
}

// Locks as many files as can be; what is unlocked makes room again, and a look at a file is always possible.
static void locks(void) {
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    struct stat status;
    char name[64];
    int n = 0, fd, error, again = 0;
    for (int i = 0; i < 2000; i++) {
        // Room for the lock of one file at a time.
        fd = open("/proc/self/exe", O_RDONLY);
        fcntl(fd, F_SETLK, &lock);
        close(fd);
    }
    for (;; n++) {
        snprintf(name, sizeof name, "locked-%d", n);
        fd = open(name, O_RDWR | O_CREAT, 0600);
        if (fd < 0 || fcntl(fd, F_SETLK, &lock) < 0) break;
    }
    error = errno;
    if (n > 0) {
        lock.l_type = F_UNLCK;
        fcntl(fd - 1, F_SETLK, &lock);
        lock.l_type = F_RDLCK;
        again = fd < 0 || fcntl(fd, F_SETLK, &lock) == 0;
    }
    printf("%s, then %d %d\n", strerrorname_np(error), stat("/", &status), again);
    fflush(stdout);
    waits(NULL);
}

static char block[1 << 20];

// Memory that is in no process: what ends at a limit does not come to say that it has survived.
static void survived(void) {
    puts("survived");
    fflush(stdout);
    waits(NULL);
}

static int memory_file(void) {
    int fd = memfd_create("file", 0);
    write(fd, block, sizeof block);
    return fd;
}

static void memory_files(void) {
    int fd = memory_file();
    for (int i = 0; i < 200; i++) write(fd, block, sizeof block);
    survived();
}

// Nothing but mappings that are never looked at keep the files.
static void mapped_files(void) {
    for (int i = 0; i < 200; i++) {
        int fd = memory_file();
        mmap(NULL, sizeof block, PROT_READ, MAP_SHARED, fd, 0);
        close(fd);
    }
    survived();
}

// Nothing but messages that are on their way keep the files.
static void sent_files(void) {
    int ends[2];
    for (int i = 0; i < 200; i++) {
        if (i % 50 == 0) socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
        union { struct cmsghdr header; char room[CMSG_SPACE(sizeof(int))]; } control = {
            .header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
        struct iovec byte = {"x", 1};
        struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control,
            .msg_controllen = sizeof control};
        int fd = memory_file();
        memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
        sendmsg(ends[0], &message, MSG_DONTWAIT);
        close(fd);
    }
    survived();
}

static void segments(void) {
    for (int i = 0; i < 200; i++) {
        char *at = shmat(shmget(IPC_PRIVATE, sizeof block, 0600), NULL, 0);
        memset(at, 1, sizeof block);
        shmdt(at);
    }
    survived();
}

static void messages(void) {
    struct { long type; char text[1]; } one = {1};
    for (int i = 0; i < 400; i++) {
        int queue = msgget(IPC_PRIVATE, 0600);
        while (msgsnd(queue, &one, 1, IPC_NOWAIT) == 0) continue;
    }
    survived();
}

static void sockets(void) {
    for (int i = 0; i < 400; i++) {
        int ends[2];
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
        while (send(ends[0], block, 1 << 16, MSG_DONTWAIT) > 0) continue;
    }
    survived();
}

// Files of memory that had a name, and have none by now.
static void unlinked(void) {
    char name[] = "/dev/shm/rxbox-unlinked-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    for (int i = 0; i < 200; i++) write(fd, block, sizeof block);
    survived();
}

// Sockets with data in them are themselves on their way in messages, and nobody has them.
static void sent_sockets(void) {
    int way[2];
    for (int i = 0; i < 600; i++) {
        int ends[2];
        if (i % 60 == 0) socketpair(AF_UNIX, SOCK_STREAM, 0, way);
        socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
        while (send(ends[0], block, 1 << 16, MSG_DONTWAIT) > 0) continue;
        union { struct cmsghdr header; char room[CMSG_SPACE(sizeof ends)]; } control = {
            .header = {.cmsg_len = CMSG_LEN(sizeof ends), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
        struct iovec byte = {"x", 1};
        struct msghdr message = {.msg_iov = &byte, .msg_iovlen = 1, .msg_control = &control,
            .msg_controllen = sizeof control};
        memcpy(CMSG_DATA(&control.header), ends, sizeof ends);
        sendmsg(way[0], &message, MSG_DONTWAIT);
        close(ends[0]);
        close(ends[1]);
    }
    survived();
}

// Many mappings make the view of them long; each descriptor has one.
static void views(void) {
    for (int i = 0; i < 4000; i++) {
        mmap(NULL, 4096, i % 2 ? PROT_READ : PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    for (int i = 0; i < 400; i++) open("/proc/self/maps", O_RDONLY);
    survived();
}

int main(int argc, char **argv) {
    struct { const char *name; void (*run)(void); } all[] = {{"forks", forks}, {"bomb", bomb}, {"threads", threads},
        {"descriptors", descriptors}, {"storm", storm}, {"memory", memory}, {"killed", killed},
        {"stopped-computing", stopped_computing}, {"stopped-growing", stopped_growing}, {"continued", continued},
        {"lingers", lingers}, {"zombies", zombies}, {"locks", locks}, {"memory-files", memory_files}, {"mapped-files", mapped_files}, {"sent-files", sent_files},
        {"segments", segments}, {"messages", messages}, {"sockets", sockets}, {"unlinked", unlinked}, {"sent-sockets", sent_sockets}, {"views", views}};
    for (int i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (!strcmp(argv[1], all[i].name)) all[i].run();
    }
    return 0;
}
