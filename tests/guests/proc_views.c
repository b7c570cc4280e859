// What a program sees of itself below /proc, with what differs from run to run left out or compared with what it knows.
#include "show.h"
#include <cpuid.h>
#include <dirent.h>
#include <elf.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

extern char **environ;
static char text[1 << 20];

static long load(const char *path) {
    int fd = open(path, O_RDONLY);
    if (fd < 0) return -1;
    long n = 0, got;
    // In odd pieces, as programs do.
    while ((got = read(fd, text + n, n % 777 + 1)) > 0) n += got;
    close(fd);
    text[n] = 0;
    return got < 0 ? -1 : n;
}

static void links(void) {
    char b[4096], cwd[4096], number[64];
    long n = readlink("/proc/self/exe", b, sizeof b - 1);
    b[n] = 0;
    printf("exe %s\n", b);
    SHOW(open("/proc/self/exe", O_RDONLY) >= 0);
    n = readlink("/proc/self/cwd", b, sizeof b - 1);
    b[n] = 0;
    SHOW(strcmp(getcwd(cwd, sizeof cwd), b));
    SHOW(readlink("/proc/self/root", b, sizeof b));
    n = readlink("/proc/self", b, sizeof b - 1);
    b[n] = 0;
    SHOW(atoi(b) == getpid());
    n = readlink("/proc/thread-self", b, sizeof b - 1);
    b[n] = 0;
    sprintf(number, "%d/task/%d", getpid(), (int)syscall(SYS_gettid));
    SHOW(strcmp(number, b));
    struct stat s, t;
    SHOW(lstat("/proc/self/exe", &s));
    SHOW(S_ISLNK(s.st_mode));
    stat("/proc/self/cwd", &s);
    stat(".", &t);
    SHOW(s.st_ino == t.st_ino && s.st_dev == t.st_dev);
    SHOW(readlink("/proc/self/exe", b, 3));
    SHOW(open("/proc/self/none", O_RDONLY));
    SHOW(open("/proc/self/exe/x", O_RDONLY));
    SHOW(chdir("/proc/self"));
    SHOW(load("comm"));
    SHOW(load("../self/comm"));
    SHOW(chdir(cwd));
}

static void texts(int argc, char **argv) {
    long n = load("/proc/self/cmdline"), expected = 0;
    int same = 1;
    for (int i = 0; i < argc; i++) {
        same &= !strcmp(text + expected, argv[i]);
        expected += strlen(argv[i]) + 1;
    }
    SHOW(same && n == expected);
    n = load("/proc/self/environ");
    expected = 0;
    for (char **e = environ; *e; e++) {
        same &= !strcmp(text + expected, *e);
        expected += strlen(*e) + 1;
    }
    SHOW(same && n == expected);
    load("/proc/self/comm");
    printf("%s", text);
    prctl(PR_SET_NAME, "other name");
    load("/proc/self/comm");
    printf("%s", text);
    int fd = open("/proc/self/comm", O_WRONLY);
    SHOW(fd >= 0);
    SHOW(write(fd, "written", 7));
    load("/proc/self/comm");
    printf("%s", text);
    load("/proc/self/limits");
    printf("%.80s\n", text);
    struct rlimit l = {17, 18};
    setrlimit(RLIMIT_NOFILE, &l);
    load("/proc/self/limits");
    SHOW(strstr(text, "Max open files            17                   18                   files") != 0);
    n = load("/proc/self/auxv");
    Elf64_auxv_t *a = (Elf64_auxv_t *)text;
    same = n > 0 && n % sizeof *a == 0;
    for (; same && a->a_type != AT_NULL; a++) same &= getauxval(a->a_type) == a->a_un.a_val;
    SHOW(same);
    SHOW(load("/proc/self/mounts") > 0);
    SHOW(load("/proc/self/mountinfo") > 0);
    SHOW(load("/proc/self/cgroup") > 0);
    SHOW(load("/proc/self/statm") > 0);
    SHOW(load("/proc/version") > 0);
    SHOW(load("/proc/cpuinfo") > 0);
    SHOW(load("/proc/meminfo") > 0);
    SHOW(load("/proc/sys/kernel/osrelease") > 0);
    SHOW(load("/proc/filesystems") > 0);
}

