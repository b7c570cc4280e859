// What a program sees and does in a folder of its own, whose name is the first argument; the second is the
// name of a folder beside it that it may write, on another file system. With a third, tries to get out of it
// to what the host has there: a file `secret`, and a directory `shown` that it may read.
#include "show.h"
#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statfs.h>
#include <sys/un.h>
#include <sys/wait.h>

static char own[4096], out[4096];

static char *in(const char *name) {
    static char paths[8][8192];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", own, name);
    return path;
}

static char *outside(const char *name) {
    static char path[8192];
    snprintf(path, sizeof path, "%s/%s", out, name);
    return path;
}

// A name, without what differs from run to run.
static void show_name(const char *what, const char *name, long length) {
    printf("%s: ", what);
    if (length < 0) { puts(strerrorname_np(errno)); return; }
    if (!strncmp(name, own, strlen(own))) printf("OWN%.*s\n", (int)(length - strlen(own)),
        name + strlen(own));
    else printf("%.*s\n", (int)length, name);
}

static void show_link(const char *what, const char *link) {
    char text[8192];
    show_name(what, text, readlink(link, text, sizeof text));
}

static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void list(const char *what, const char *path) {
    char *names[100];
    int count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *entry; dir && (entry = readdir(dir)) && count < 100;)
        names[count++] = strdup(entry->d_name);
    if (dir) closedir(dir);
    qsort(names, count, sizeof *names, compare);
    printf("%s:", what);
    for (int i = 0; i < count; i++) printf(" %s", names[i]);
    puts("");
}

static void files(void) {
    list("at first", own);
    SHOW(mkdir(own, 0755));
    SHOW(mkdir(in("d"), 0750));
    put(in("d/file"), "text");
    SHOW(rename(in("d/file"), in("file")));
    SHOW(link(in("file"), in("d/second")));
    SHOW(symlink("../file", in("d/relative")));
    SHOW(symlink(in("d"), in("absolute")));
    SHOW(access(in("d/relative"), R_OK));
    SHOW(access(in("absolute/relative"), R_OK));
    SHOW(access(in("absolute/../d/../file"), R_OK));
    SHOW(access(in("file/"), R_OK));
    SHOW(access(in("./d/."), R_OK));
    SHOW(mkfifo(in("fifo"), 0600));
    SHOW(truncate(in("file"), 3));
    SHOW(chmod(in("file"), 0400));
    struct stat s;
    SHOW(stat(in("d/second"), &s));
    printf("%o %ld %ld\n", s.st_mode, (long)s.st_size, (long)s.st_nlink);
    int fd = open(own, O_TMPFILE | O_RDWR, 0600);
    SHOW(fd >= 0);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    SHOW(linkat(AT_FDCWD, name, AT_FDCWD, in("linked"), AT_SYMLINK_FOLLOW));
    snprintf(name, sizeof name, "/proc/self/fd/%d", open(in("linked"), O_RDONLY));
    show_link("a link of a descriptor", name);
    SHOW(unlink(in("linked")));
    show_link("once deleted", name);
    SHOW(rename(in("file"), outside("file")));
    SHOW(link(in("file"), outside("file")));
    put(outside("other"), "x");
    SHOW(rename(outside("other"), in("other")));
    SHOW(rmdir(own) == 0);
    list("then", own);
    list("below", in("d"));
}

static void places(void) {
    char text[8192];
    SHOW(chdir(in("d")));
    show_name("getcwd", text, getcwd(text, sizeof text) ? strlen(text) : -1);
    show_link("cwd", "/proc/self/cwd");
    SHOW(chdir(".."));
    show_name("getcwd", text, getcwd(text, sizeof text) ? strlen(text) : -1);
    SHOW(access("file", F_OK));
    struct stat above, parent, root;
    snprintf(text, sizeof text, "%s", own);
    *strrchr(text, '/') = 0;
    SHOW(stat("..", &above));
    SHOW(stat(text, &parent));
    SHOW(above.st_ino == parent.st_ino && above.st_dev == parent.st_dev);
    int dir = open(own, O_PATH | O_DIRECTORY);
    SHOW(fstatat(dir, "..", &above, 0));
    SHOW(above.st_ino == parent.st_ino && above.st_dev == parent.st_dev);
    SHOW(chdir("/"));
    SHOW(stat("/", &root));
    SHOW(access(in("../../../../../../../../usr/bin/env"), R_OK));
    SHOW(fchdir(dir));
    SHOW(unlink("d/second"));
    SHOW(access("d/second", F_OK));
}

static void sockets(void) {
    struct sockaddr_un address = {AF_UNIX}, got;
    socklen_t length = sizeof got;
    snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", own);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), client = socket(AF_UNIX, SOCK_STREAM, 0);
    SHOW(bind(listener, (void *)&address, sizeof address));
    SHOW(listen(listener, 1));
    SHOW(connect(client, (void *)&address, sizeof address));
    SHOW(getpeername(client, (void *)&got, &length));
    show_name("peer", got.sun_path, strlen(got.sun_path));
    int server = accept(listener, NULL, NULL);
    SHOW(write(client, "hello", 5));
    char text[8];
    SHOW(read(server, text, sizeof text));
}

