// Tries one way out of the sandbox, by name, and prints what came of it: "held" with the errno, or "ESCAPED".
// Environment: ALLOWED is a folder that the profile lets it write, SECRET a file outside that it must never read.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char allowed[4096], secret[4096];

static void held(const char *how) { printf("held: %s\n", how); }
static void escaped(const char *how) { printf("ESCAPED: %s\n", how); exit(1); }

// Opens a path and reports; a file that opens must not have the secret's content.
static int reads_secret(int fd) {
    char b[64] = {0};
    int n = read(fd, b, sizeof b - 1);
    close(fd);
    return n > 0 && strstr(b, "top secret") != NULL;
}

static void try_open(const char *path, int flags) {
    int fd = open(path, flags, 0644);
    if (fd < 0) { held(strerror(errno)); return; }
    if (reads_secret(fd) || (flags & O_ACCMODE) != O_RDONLY) escaped(path);
    held("opened something else");
}

// Tries something that succeeds natively, and goes on.
#define TRY(...) do { if ((long)(__VA_ARGS__) >= 0) printf("ESCAPED: %s\n", #__VA_ARGS__); else printf("held: %s: %s\n", #__VA_ARGS__, strerror(errno)); } while (0)

// Every way from a file that may be read to one that is written.
static void upgrade(void) {
    const char *file = getenv("READABLE");
    chdir(allowed);
    int fd = open(file, O_RDONLY), path = open(file, O_PATH), ends[2];
    if (fd < 0 || path < 0) escaped("the file cannot even be read");
    char by_fd[64], by_path[64], by_message[64];
    snprintf(by_fd, sizeof by_fd, "/proc/self/fd/%d", fd);
    snprintf(by_path, sizeof by_path, "/dev/fd/%d", path);
    // Once through a socket.
    socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
    char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 0;
    struct iovec io = {&byte, 1};
    struct msghdr m = {.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    *c = (struct cmsghdr){CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(c), &fd, sizeof fd);
    if (sendmsg(ends[0], &m, 0) != 1 || recvmsg(ends[1], &m, 0) != 1) escaped("the descriptor does not travel");
    int travelled;
    memcpy(&travelled, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof travelled);
    snprintf(by_message, sizeof by_message, "/proc/self/fd/%d", travelled);
    TRY(open(by_fd, O_RDWR));
    TRY(open(by_fd, O_WRONLY | O_APPEND));
    TRY(open(by_path, O_RDWR));
    TRY(open(by_message, O_RDWR));
    TRY(open(by_fd, O_RDONLY | O_TRUNC));
    TRY(truncate(by_fd, 0));
    TRY(truncate(by_path, 0));
    TRY(fchmod(fd, 0666));
    TRY(chmod(by_path, 0666));
    TRY(fchown(fd, getuid(), getgid()));
    TRY(fchownat(path, "", getuid(), getgid(), AT_EMPTY_PATH));
    TRY(futimens(fd, NULL));
    TRY(utimensat(AT_FDCWD, by_path, NULL, 0));
    TRY(link(file, "hard1"));
    TRY(linkat(AT_FDCWD, by_fd, AT_FDCWD, "hard2", AT_SYMLINK_FOLLOW));
    TRY(linkat(AT_FDCWD, by_path, AT_FDCWD, "hard3", AT_SYMLINK_FOLLOW));
    close(open("other", O_CREAT | O_WRONLY, 0644));
    TRY(syscall(SYS_renameat2, AT_FDCWD, file, AT_FDCWD, "other", 2 /* RENAME_EXCHANGE */));
    TRY(rename(file, "moved"));
}

// Runs a program; 0 if it came to its end.
static int runs(void (*start)(void)) {
    int status;
    pid_t child = fork();
    if (!child) { start(); _exit(errno ? errno : 1); }
    waitpid(child, &status, 0);
    errno = WEXITSTATUS(status);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -1;
}

static char *nothing[] = {NULL}, *arguments[] = {"written", NULL}, *linked[] = {"ld.so", "./written", NULL};
static int in_memory;
static void by_path(void) { execve("./written", arguments, nothing); }
static void by_descriptor(void) { execveat(open("./written", O_RDONLY), "", arguments, nothing, AT_EMPTY_PATH); }
static void by_object(void) { execveat(open("./written", O_PATH), "", arguments, nothing, AT_EMPTY_PATH); }
static void by_proc(void) { open("./written", O_RDONLY); execve("/proc/self/fd/4", arguments, nothing); }
static void by_linker(void) { execve("/lib64/ld-linux-x86-64.so.2", linked, nothing); }
static void by_script(void) { execve("./script", arguments, nothing); }
static void by_memory(void) { execveat(in_memory, "", arguments, nothing, AT_EMPTY_PATH); }

static void copy_program(int to) {
    static char b[1 << 16];
    int from = open("/bin/true", O_RDONLY);
    for (long n; (n = read(from, b, sizeof b)) > 0;) write(to, b, n);
    close(from);
}

// What the program has written itself is not run.
static void code(void) {
    chdir(allowed);
    setbuf(stdout, NULL);
    int fd = open("written", O_CREAT | O_WRONLY | O_TRUNC, 0755);
    copy_program(fd);
    close(fd);
    fd = open("script", O_CREAT | O_WRONLY | O_TRUNC, 0755);
    dprintf(fd, "#!%s/written\n", allowed);
    close(fd);
    in_memory = memfd_create("program", 0);
    copy_program(in_memory);
    TRY(runs(by_path));
    TRY(runs(by_descriptor));
    TRY(runs(by_object));
    TRY(runs(by_proc));
    TRY(runs(by_linker));
    TRY(runs(by_script));
    TRY(runs(by_memory));
    TRY(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, open("written", O_RDONLY), 0));
}