static char *line(const char *key) {
    static char found[256];
    char *at = text;
    while (at && strncmp(at, key, strlen(key))) at = strchr(at, '\n') ? strchr(at, '\n') + 1 : 0;
    snprintf(found, sizeof found, "%.*s", at ? (int)strcspn(at, "\n") : 4, at ? at : "none");
    return found;
}

static void status(void) {
    char expected[256];
    SHOW(load("/proc/self/status") > 0);
    const char *equal[] = {"Name:", "State:", "Uid:", "Gid:", "Threads:", "TracerPid:", "Seccomp:", "Cpus_allowed:"};
    for (int i = 0; i < 8; i++) puts(line(equal[i]));
    sprintf(expected, "Pid:\t%d", getpid());
    SHOW(strcmp(line("Pid:"), expected));
    sprintf(expected, "Tgid:\t%d", getpid());
    SHOW(strcmp(line("Tgid:"), expected));
    sprintf(expected, "PPid:\t%d", getppid());
    SHOW(strcmp(line("PPid:"), expected));
    umask(037);
    load("/proc/self/status");
    puts(line("Umask:"));
    SHOW(load("/proc/self/stat") > 0);
    int pid, parent;
    char name[64], state;
    SHOW(sscanf(text, "%d (%63[^)]) %c %d", &pid, name, &state, &parent));
    printf("%s %c %d %d\n", name, state, pid == getpid(), parent == getppid());
    int fields = 1;
    for (char *at = strrchr(text, ')'); (at = strchr(at + 1, ' '));) fields++;
    SHOW(fields + 1);
}

static void find(const char *what, const void *address, const char *permissions) {
    load("/proc/self/maps");
    unsigned long from, to;
    char p[8], *at = text;
    for (; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : 0) {
        if (sscanf(at, "%lx-%lx %7s", &from, &to, p) != 3) break;
        if (from <= (unsigned long)address && (unsigned long)address < to) {
            char *name = memchr(at, '/', strcspn(at, "\n")), *bracket = memchr(at, '[', strcspn(at, "\n"));
            printf("%s: %s %s %.*s\n", what, p, strcmp(p, permissions) ? "odd" : "as expected",
                   name ? (int)strcspn(name, "\n") : bracket ? (int)strcspn(bracket, "\n") : 0, name ? name : bracket ? bracket : "");
            return;
        }
    }
    printf("%s: not there\n", what);
}

