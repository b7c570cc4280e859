// Ways to get at what a rule denies by giving it, or what leads to it, another name. In its working directory; what came
// of each try is a line, "held" with the errno or "ESCAPED".
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define TRY(...) do { if ((long)(__VA_ARGS__) >= 0) printf("ESCAPED: %s\n", #__VA_ARGS__); else printf("held: %s: %s\n", #__VA_ARGS__, strerror(errno)); } while (0)
#define EXCHANGE 2

static int writes(const char *path, const char *text) {
    int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0755);
    if (fd < 0) return -1;
    int n = write(fd, text, strlen(text));
    close(fd);
    return n;
}

static int reads(const char *path) {
    char b[64];
    int fd = open(path, O_RDONLY);
    return fd < 0 ? -1 : read(fd, b, sizeof b);
}

// The names that a denial's wildcards match are links.
static void wildcards(void) {
    TRY(reads("home/alice/.ssh/id"));
    TRY(reads("data/alice/.ssh/id"));
    TRY(reads("srv/a/secret.key"));
    TRY(reads("data/key"));
}

// `.git/hooks` may not be written, so nothing else becomes `.git`.
static void guarded(void) {
    mkdir("other", 0755);
    mkdir("other/hooks", 0755);
    writes("other/hooks/pre-commit", "evil\n");
    writes("pointer", "gitdir: other\n");
    symlink("other", "link");
    TRY(symlink("other", ".git"));
    TRY(symlinkat("other", open(".", O_RDONLY), ".git/"));
    TRY(rename("link", ".git"));
    TRY(link("link", ".git"));
    TRY(rename("other", ".git"));
    TRY(syscall(SYS_renameat2, AT_FDCWD, "other", AT_FDCWD, ".git", EXCHANGE));
    TRY(rename("pointer", ".git"));
    TRY(link("pointer", ".git"));
    TRY(writes(".git", "gitdir: other\n"));
    TRY(mknod(".git", S_IFREG | 0644, 0));
    if (mkdir(".git", 0755) != 0) puts("ESCAPED: not even a directory");
    TRY(mkdir(".git/hooks", 0755));
    TRY(symlink("../other/hooks", ".git/hooks"));
    TRY(rename("other/hooks", ".git/hooks"));
    TRY(writes(".git/hooks/pre-commit", "evil\n"));
    // What is not in question works.
    if (writes(".git/index.lock", "x") != 1 || rename(".git/index.lock", ".git/index") != 0) puts("ESCAPED: no index");
    if (rmdir(".git") == 0 || unlink(".git/index") != 0 || rmdir(".git") != 0) puts("ESCAPED: not removed");
    TRY(symlink("other", ".git"));
}

static volatile int stop;
static void *exchange(void *unused) {
    while (!stop) syscall(SYS_renameat2, AT_FDCWD, "f", AT_FDCWD, "d", EXCHANGE);
    return unused;
}

// A file and a directory change places while what has the file's name becomes `.git`.
static void race(void) {
    mkdir("d", 0755);
    mkdir("d/hooks", 0755);
    writes("d/hooks/pre-commit", "evil\n");
    writes("f", "x");
    pthread_t thread;
    pthread_create(&thread, NULL, exchange, NULL);
    for (int i = 0; i < 20000; i++) {
        if (rename("f", ".git") != 0) continue;
        if (access(".git/hooks", F_OK) == 0) { puts("ESCAPED: the directory"); break; }
        rename(".git", "f");
    }
    stop = 1;
    pthread_join(thread, NULL);
    puts("held: 20000 renames");
}

static int on_socket(int (*what)(int, const struct sockaddr *, socklen_t), const char *name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, name);
    int s = socket(AF_UNIX, SOCK_STREAM, 0), result = what(s, (struct sockaddr *)&address, sizeof address);
    close(s);
    return result;
}

// A socket that may be reached gives its name to one that may not.
static void sockets(void) {
    if (on_socket(connect, "app.sock") != 0 || on_socket(connect, "open/friend") != 0) puts("ESCAPED: nothing can be reached");
    unlink("app.sock");
    TRY(link("agent", "app.sock"));
    TRY(rename("agent", "app.sock"));
    TRY(syscall(SYS_renameat2, AT_FDCWD, "agent", AT_FDCWD, "open/friend", EXCHANGE));
    symlink("agent", "app.sock");
    TRY(on_socket(connect, "app.sock"));
    TRY(link("open/docker", "open/x"));
    TRY(rename("open/docker", "open/y"));
    TRY(link("agent", "open/z"));
    TRY(rename("agents", "open/agents"));
    TRY(on_socket(connect, "open/docker"));
    TRY(on_socket(connect, "agents/one"));
    TRY(on_socket(bind, "free"));
}

// The folder that an entry names is to be another one in the next run. The working directory is above it.
static void roots(void) {
    TRY(rmdir("w"));
    TRY(rename("w", "v"));
    TRY(rename("w", "w/x"));
    TRY(syscall(SYS_renameat2, AT_FDCWD, "w", AT_FDCWD, "beside", EXCHANGE));
    mkdir("beside/v", 0755);
    TRY(rename("beside/v", "w"));
    TRY(symlink("../target", "beside/later"));
    TRY(unlink("beside/file"));
    TRY(symlink("../target", "beside/file"));
    // What lies in them is the guest's own.
    if (mkdir("w/x", 0755) != 0 || rename("w/x", "w/y") != 0 || rmdir("w/y") != 0) puts("ESCAPED: w is not writable");
    if (mkdir("beside/later", 0755) != 0 || writes("beside/file", "x") != 1) puts("ESCAPED: entries of their own");
}

// Files of rxbox's own: the profile that is in force, the log, the report.
static void own(void) {
    const char *names[] = {"profile.toml", "included.toml", "rx.log", "report", "config/rxbox/other.toml"};
    writes("mine", "version = 1\nextends = [\"permissive\"]\n");
    symlink("mine", "link");
    mkdir("folder", 0755);
    for (int i = 0; i < 5; i++) {
        const char *name = names[i];
        puts(name);
        TRY(writes(name, "version = 1\n"));
        TRY(open(name, O_WRONLY | O_APPEND | O_CREAT, 0644));
        TRY(truncate(name, 0));
        TRY(chmod(name, 0666));
        TRY(unlink(name));
        TRY(rename(name, "moved"));
        TRY(rename("mine", name));
        TRY(rename("link", name));
        TRY(syscall(SYS_renameat2, AT_FDCWD, "mine", AT_FDCWD, name, EXCHANGE));
        TRY(link(name, "another"));
        TRY(symlink("mine", name));
    }
    TRY(rename("config", "moved"));
    TRY(rename("config/rxbox", "config/moved"));
    TRY(symlink("folder", "config/rxbox"));
    // The link by which this program was started.
    TRY(unlink("start"));
    TRY(rename("link", "start"));
}

// A link where the log will be.
static void plant(void) { symlink("../outside", "later.log"); }

int main(int argc, char **argv) {
    struct { const char *name; void (*run)(void); } all[] = {
        {"wildcards", wildcards}, {"guarded", guarded}, {"race", race}, {"sockets", sockets}, {"roots", roots},
        {"own", own}, {"plant", plant}};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
        if (argc > 1 && !strcmp(argv[1], all[i].name)) { all[i].run(); return 0; }
    return 99;
}