static void dotdot(void) {
    char p[9000];
    snprintf(p, sizeof p, "%s/../%s", allowed, strrchr(secret, '/') + 1);
    try_open(p, O_RDONLY);
    snprintf(p, sizeof p, "%s/sub/../../%s", allowed, strrchr(secret, '/') + 1);
    try_open(p, O_RDONLY);
    chdir(allowed);
    snprintf(p, sizeof p, "../%s", strrchr(secret, '/') + 1);
    try_open(p, O_RDONLY);
    snprintf(p, sizeof p, "/proc/self/cwd/../%s", strrchr(secret, '/') + 1);
    try_open(p, O_RDONLY);
    snprintf(p, sizeof p, "/proc/self/root%s", secret);
    try_open(p, O_RDONLY);
}

static void links(void) {
    chdir(allowed);
    unlink("l"); symlink(secret, "l");
    try_open("l", O_RDONLY);
    try_open("l", O_WRONLY);
    try_open("l", O_RDONLY | O_CREAT);
    try_open("l", O_WRONLY | O_TRUNC);
    unlink("d"); symlink("..", "d");
    char p[9000];
    snprintf(p, sizeof p, "d/%s", strrchr(secret, '/') + 1);
    try_open(p, O_RDONLY);
    if (link(secret, "hard") == 0) escaped("hard link"); else held(strerror(errno));
    if (rename(secret, "stolen") == 0) escaped("rename"); else held(strerror(errno));
    if (truncate("l", 0) == 0) escaped("truncate"); else held(strerror(errno));
    if (chmod("l", 0777) == 0) escaped("chmod"); else held(strerror(errno));
    int fd = open(secret, O_PATH);
    if (fd >= 0) {
        snprintf(p, sizeof p, "/proc/self/fd/%d", fd);
        try_open(p, O_RDONLY);
        int again = openat(fd, "", O_RDONLY);
        if (again >= 0) escaped("reopen"); else held(strerror(errno));
    } else held(strerror(errno));
}

static volatile int stop;
static void *swapper(void *unused) {
    char a[9000], b[9000];
    snprintf(a, sizeof a, "%s/race", allowed);
    snprintf(b, sizeof b, "%s/other", allowed);
    while (!stop) syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */);
    return unused;
}

// A link to the secret and a harmless file change places while they are opened.
static void swap_links(void) {
    char a[9000], b[9000];
    snprintf(a, sizeof a, "%s/race", allowed);
    snprintf(b, sizeof b, "%s/other", allowed);
    unlink(a); unlink(b);
    close(open(a, O_CREAT | O_WRONLY, 0644));
    symlink(secret, b);
    pthread_t t;
    pthread_create(&t, NULL, swapper, NULL);
    // Until link and file were found in turn often enough, however the threads are scheduled.
    for (int i = 0, opened = 0, changes = 0; i < 4000 || changes < 50; i++) {
        int fd = open(a, O_RDONLY);
        changes += opened != (fd >= 0);
        opened = fd >= 0;
        if (opened && reads_secret(fd)) { escaped("a link that changed places"); break; }
    }
    stop = 1;
    pthread_join(t, NULL);
    held("4000 opens");
}

static char racing[4096];
static void *rewriter(void *unused) {
    while (!stop) { strcpy(racing, secret); snprintf(racing, sizeof racing, "%s/plain", allowed); }
    return unused;
}

