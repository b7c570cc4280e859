// Who a process is and what follows: ids, groups and capabilities, files, signals, what others are told. As root it
// becomes others; as an ordinary user it is told that it cannot.
#include "show.h"
#include <linux/capability.h>
#include <mqueue.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <grp.h>

#define NOBODY 65534
#define OTHER 4242

// The capabilities up to setpcap.
static unsigned held(int which) {
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {0};
    syscall(SYS_capget, &head, data);
    unsigned all[] = {data[0].effective, data[0].permitted, data[0].inheritable};
    return all[which] & 0x1ff;
}

static void who(const char *when) {
    unsigned r, e, s, gr, ge, gs;
    gid_t groups[64];
    getresuid(&r, &e, &s);
    getresgid(&gr, &ge, &gs);
    printf("%s: users %u %u %u files %d groups %u %u %u files %d:", when, r, e, s, setfsuid(-1), gr, ge, gs, setfsgid(-1));
    int count = getgroups(64, groups);
    for (int i = 0; i < count; i++) printf(" %u", groups[i]);
    printf(" caps %x %x %x", held(0), held(1), held(2));
    printf(" dumpable %d keep %d\n", prctl(PR_GET_DUMPABLE) == 1, prctl(PR_GET_KEEPCAPS));
    char line[200];
    FILE *status = fopen("/proc/thread-self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "Uid", 3) || !strncmp(line, "Gid", 3) || !strncmp(line, "Groups", 6)) fputs(line, stdout);
    if (status) fclose(status);
}

static void made(const char *name) {
    struct stat st;
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0640);
    show(name, fd < 0 ? -1 : 0);
    if (fd >= 0 && !fstat(fd, &st)) printf("of %u %u\n", st.st_uid, st.st_gid);
    if (fd >= 0) close(fd);
    unlink(name);
}