static void programs(void) {
    int from = open("/bin/true", O_RDONLY), to = open(in("true"), O_CREAT | O_WRONLY, 0755);
    char piece[65536];
    for (long n; (n = read(from, piece, sizeof piece)) > 0;) write(to, piece, n);
    close(to);
    fflush(stdout);
    pid_t child = fork();
    if (!child) { execl(in("true"), "true", (char *)0); _exit(100); }
    int status;
    waitpid(child, &status, 0);
    SHOW(WEXITSTATUS(status));
    int fd = open(in("true"), O_RDONLY);
    void *code = mmap(0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
    SHOW(code != MAP_FAILED);
    FILE *maps = fopen("/proc/self/maps", "r");
    for (char line[8192]; fgets(line, sizeof line, maps);) {
        char *name = strchr(line, '/');
        if (name && !strncmp(name, own, strlen(own)) && strstr(name, "/true")) show_name("mapped", name,
            strlen(name) - 1);
    }
}

// --- out of it ---

static void held(const char *how) { printf("held: %s: %s\n", how, strerrorname_np(errno)); }
static void escaped(const char *how) { printf("ESCAPED: %s\n", how); }

static void reads(const char *how, int fd) {
    char text[64] = {0};
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0 && strstr(text, "top secret")) escaped(how);
    else held(how);
    if (fd >= 0) close(fd);
}

#define READS(...) reads(#__VA_ARGS__, __VA_ARGS__)
#define TRY(...) ((long)(__VA_ARGS__) >= 0 ? escaped(#__VA_ARGS__) : held(#__VA_ARGS__))

static volatile int stop;
static void *move(void *nothing) {
    while (!stop) {
        rename(in("a/b"), in("b"));
        rename(in("b"), in("a/b"));
    }
    return nothing;
}

static void get_out(const char *secret_name) {
    char path[8192], *base = strrchr(own, '/') + 1;
    READS(open(in("secret"), O_RDONLY));
    chdir(own);
    READS(open("secret", O_RDONLY));
    snprintf(path, sizeof path, "../%s/secret", base);
    READS(open(path, O_RDONLY));
    READS(open("/proc/self/cwd/secret", O_RDONLY));
    snprintf(path, sizeof path, "/proc/self/root%s/secret", own);
    READS(open(path, O_RDONLY));
    symlink(in("secret"), in("link"));
    READS(open("link", O_RDONLY));
    int dir = open(own, O_PATH | O_DIRECTORY), shown = open(in("shown"), O_RDONLY | O_DIRECTORY);
    READS(openat(dir, "secret", O_RDONLY));
    READS(openat(shown, "../secret", O_RDONLY));
    READS(openat(shown, "..//./secret", O_RDONLY));
    READS(openat(openat(shown, "..", O_PATH), "secret", O_RDONLY));
    READS(openat(openat(shown, "deep/../..", O_PATH), "secret", O_RDONLY));
    fchdir(shown);
    READS(open("../secret", O_RDONLY));
    chdir("deep");
    READS(open("../../secret", O_RDONLY));
    struct { uint64_t flags, mode, resolve; } how = {O_RDONLY, 0, 0x10};
    READS(syscall(SYS_openat2, shown, "../secret", &how, sizeof how));
    READS(syscall(SYS_openat2, dir, "/secret", &how, sizeof how));
    list("listed", own);
    // What is shown there is only read.
    TRY(open(in("shown/file"), O_WRONLY));
    TRY(open(in("shown/new"), O_WRONLY | O_CREAT, 0600));
    TRY(rename(in("shown"), in("moved")));
    TRY(rename(in("shown/file"), in("moved")));
    TRY(link(in("shown/file"), in("linked")));
    TRY(rmdir(in("shown")));
    TRY(syscall(SYS_renameat2, AT_FDCWD, in("shown"), AT_FDCWD, in("link"), 2));
    TRY(rmdir(own));
    TRY(rename(own, outside("moved")));
    // Standard input is the secret, opened by the user to be read.
    TRY(fchmod(0, 0777));
    TRY(open("/proc/self/fd/0", O_WRONLY));
    TRY(linkat(AT_FDCWD, "/proc/self/fd/0", AT_FDCWD, in("mine"), AT_SYMLINK_FOLLOW));
    TRY(mmap(0, 4096, PROT_EXEC, MAP_PRIVATE, 0, 0) == MAP_FAILED ? -1 : 0);
    // A directory changes places while `..` leads out of it.
    mkdir(in("a"), 0700), mkdir(in("a/b"), 0700), mkdir(in("a/b/c"), 0700);
    pthread_t mover;
    pthread_create(&mover, 0, move, 0);
    int got = 0;
    for (int i = 0; i < 300; i++) {
        const char *ways[] = {"b/c/../../secret", "b/c/../../../secret", "a/b/c/../../../secret",
            "a/b/c/../../../../secret"};
        int fd = open(in(ways[i % 4]), O_RDONLY);
        char text[64] = {0};
        got |= fd >= 0 && read(fd, text, sizeof text - 1) > 0 && strstr(text, "top secret");
        if (fd >= 0) close(fd);
    }
    stop = 1;
    pthread_join(mover, 0);
    if (got) escaped("a race"); else held("a race");
}

int main(int argc, char **argv) {
    snprintf(own, sizeof own, "%s", argv[1]);
    snprintf(out, sizeof out, "%s", argv[2]);
    if (argc > 3) get_out(argv[3]);
    else files(), places(), sockets(), programs();
}
