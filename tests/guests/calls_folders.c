// Names: folders, links, renaming, the working directory, and listings of many entries.
#include "show.h"
#include <dirent.h>

static int compare(const void *a, const void *b) { return strcmp(*(char **)a, *(char **)b); }

static void list(const char *name) {
    char *names[3000];
    int n = 0;
    DIR *d = opendir(name);
    if (!d) return show(name, -1);
    for (struct dirent *e; (e = readdir(d));) {
        asprintf(&names[n], "%s:%d", e->d_name, e->d_type);
        n++;
    }
    closedir(d);
    qsort(names, n, sizeof *names, compare);
    printf("%s: %d entries, %s .. %s\n", name, n, names[0], names[n - 1]);
    uint64_t h = 0;
    for (int i = 0; i < n; i++) h = h * 31 + sum(names[i], strlen(names[i]));
    printf("%016lx\n", h);
}

static void making(void) {
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d", 0755));
    SHOW(mkdir("d/e/f", 0755));
    SHOW(mkdir("d/e", 0700));
    SHOW(mkdir("d/e/", 0700));
    SHOW(mkdir("", 0700));
    SHOW(mkdir("slash/", 0700));
    SHOW(rmdir("slash/"));
    SHOW(rmdir("d"));
    SHOW(rmdir("d/e/."));
    SHOW(rmdir("d/e/.."));
    SHOW(rmdir("/"));
    SHOW(unlink("d/e"));
    put("d/file", "text");
    SHOW(rmdir("d/file"));
    SHOW(unlink("d/file/"));
    SHOW(link("d/file", "d/hard"));
    SHOW(link("d/file", "d/hard"));
    SHOW(link("d", "d2"));
    SHOW(symlink("file", "d/soft"));
    SHOW(symlink("", "d/empty"));
    SHOW(linkat(AT_FDCWD, "d/soft", AT_FDCWD, "d/softer", 0));
    SHOW(linkat(AT_FDCWD, "d/soft", AT_FDCWD, "d/followed", AT_SYMLINK_FOLLOW));
    struct stat s;
    lstat("d/softer", &s);
    SHOW(S_ISLNK(s.st_mode) && s.st_nlink == 2);
    stat("d/followed", &s);
    SHOW(s.st_nlink);
    char b[64] = {0};
    SHOW(readlink("d/soft", b, 64));
    show_bytes("link", b, 4);
    SHOW(readlink("d/soft", b, 2));
    SHOW(readlink("d/soft", b, 0));
    SHOW(readlink("d/file", b, 64));
    SHOW(readlink("d/soft/", b, 64));
    SHOW(mknod("d/pipe", S_IFIFO | 0600, 0));
    SHOW(mknod("d/plain", S_IFREG | 0600, 0));
    SHOW(mknod("d/plain", S_IFREG | 0600, 0));
    int dir = open("d", O_RDONLY | O_DIRECTORY), path = open("d/file", O_PATH);
    SHOW(mkdirat(dir, "at", 0711));
    SHOW(symlinkat("../d", dir, "up"));
    SHOW(unlinkat(dir, "at", 0));
    SHOW(unlinkat(dir, "at", AT_REMOVEDIR));
    SHOW(unlinkat(dir, "at", 7));
    SHOW(readlinkat(open("d/soft", O_PATH | O_NOFOLLOW), "", b, 64));
    SHOW(openat(dir, "up/up/up/file", O_RDONLY));
    SHOW(read(path, b, 1));
    SHOW(fcntl(path, F_GETFL));
    // There are no notices to take back.
    SHOW(fcntl(dir, F_NOTIFY, DN_MULTISHOT));
    SHOW(fcntl(dir, F_NOTIFY, 0));
    SHOW(fstat(path, &s));
    SHOW(read(dir, b, 1));
    SHOW(write(dir, b, 1));
    list("d");
    SHOW(unlink("d/pipe"));
}