// The path is rewritten in memory while the call is under way.
static void swap_strings(void) {
    char p[9000];
    snprintf(p, sizeof p, "%s/plain", allowed);
    close(open(p, O_CREAT | O_WRONLY, 0644));
    strcpy(racing, p);
    pthread_t t;
    pthread_create(&t, NULL, rewriter, NULL);
    for (int i = 0; i < 4000; i++) {
        int fd = open(racing, O_RDONLY);
        if (fd >= 0 && reads_secret(fd)) escaped("a string that changed");
    }
    stop = 1;
    pthread_join(t, NULL);
    held("4000 opens");
}

static void proc(void) {
    const char *names[] = {"/proc/self/mem", "/proc/self/environ", "/proc/self/maps", "/proc/self/cmdline", "/proc/thread-self/mem",
                           "/proc/1/environ", "/proc/1/root/etc/shadow", "/proc/kcore", "/dev/mem"};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        int fd = open(names[i], O_RDONLY);
        if (fd < 0) { held(strerror(errno)); continue; }
        static char b[1 << 16];
        int n = read(fd, b, sizeof b - 1);
        close(fd);
        b[n > 0 ? n : 0] = 0;
        for (int k = 0; k < n; k++) if (!b[k]) b[k] = ' ';
        if (strstr(b, "HOST_SECRET") || strstr(b, "rxbox-emulator") || strstr(b, "/release/rxbox") || strstr(b, "/debug/rxbox")) escaped(names[i]);
        held("the guest's own");
    }
    char p[64];
    snprintf(p, sizeof p, "/proc/%d/environ", getppid());
    try_open(p, O_RDONLY);
    char link[4096] = {0};
    readlink("/proc/self/exe", link, sizeof link - 1);
    if (strstr(link, "rxbox") && !strstr(link, "attacks")) escaped(link); else held("exe is the guest's");
}

// Every descriptor number but the three that were given.
static void descriptors(void) {
    char b[8];
    int open_ones = 0;
    for (int fd = 3; fd < 4096; fd++) {
        struct stat s;
        if (fstat(fd, &s) == 0 || read(fd, b, 1) >= 0 || lseek(fd, 0, SEEK_CUR) >= 0 || dup(fd) >= 0 ||
            fcntl(fd, F_GETFD) >= 0 || write(fd, b, 0) >= 0) open_ones++;
        snprintf(b, sizeof b, "%d", fd);
    }
    for (int fd = -5; fd < 0; fd++) if (dup(fd) >= 0) open_ones++;
    if (open_ones) escaped("a descriptor that was never given"); else held("no descriptor");
    syscall(SYS_close_range, 3, ~0u, 0);
    printf("still here\n");
}

static void network(void) {
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int kinds[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW};
    for (int i = 0; i < 3; i++) {
        int s = socket(AF_INET, kinds[i], 0);
        if (s < 0) { held(strerror(errno)); continue; }
        if (connect(s, (void *)&in, sizeof in) == 0) escaped("connect");
        if (errno != EACCES && errno != EPERM) escaped("connect reached the host");
        held(strerror(errno));
        if (sendto(s, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, (void *)&in, sizeof in) >= 0) escaped("sendto");
        held("sendto");
        if (bind(s, (void *)&in, sizeof in) == 0) escaped("bind");
        held("bind");
        close(s);
    }
    int families[] = {AF_NETLINK, AF_PACKET, AF_VSOCK, AF_ALG, AF_BLUETOOTH, AF_KEY};
    for (int i = 0; i < 6; i++) if (socket(families[i], SOCK_DGRAM, 0) >= 0) escaped("socket family"); else held("family");
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    snprintf(un.sun_path, sizeof un.sun_path, "%s", getenv("SOCKET"));
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (s >= 0 && connect(s, (void *)&un, sizeof un) == 0) escaped("unix socket");
    held("unix");
}

static void calls(void) {
    struct { long nr; const char *name; } list[] = {
        {SYS_ptrace, "ptrace"}, {SYS_mount, "mount"}, {SYS_setns, "setns"}, {SYS_chroot, "chroot"},
        {SYS_pivot_root, "pivot_root"}, {SYS_bpf, "bpf"}, {SYS_perf_event_open, "perf"}, {SYS_userfaultfd, "userfaultfd"},
        {SYS_kexec_load, "kexec"}, {SYS_init_module, "init_module"}, {SYS_keyctl, "keyctl"},
        {SYS_io_uring_setup, "io_uring"}, {SYS_open_by_handle_at, "open_by_handle"}, {SYS_reboot, "reboot"},
        {SYS_iopl, "iopl"}, {SYS_ioperm, "ioperm"}, {SYS_swapon, "swapon"}, {SYS_settimeofday, "settimeofday"}, {0x40000000 | SYS_getpid, "x32"}};
    for (unsigned i = 0; i < sizeof list / sizeof *list; i++) {
        long r = syscall(list[i].nr, 0, 0, 0, 0, 0, 0);
        if (r >= 0) escaped(list[i].name);
        printf("held: %s: %s\n", list[i].name, strerror(errno));
    }
    int namespaces[] = {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, 0x80};
    for (unsigned i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
        if (syscall(SYS_unshare, namespaces[i] | CLONE_FS) == 0) escaped("unshare");
        held(strerror(errno));
    }
    if (ioctl(0, TIOCSTI, "x") == 0 || syscall(SYS_ioctl, 0, TIOCSTI | 0x100000000, "x") == 0) escaped("TIOCSTI");
    held("TIOCSTI");
}