static void maps(void) {
    static int data = 5;
    int local;
    char *heap = malloc(100), *anonymous = mmap(0, 8192, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    find("code", (void *)maps, "r-xp");
    find("data", &data, "rw-p");
    find("stack", &local, "rw-p");
    find("heap", heap, "rw-p");
    find("library", (void *)getauxval, "r-xp");
    find("anonymous", anonymous, "r--p");
    put("mapped", "text");
    find("file", mmap(0, 4, PROT_READ, MAP_SHARED, open("mapped", O_RDONLY), 0), "r--s");
    munmap(anonymous, 8192);
    find("gone", anonymous, "");
    find("nothing", (void *)8, "");
    SHOW(load("/proc/self/mem") == -1 || load("/proc/self/mem") == 0);
}

// A size in kB behind a key of the text.
static long kilobytes(const char *key) {
    long kb = -1;
    sscanf(line(key) + strlen(key), "%ld", &kb);
    return kb;
}

static void sizes(void) {
    enum { LARGE = 64 << 20 };
    load("/proc/self/status");
    long size = kilobytes("VmSize:"), resident = kilobytes("VmRSS:"), data = kilobytes("VmData:");
    SHOW(0 < resident && resident <= size && data < size);
    // The program with its libraries and its stack, and not the machinery that runs it.
    SHOW(size < 100000);
    char *large = mmap(0, LARGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(large, 1, LARGE / 2);
    load("/proc/self/status");
    SHOW(kilobytes("VmSize:") - size >= LARGE / 1024 && kilobytes("VmSize:") - size < LARGE / 1024 + 1000);
    SHOW(kilobytes("VmRSS:") - resident >= LARGE / 2048 && kilobytes("VmRSS:") - resident < LARGE / 2048 + 2000);
    long pages, there;
    load("/proc/self/statm");
    sscanf(text, "%ld %ld", &pages, &there);
    SHOW(pages * 4 - size >= LARGE / 1024 && there * 4 - resident >= LARGE / 2048);
    load("/proc/self/stat");
    unsigned long bytes = 0;
    sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %*u %lu", &bytes);
    SHOW(bytes / 1024 - size >= LARGE / 1024);
    // Every mapping with its sizes.
    SHOW(load("/proc/self/smaps") > 0);
    unsigned long from, to, found = 0;
    long sum = 0, kb;
    int mine = 0;
    for (char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : 0) {
        if (sscanf(at, "%lx-%lx", &from, &to) == 2) mine = from <= (unsigned long)large && (unsigned long)large < to;
        if (sscanf(at, "Rss: %ld kB", &kb) == 1) sum += kb, found += mine ? kb : 0;
    }
    SHOW(found >= LARGE / 2048);
    SHOW(load("/proc/self/smaps_rollup") > 0);
    SHOW(labs(kilobytes("Rss:") - sum) < 1000);
    munmap(large, LARGE);
}

// What the processor can do, as the kernel tells it and as the processor itself does.
static void processor(void) {
    static const struct { unsigned leaf, sub, reg, bit; const char *name; } features[] = {
        {1, 0, 3, 26, "sse2"},     {1, 0, 2, 28, "avx"},       {1, 0, 2, 12, "fma"},       {1, 0, 2, 31, "hypervisor"},
        {7, 0, 1, 5, "avx2"},      {7, 0, 1, 4, "hle"},        {7, 0, 1, 11, "rtm"},       {7, 0, 1, 10, "invpcid"},
        {7, 0, 1, 16, "avx512f"},  {7, 0, 1, 29, "sha_ni"},    {7, 0, 2, 3, "pku"},        {7, 0, 2, 4, "ospke"},
        {7, 0, 2, 5, "waitpkg"},   {7, 0, 3, 24, "amx_tile"},  {7, 0, 3, 25, "amx_int8"},  {7, 0, 3, 22, "amx_bf16"},
        {7, 0, 2, 9, "vaes"},      {7, 0, 3, 20, "ibt"},       {0xd, 1, 0, 3, "xsaves"},   {0xd, 1, 0, 1, "xsavec"},
        {7, 0, 1, 0, "fsgsbase"},  {7, 0, 1, 18, "rdseed"},    {7, 0, 2, 22, "rdpid"},     {0x80000001, 0, 2, 16, "fma4"},
        {0x80000001, 0, 2, 11, "xop"},
    };
    load("/proc/cpuinfo");
    char flags[8192];
    const char *at = strstr(text, "\nflags");
    snprintf(flags, sizeof flags, "%.*s ", at ? (int)strcspn(at + 1, "\n") : 0, at ? at + 1 : "");
    for (unsigned i = 0; i < sizeof features / sizeof *features; i++) {
        unsigned r[4] = {0};
        char name[40];
        __get_cpuid_count(features[i].leaf, features[i].sub, r, r + 1, r + 2, r + 3);
        sprintf(name, " %s ", features[i].name);
        if ((r[features[i].reg] >> features[i].bit & 1) != (strstr(flags, name) != 0)) printf("%s differs\n", name);
    }
    SHOW(strstr(flags, " sse2 ") != 0);
}

// Another process of the same sandbox.
static void others(void) {
    int p[2], status;
    char path[64], expected[256];
    pipe(p);
    pid_t child = fork();
    if (!child) {
        prctl(PR_SET_NAME, "the child");
        write(p[1], "x", 1);
        pause();
    }
    read(p[0], path, 1);
    sprintf(path, "/proc/%d/status", child);
    SHOW(load(path) > 0);
    puts(line("Name:"));
    sprintf(expected, "PPid:\t%d", getpid());
    SHOW(strcmp(line("PPid:"), expected));
    SHOW(kilobytes("VmRSS:") > 0);
    sprintf(path, "/proc/%d/comm", child);
    SHOW(load(path));
    printf("%s", text);
    int there = 0;
    DIR *d = opendir("/proc");
    for (struct dirent *e; (e = readdir(d));) there += atoi(e->d_name) == child;
    closedir(d);
    SHOW(there);
    kill(child, SIGKILL);
    SHOW(waitpid(child, &status, 0) == child);
    SHOW(load(path));
    close(p[0]), close(p[1]);
}

static void descriptors(void) {
    int p[2], fd = open("mapped", O_RDWR | O_CLOEXEC);
    char path[64], b[4096];
    pipe(p);
    DIR *d = opendir("/proc/self/fd");
    int own = dirfd(d), count = 0;
    long bits = 0;
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.' && atoi(e->d_name) != own) count++, bits |= 1L << atoi(e->d_name);
    closedir(d);
    printf("%d descriptors %lx\n", count, bits);
    sprintf(path, "/proc/self/fd/%d", fd);
    long n = readlink(path, b, sizeof b - 1);
    b[n] = 0;
    printf("%s\n", b);
    sprintf(path, "/proc/self/fd/%d", p[0]);
    n = readlink(path, b, sizeof b - 1);
    b[n] = 0;
    SHOW(strncmp(b, "pipe:[", 6));
    int again;
    sprintf(path, "/dev/fd/%d", fd);
    SHOW((again = open(path, O_RDONLY)) >= 0);
    SHOW(read(again, b, 2));
    SHOW(read(fd, b, 10));
    sprintf(path, "/dev/fd/%d", p[1]);
    SHOW((again = open(path, O_WRONLY)) >= 0);
    SHOW(write(again, "pipe", 4));
    SHOW(read(p[0], b, 10));
    SHOW(open("/dev/fd/99", O_RDONLY));
    sprintf(path, "/proc/self/fdinfo/%d", fd);
    load(path);
    puts(line("pos:"));
    puts(line("flags:"));
    // Standard input by its name.
    int in = open("/dev/stdin", O_RDONLY);
    SHOW(in >= 0);
    n = read(in, b, sizeof b);
    show_bytes("input", b, n);
    SHOW(write(open("/dev/stdout", O_WRONLY), "", 0));
    SHOW(write(open("/dev/stderr", O_WRONLY), "err\n", 4));
    unlink("mapped");
    sprintf(path, "/proc/self/fd/%d", fd);
    n = readlink(path, b, sizeof b - 1);
    b[n] = 0;
    printf("%s\n", b);
}

static pthread_barrier_t barrier;
static void *second(void *unused) {
    (void)unused;
    prctl(PR_SET_NAME, "second");
    load("/proc/thread-self/comm");
    printf("%s", text);
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return 0;
}

static void tasks(void) {
    pthread_t t;
    pthread_barrier_init(&barrier, 0, 2);
    pthread_create(&t, 0, second, 0);
    pthread_barrier_wait(&barrier);
    DIR *d = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *e; (e = readdir(d));) count += e->d_name[0] != '.';
    closedir(d);
    SHOW(count);
    load("/proc/self/status");
    puts(line("Threads:"));
    pthread_barrier_wait(&barrier);
    pthread_join(t, 0);
}

static void none(int signal) { (void)signal; }

static void signal_lines(const char *of) {
    printf("load: %d\n", load(of) > 0);
    const char *lines[] = {"SigPnd:", "ShdPnd:", "SigBlk:", "SigIgn:", "SigCgt:"};
    for (int i = 0; i < 5; i++) puts(line(lines[i]));
}

static void signals(void) {
    sigset_t set;
    signal(SIGUSR1, none);
    signal(SIGSEGV, none);
    signal(SIGUSR2, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    signal(SIGBUS, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGFPE);
    sigprocmask(SIG_BLOCK, &set, 0);
    raise(SIGTERM);
    kill(getpid(), SIGHUP);
    signal_lines("/proc/self/status");
    signal_lines("/proc/thread-self/status");
}

int main(int argc, char **argv) {
    setvbuf(stdout, 0, _IOLBF, 0);
    if (argc == 2) {
        others();
        return 0;
    }
    links();
    texts(argc, argv);
    status();
    signals();
    maps();
    sizes();
    processor();
    descriptors();
    tasks();
    return 0;
}