// What a child does, with its status.
static void in_child(const char *what, void (*act)(void)) {
    fflush(stdout);
    printf("== %s\n", what);
    fflush(stdout);
    pid_t pid = fork();
    if (!pid) {
        act();
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    printf("status %x\n", status);
}

static char queue[32];
static int set;

static void look(void) {
    char name[64];
    SHOW(mq_open(queue, O_RDONLY));
    SHOW(mq_unlink(queue));
    SHOW(semctl(set, 0, GETVAL));
    SHOW(open("secret", O_RDONLY));
    SHOW(access("secret", R_OK));
    SHOW(chmod("secret", 0600));
    SHOW(chown("secret", NOBODY, NOBODY));
    SHOW(open("locked/in", O_RDONLY));
    made("new");
    SHOW(kill(getppid(), 0));
    SHOW(kill(getpid(), 0));
    SHOW(getpriority(PRIO_PROCESS, getppid()) >= 0);
    SHOW(setpriority(PRIO_PROCESS, getppid(), 0));
    struct rlimit limit;
    SHOW(prlimit(getppid(), RLIMIT_CORE, 0, &limit));
    snprintf(name, sizeof name, "/proc/%d/environ", getppid());
    int fd = open(name, O_RDONLY);
    show("environ of the parent", fd < 0 ? -1 : 0);
    if (fd >= 0) close(fd);
    snprintf(name, sizeof name, "/proc/%d/exe", getppid());
    char text[200];
    show("exe of the parent", readlink(name, text, sizeof text) < 0 ? -1 : 0);
    struct stat st;
    snprintf(name, sizeof name, "/proc/%d", getppid());
    if (!stat(name, &st)) printf("the parent's directory: %u %u\n", st.st_uid, st.st_gid);
    if (!stat("/proc/self", &st)) printf("the own directory: %u %u\n", st.st_uid, st.st_gid);
}

static void become(unsigned id) {
    gid_t groups[] = {id, 7};
    SHOW(setgroups(2, groups));
    SHOW(setresgid(id, id, id));
    SHOW(setresuid(id, id, id));
}

static void for_good(void) {
    become(NOBODY);
    who("for good");
    SHOW(setuid(0));
    SHOW(setgid(0));
    SHOW(seteuid(0));
    SHOW(setgroups(0, 0));
    SHOW(setreuid(-1, 0));
    look();
}

static void one_by_one(void) {
    SHOW(setgid(NOBODY));
    SHOW(setuid(NOBODY));
    who("setuid");
    SHOW(setuid(OTHER));
}

static void for_a_while(void) {
    SHOW(setegid(OTHER));
    SHOW(seteuid(OTHER));
    who("for a while");
    look();
    SHOW(seteuid(0));
    SHOW(setegid(0));
    who("back");
    SHOW(setreuid(NOBODY, 0));
    who("real");
    SHOW(setreuid(0, NOBODY));
    who("effective");
    SHOW(setresuid(-1, 0, -1));
    who("again");
}

static void files_only(void) {
    SHOW(setfsgid(OTHER));
    SHOW(setfsuid(OTHER));
    who("files");
    made("ours");
    SHOW(open("secret", O_RDONLY) < 0 ? -1 : 0);
    SHOW(setfsuid(0));
    SHOW(setfsgid(0));
    SHOW(setfsuid(-1));
    who("no more");
}

static void keeping(void) {
    SHOW(prctl(PR_SET_KEEPCAPS, 1));
    become(NOBODY);
    who("keeping");
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{.effective = 1 << CAP_CHOWN, .permitted = 1 << CAP_CHOWN}};
    SHOW(syscall(SYS_capset, &head, data));
    who("one capability");
    SHOW(chown("secret", 0, 0));
    SHOW(open("secret", O_RDONLY));
    data[0].permitted = 1 << CAP_KILL;
    SHOW(syscall(SYS_capset, &head, data));
    SHOW(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    SHOW(prctl(PR_CAPBSET_DROP, CAP_KILL));
    SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    SHOW(prctl(PR_GET_SECUREBITS));
}

static void fewer(void) {
    SHOW(prctl(PR_SET_SECUREBITS, 1 << 20));
    SHOW(prctl(PR_SET_SECUREBITS, 0x20));
    SHOW(prctl(PR_SET_KEEPCAPS, 1));
    SHOW(prctl(PR_GET_SECUREBITS));
    SHOW(prctl(PR_CAPBSET_DROP, CAP_CHOWN));
    SHOW(prctl(PR_CAPBSET_READ, CAP_CHOWN));
    SHOW(prctl(PR_CAPBSET_DROP, 64));
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{.permitted = 1 << CAP_SETUID | 1 << CAP_SETGID}};
    SHOW(syscall(SYS_capset, &head, data));
    who("fewer");
    SHOW(open("secret", O_RDONLY));
    SHOW(setuid(OTHER));
    data[0].effective = 1 << CAP_SETUID;
    SHOW(syscall(SYS_capset, &head, data));
    SHOW(setgroups(0, 0));
    SHOW(setuid(OTHER));
    who("gone");
    head.pid = getppid();
    SHOW(syscall(SYS_capset, &head, data));
    SHOW(syscall(SYS_capget, &head, data));
}

static void *another(void *arg) {
    (void)arg;
    SHOW(syscall(SYS_setresgid, OTHER, OTHER, OTHER));
    SHOW(syscall(SYS_setresuid, OTHER, OTHER, OTHER));
    who("thread");
    made("of-thread");
    fflush(stdout);
    if (!fork()) {
        who("child of the thread");
        fflush(stdout);
        _exit(0);
    }
    wait(0);
    return 0;
}

static void threads(void) {
    pthread_t thread;
    pthread_create(&thread, 0, another, 0);
    pthread_join(thread, 0);
    who("first");
    made("of-first");
}

static pthread_barrier_t both, changed;

static void *follows(void *arg) {
    (void)arg;
    pthread_barrier_wait(&both);
    pthread_barrier_wait(&changed);
    who("follows");
    made("of-follower");
    return 0;
}

// The C library changes all threads.
static void all_threads(void) {
    pthread_t thread;
    pthread_barrier_init(&both, 0, 2);
    pthread_barrier_init(&changed, 0, 2);
    pthread_create(&thread, 0, follows, 0);
    pthread_barrier_wait(&both);
    SHOW(setgid(NOBODY));
    SHOW(setuid(NOBODY));
    pthread_barrier_wait(&changed);
    pthread_join(thread, 0);
}

static void program(void) {
    become(NOBODY);
    execl("/proc/self/exe", "identity", "program", NULL);
    perror("exec");
}

static void halfway(void) {
    SHOW(seteuid(OTHER));
    execl("/proc/self/exe", "identity", "program", NULL);
    execl("./guest", "identity", "program", NULL);
    perror("exec");
}