static void signals(void) {
    if (kill(getppid(), 0) == 0) escaped("the parent can be signalled"); else held(strerror(errno));
    if (kill(1, 0) == 0) escaped("init can be signalled"); else held(strerror(errno));
    if (syscall(SYS_tgkill, getppid(), getppid(), SIGSTOP) == 0) escaped("tgkill"); else held(strerror(errno));
}

// Processes outside: not one of them can be traced, or its memory be reached.
static void trace(void) {
    pid_t outside[] = {getppid(), 1, 2, 3, 4, 5, 100, 1000};
    if (ptrace(PTRACE_TRACEME, 0, 0, 0) == 0) escaped("traced by a process outside"); else held(strerror(errno));
    for (unsigned i = 0; i < sizeof outside / sizeof *outside; i++) {
        pid_t pid = outside[i];
        if (pid == getpid()) continue;
        char name[64], byte;
        snprintf(name, sizeof name, "/proc/%d/mem", pid);
        struct iovec local = {&byte, 1}, remote = {(void *)0x400000, 1};
        if (ptrace(PTRACE_ATTACH, pid, 0, 0) == 0) escaped("attached"); else held(strerror(errno));
        if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) escaped("seized"); else held(strerror(errno));
        if (ptrace(PTRACE_KILL, pid, 0, 0) == 0) escaped("killed"); else held(strerror(errno));
        if (process_vm_readv(pid, &local, 1, &remote, 1, 0) > 0) escaped("read"); else held(strerror(errno));
        if (process_vm_writev(pid, &local, 1, &remote, 1, 0) > 0) escaped("written"); else held(strerror(errno));
        if (open(name, O_RDWR) >= 0) escaped("memory opened"); else held(strerror(errno));
    }
}

// Memory of the runtime's: reprotecting it, dropping it, mapping over it.
static void memory(void) {
    char *cache = (char *)0x70000000;
    size_t all = 0x7ffe0000 - 0x70000000;
    if (mprotect(cache, all, PROT_READ) == 0) escaped("reprotected the code cache"); else held(strerror(errno));
    if (munmap(cache, all) != 0) held(strerror(errno)); else held("nothing unmapped");
    if (mremap(cache, 4096, 8192, MREMAP_MAYMOVE) != MAP_FAILED) escaped("moved the code cache"); else held(strerror(errno));
    if (madvise(cache, all, MADV_DONTNEED) == 0) escaped("dropped the code cache"); else held(strerror(errno));
    char *high = (char *)0x7ff000000000;
    void *p = mmap(high, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (p != MAP_FAILED) escaped("mapped among the runtime's"); else held(strerror(errno));
    // What is mapped here is the program's, and what runs is elsewhere by then.
    p = mmap(cache, all, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (p != cache) escaped("the code cache is in the way"); else held("it moves");
    for (size_t i = 0; p == cache && i < all; i += 4096) cache[i] = (char)0xcc;
    held("and is not written over");
}

// int 0x80 is the 32-bit call table: it must not do anything but end this program by a signal.
static void int80(void) {
    printf("held: before\n");
    fflush(stdout);
    long r;
    __asm__ volatile("int $0x80" : "=a"(r) : "a"(20));
    escaped("int 0x80 came back");
}

int main(int argc, char **argv) {
    snprintf(allowed, sizeof allowed, "%s", getenv("ALLOWED"));
    snprintf(secret, sizeof secret, "%s", getenv("SECRET"));
    struct { const char *name; void (*run)(void); } all[] = {
        {"dotdot", dotdot}, {"links", links}, {"swap_links", swap_links}, {"swap_strings", swap_strings}, {"proc", proc},
        {"descriptors", descriptors}, {"network", network}, {"calls", calls}, {"signals", signals}, {"trace", trace}, {"memory", memory}, {"int80", int80},
        {"upgrade", upgrade}, {"code", code}};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (argc > 1 && !strcmp(argv[1], all[i].name)) { all[i].run(); return 0; }
    return 99;
}