static void renaming(void) {
    mkdir("r", 0755);
    put("r/a", "a");
    put("r/b", "bb");
    SHOW(rename("r/a", "r/c"));
    SHOW(rename("r/a", "r/c"));
    SHOW(rename("r/c", "r/b"));
    SHOW(rename("r/b", "r/b"));
    SHOW(rename("r", "r/sub"));
    SHOW(rename("r/b", "d"));
    SHOW(rename("d/e", "r/b"));
    SHOW(rename("d/e", "r/e/"));
    put("r/x", "x");
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "r/x", AT_FDCWD, "r/b", 1));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "r/x", AT_FDCWD, "r/b", 2));
    SHOW(syscall(SYS_renameat2, AT_FDCWD, "r/x", AT_FDCWD, "r/b", 3));
    SHOW(rename("r/x", "r/none/x"));
    SHOW(rename("r/x", ""));
    SHOW(rename("r/.", "q"));
    SHOW(renameat(99, "x", 99, "y"));
    list("r");
}

static void standing(void) {
    char start[4096], b[4096], small[2];
    SHOW(getcwd(start, sizeof start) != 0);
    SHOW(chdir("r/e"));
    SHOW(getcwd(b, sizeof b) && !strcmp(b + strlen(start), "/r/e"));
    SHOW(getcwd(small, 2) != 0);
    show("getcwd", getcwd(small, 2) ? 0 : -1);
    SHOW(chdir("../b"));
    SHOW(chdir("none"));
    SHOW(chdir("../../d/up/soft"));
    int here = open(".", O_RDONLY);
    SHOW(chdir(".."));
    SHOW(rmdir("e"));
    SHOW(fchdir(here));
    show("getcwd", getcwd(b, sizeof b) ? 0 : -1);
    SHOW(open("x", O_CREAT | O_RDWR, 0600));
    SHOW(chdir(".."));
    SHOW(chdir(start));
    SHOW(fchdir(open("d/file", O_RDONLY)));
    SHOW(chdir("/"));
    SHOW(chdir(".."));
    SHOW(getcwd(b, sizeof b) && !strcmp(b, "/"));
    SHOW(chdir(start));
    // A deep place, and a path of nearly the greatest length.
    for (int i = 0; i < 20; i++) {
        memset(b, 'a' + i, 200);
        b[200] = 0;
        if (mkdir(b, 0700) || chdir(b)) perror("deep");
    }
    SHOW(getcwd(b, sizeof b) ? strlen(b) - strlen(start) : -1);
    for (int i = 19; i >= 0; i--) {
        memset(b, 'a' + i, 200);
        b[200] = 0;
        if (chdir("..") || rmdir(b)) perror("deep");
    }
    memset(b, '/', sizeof b);
    memcpy(b, "d/.", 3);
    SHOW(open(b, O_RDONLY));
    b[4094] = '.';
    b[4095] = 0;
    SHOW(open(b, O_RDONLY) >= 0);
}

static void many(void) {
    char name[64];
    mkdir("many", 0755);
    for (int i = 0; i < 2500; i++) {
        sprintf(name, "many/entry-with-a-longer-name-%d", i);
        put(name, "");
    }
    list("many");
    DIR *d = opendir("many");
    for (int i = 0; i < 1000; i++) readdir(d);
    long at = telldir(d);
    struct dirent *e = readdir(d);
    char first[256], again[256];
    strcpy(first, e->d_name);
    for (int i = 0; i < 500; i++) readdir(d);
    seekdir(d, at);
    strcpy(again, readdir(d)->d_name);
    SHOW(strcmp(first, again));
    rewinddir(d);
    int n = 0;
    while (readdir(d)) n++;
    SHOW(n);
    closedir(d);
    // Removing while listing, as rm -r does.
    d = opendir("many");
    int removed = 0;
    while ((e = readdir(d)))
        if (e->d_name[0] != '.') removed += !unlinkat(dirfd(d), e->d_name, 0);
    SHOW(removed > 0);
    closedir(d);
    list("many");
    char b[256];
    int fd = open("d", O_RDONLY);
    SHOW(syscall(SYS_getdents64, fd, b, 10));
    SHOW(syscall(SYS_getdents64, fd, 8, 1000));
    SHOW(syscall(SYS_getdents64, open("d/file", O_RDONLY), b, 256));
    SHOW(syscall(SYS_getdents64, 99, b, 256));
}

int main(void) {
    making();
    renaming();
    standing();
    many();
    return 0;
}