static void *executes(void *arg) {
    SHOW(syscall(SYS_setresuid, OTHER, OTHER, OTHER));
    fflush(stdout);
    execl("/proc/self/exe", "identity", "program", NULL);
    return arg;
}

// It has the credentials of the thread, not of the process's first one.
static void program_of_a_thread(void) {
    pthread_t thread;
    pthread_create(&thread, 0, executes, 0);
    pthread_join(thread, 0);
}

static int pair[2];

static void speak(void) {
    become(OTHER);
    SHOW(send(pair[1], "x", 1, 0));
    struct ucred mine = {getpid(), 0, 0};
    char space[CMSG_SPACE(sizeof mine)] = {0};
    struct iovec data = {"y", 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){CMSG_LEN(sizeof mine), SOL_SOCKET, SCM_CREDENTIALS};
    memcpy(CMSG_DATA(head), &mine, sizeof mine);
    SHOW(sendmsg(pair[1], &message, 0));
    struct sockaddr_un at = {AF_UNIX, "server"};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    show("connect", connect(fd, (void *)&at, sizeof at));
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) printf("server %u %u\n", peer.uid, peer.gid);
}

static void heard(int fd) {
    char byte, space[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space};
    if (recvmsg(fd, &message, MSG_DONTWAIT) != 1) return show("nothing heard", -1);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    struct ucred sender;
    memcpy(&sender, CMSG_DATA(head), sizeof sender);
    printf("heard %c of %u %u\n", byte, sender.uid, sender.gid);
}

static void sockets(void) {
    struct sockaddr_un at = {AF_UNIX, "server"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0), on = 1;
    bind(listener, (void *)&at, sizeof at);
    listen(listener, 1);
    chmod("server", 0777);
    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair);
    setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
    in_child("speaking", speak);
    heard(pair[0]);
    heard(pair[0]);
    int fd = accept(listener, 0, 0);
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (!getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size)) printf("client %u %u\n", peer.uid, peer.gid);
    unlink("server");
}

static void wait_for_end(void) {
    become(NOBODY);
    fflush(stdout);
    char byte = 1;
    write(pair[1], &byte, 1);
    pause();
}

// One user reaches its own; root all.
static void reach(void) {
    char byte;
    pipe(pair);
    pid_t pid = fork();
    if (!pid) wait_for_end();
    read(pair[0], &byte, 1);
    fflush(stdout);
    pid_t other = fork();
    if (!other) {
        become(OTHER);
        SHOW(kill(pid, SIGKILL));
        SHOW(kill(pid, SIGCONT));
        SHOW(kill(-1, 0));
        fflush(stdout);
        _exit(0);
    }
    int status;
    waitpid(other, &status, 0);
    SHOW(kill(pid, SIGTERM));
    waitpid(pid, &status, 0);
    printf("ended by %d\n", WTERMSIG(status));
}

int main(int argc, char **argv) {
    (void)argv;
    setvbuf(stdout, 0, _IOFBF, 1 << 16);
    if (argc > 1) {
        printf("aux %lu %lu %lu %lu secure %lu\n", getauxval(AT_UID), getauxval(AT_EUID), getauxval(AT_GID),
               getauxval(AT_EGID), getauxval(AT_SECURE));
        who("program");
        return 0;
    }
    umask(022);
    chmod(".", 0777);
    put("secret", "x");
    chmod("secret", 0600);
    mkdir("locked", 0700);
    put("locked/in", "x");
    snprintf(queue, sizeof queue, "/identity-%d", getpid());
    SHOW(mq_open(queue, O_CREAT | O_RDWR, 0600, 0) < 0 ? -1 : 0);
    set = semget(IPC_PRIVATE, 1, 0600);
    who("start");
    in_child("for good", for_good);
    in_child("one by one", one_by_one);
    in_child("for a while", for_a_while);
    in_child("files", files_only);
    in_child("keeping", keeping);
    in_child("fewer", fewer);
    in_child("threads", threads);
    in_child("a program of a thread", program_of_a_thread);
    in_child("all threads", all_threads);
    in_child("program", program);
    in_child("halfway", halfway);
    in_child("sockets", sockets);
    in_child("reach", reach);
    SHOW(mq_unlink(queue));
    SHOW(semctl(set, 0, IPC_RMID));
    who("end");
}
