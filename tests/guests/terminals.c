// A pseudo-terminal that the program makes itself and takes as its controlling terminal: what the keys, the
// size, the end of either side and the background do. Ids are shown only by what they are equal to.
#include "show.h"
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

static int master;
static char name[64];
static volatile sig_atomic_t caught, code;

static void note(int signal, siginfo_t *info, void *context) {
    (void)context;
    caught = signal;
    code = info->si_code;
}

static void note_once(int number) {
    caught = number;
    signal(number, SIG_IGN);
}

static void catch(int signal) {
    struct sigaction action = {.sa_sigaction = note, .sa_flags = SA_SIGINFO};
    sigaction(signal, &action, NULL);
}

// Waits for a signal that is blocked.
static void await(const char *what, int signal) {
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, signal);
    printf("%s: %d", what, sigwaitinfo(&set, &info) == signal);
    printf(" from the kernel %d\n", info.si_code == SI_KERNEL);
    fflush(stdout);
}

static void block(void) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < 8; i++)
        sigaddset(&set, (int[]){SIGINT, SIGQUIT, SIGTSTP, SIGWINCH, SIGHUP, SIGCONT, SIGTTIN, SIGTTOU}[i]);
    sigprocmask(SIG_SETMASK, &set, NULL);
}

static void new_terminal(void) {
    master = posix_openpt(O_RDWR | O_NOCTTY);
    grantpt(master);
    unlockpt(master);
    ptsname_r(master, name, sizeof name);
}

static void keys(const char *keys) {
    write(master, keys, strlen(keys));
}

static int status_of(pid_t pid, int options) {
    int status = -1;
    waitpid(pid, &status, options);
    return status;
}

static void shown_end(const char *what, pid_t pid) {
    int status = status_of(pid, 0);
    if (WIFEXITED(status)) printf("%s: exited %d\n", what, WEXITSTATUS(status));
    else printf("%s: killed by %d\n", what, WTERMSIG(status));
    fflush(stdout);
}

// A process that leads a session; `work` ends it.
static pid_t session(void (*work)(void)) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        work();
        fflush(stdout);
        _exit(0);
    }
    return pid;
}

static void taking(void) {
    int group = 0, id = 0;
    block();
    SHOW(open("/dev/tty", O_RDWR));
    int slave = open(name, O_RDWR | O_NOCTTY);
    printf("not taken: %d\n", open("/dev/tty", O_RDWR) < 0);
    SHOW(ioctl(slave, TIOCGPGRP, &group));
    SHOW(ioctl(slave, TIOCGSID, &id));
    SHOW(ioctl(slave, TIOCNOTTY));
    SHOW(tcsetpgrp(slave, getpgrp()));
    SHOW(ioctl(slave, TIOCSCTTY, 0));
    SHOW(ioctl(slave, TIOCSCTTY, 0));
    SHOW(ioctl(slave, TIOCGPGRP, &group));
    SHOW(ioctl(slave, TIOCGSID, &id));
    printf("foreground: %d, session: %d\n", group == getpgrp(), id == getsid(0));
    SHOW(ioctl(master, TIOCGPGRP, &group));
    SHOW(ioctl(master, TIOCGSID, &id));
    printf("by the master: %d, %d\n", group == getpgrp(), id == getsid(0));
    SHOW(tcsetpgrp(slave, -1));
    SHOW(tcsetpgrp(slave, 1));
    SHOW(tcsetpgrp(slave, getpgrp()));
    SHOW(ioctl(slave, TIOCGPGRP, 0));
    SHOW(ioctl(slave, TIOCSPGRP, 0));
    keys("\x03");
    await("interrupt", SIGINT);
    keys("\x1c");
    await("quit", SIGQUIT);
    keys("\x1a");
    await("stop", SIGTSTP);
    struct winsize size = {30, 100, 0, 0};
    SHOW(ioctl(master, TIOCSWINSZ, &size));
    await("size", SIGWINCH);
    int again = open("/dev/tty", O_RDWR);
    printf("own name: %d\n", again >= 0);
    write(again, "words\n", 6);
    char text[64] = {0};
    // What the keys left in the echo comes first.
    int n = 0;
    while (!strstr(text, "words")) n += read(master, text + n, sizeof text - 1 - n);
    puts("written");
    // Another session cannot have it.
    fflush(stdout);
    pid_t other = fork();
    if (other == 0) {
        setsid();
        SHOW(ioctl(slave, TIOCSCTTY, 0));
        int opened = open(name, O_RDWR);
        printf("opened: %d, taken: %d\n", opened >= 0, open("/dev/tty", O_RDWR) >= 0);
        SHOW(ioctl(slave, TIOCGPGRP, &group));
        fflush(stdout);
        _exit(0);
    }
    status_of(other, 0);
    SHOW(ioctl(slave, TIOCNOTTY));
    // The leader's giving it up hangs up its group.
    await("given up", SIGHUP);
    await("given up", SIGCONT);
    printf("gone: %d\n", open("/dev/tty", O_RDWR) < 0);
    // By opening.
    close(slave);
    slave = open(name, O_RDWR);
    printf("taken by opening: %d\n", open("/dev/tty", O_RDWR) >= 0);
    SHOW(ioctl(slave, TIOCGSID, &id) == 0 && id == getsid(0));
}

static void only_read(void) {
    int slave = open(name, O_WRONLY);
    printf("taken by a descriptor to write to: %d\n", open("/dev/tty", O_RDWR) >= 0);
    close(slave);
    slave = open(name, O_RDONLY);
    printf("taken by one to read from: %d\n", open("/dev/tty", O_RDWR) >= 0);
}

static void by_no_leader(void) {
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        int slave = open(name, O_RDWR);
        printf("taken by a follower: %d\n", open("/dev/tty", O_RDWR) >= 0);
        SHOW(ioctl(slave, TIOCSCTTY, 0));
        fflush(stdout);
        _exit(0);
    }
    status_of(pid, 0);
}

// The keys' default effects on a group in the foreground, with a leader that is none of it.
static void defaults(void) {
    int slave = open(name, O_RDWR), status;
    signal(SIGTTOU, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    const char *each[] = {"\x03", "\x1c"};
    for (int i = 0; i < 2; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            setpgid(0, 0);
            tcsetpgrp(slave, getpgrp());
            keys(each[i]);
            for (;;) pause();
        }
        status = status_of(pid, 0);
        printf("key %d: killed by %d\n", i, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        tcsetpgrp(slave, getpgrp());
    }
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        tcsetpgrp(slave, getpgrp());
        signal(SIGTTOU, SIG_DFL);
        char line[16] = {0};
        int got = read(slave, line, sizeof line);
        printf("read: %d %s", got, line);
        fflush(stdout);
        _exit(7);
    }
    // Stopped while it reads, with what was typed left for others.
    while (tcgetpgrp(slave) != pid) usleep(1000);
    keys("\x1a");
    status = status_of(pid, WUNTRACED);
    printf("stopped: %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
    tcsetpgrp(slave, getpgrp());
    keys("mine\n");
    char line[16] = {0};
    printf("the leader reads: %zd ", read(slave, line, sizeof line));
    printf("%s", line);
    fflush(stdout);
    // In the background its read stops it again.
    kill(-pid, SIGCONT);
    status = status_of(pid, WUNTRACED);
    printf("stopped: %d by %d\n", WIFSTOPPED(status), WSTOPSIG(status));
    tcsetpgrp(slave, pid);
    keys("yours\n");
    kill(-pid, SIGCONT);
    shown_end("reader", pid);
    tcsetpgrp(slave, getpgrp());
}

// What a process in the background may do.
static void background(void) {
    int slave = open(name, O_RDWR), status;
    signal(SIGHUP, SIG_IGN);
    for (int i = 0; i < 5; i++) {
        fflush(stdout);
        pid_t pid = fork();
        if (pid == 0) {
            struct termios modes;
            char c;
            setpgid(0, 0);
            tcgetattr(slave, &modes);
            signal(SIGHUP, SIG_DFL);
            if (i == 3) signal(SIGTTIN, SIG_IGN);
            if (i == 4) signal(SIGTTOU, SIG_IGN);
            if (i == 0 || i == 3) SHOW(read(slave, &c, 1));
            if (i == 1 || i == 4) SHOW(tcsetattr(slave, TCSANOW, &modes));
            if (i == 2) SHOW(tcsetpgrp(slave, getpgrp()));
            fflush(stdout);
            _exit(3);
        }
        status = status_of(pid, WUNTRACED);
        int signal = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;
        printf("background %d: stopped by %d\n", i, signal);
        if (!WIFSTOPPED(status)) continue;
        kill(pid, SIGKILL);
        status_of(pid, 0);
    }
    // A handler runs, and the call is made again if sigaction(2) was told SA_RESTART.
    catch(SIGTTOU);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        SHOW(tcsetpgrp(slave, getpgrp()));
        printf("caught: %d %d\n", caught == SIGTTOU, code == SI_KERNEL);
        caught = 0;
        signal(SIGTTOU, note_once);
        SHOW(tcsetpgrp(slave, getpgrp()));
        printf("caught: %d\n", caught == SIGTTOU);
        fflush(stdout);
        _exit(0);
    }
    status_of(pid, 0);
    signal(SIGTTOU, SIG_IGN);
    tcsetpgrp(slave, getpgrp());
    signal(SIGTTOU, SIG_DFL);
    // Its group is orphaned once this one is not of the session: then it is told.
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        pid_t parent = getpid();
        if (fork() == 0) {
            char c;
            while (getppid() == parent) usleep(1000);
            SHOW(read(slave, &c, 1));
            SHOW(tcsetpgrp(slave, getpgrp()));
            fflush(stdout);
            write(master, "o", 1);
            _exit(0);
        }
        _exit(0);
    }
    status_of(pid, 0);
    char c;
    struct termios modes;
    tcgetattr(slave, &modes);
    modes.c_lflag &= ~ICANON;
    tcsetattr(slave, TCSANOW, &modes);
    printf("read: %zd\n", read(slave, &c, 1));
}

// The master's end is told to the leader and to the foreground; what is open reads as ended.
static void hung_up(void) {
    int slave = open(name, O_RDWR);
    char c;
    block();
    close(master);
    await("hung up", SIGHUP);
    await("hung up", SIGCONT);
    SHOW(read(slave, &c, 1));
    SHOW(write(slave, "x", 1));
    struct termios modes;
    SHOW(tcgetattr(slave, &modes));
    printf("gone: %d\n", open("/dev/tty", O_RDWR) < 0);
}

static int told[2], over[2];

// The leader's end is told to the foreground, and the terminal is nobody's.
static void leader_ends(void) {
    int slave = open(name, O_RDWR);
    fflush(stdout);
    if (fork() == 0) {
        block();
        write(told[1], "r", 1);
        await("leader ended", SIGHUP);
        // It is gone a moment later, and open as it was.
        while (open("/dev/tty", O_RDWR | O_CLOEXEC) >= 0) usleep(1000);
        struct termios modes;
        SHOW(tcgetattr(slave, &modes));
        fflush(stdout);
        _exit(0);
    }
    char c;
    read(told[0], &c, 1);
}

int main(void) {
    char c;
    pipe(told);
    pipe(over);
    new_terminal();
    shown_end("taking", session(taking));
    close(master);
    new_terminal();
    shown_end("only read", session(only_read));
    shown_end("no leader", session(by_no_leader));
    close(master);
    new_terminal();
    shown_end("defaults", session(defaults));
    close(master);
    new_terminal();
    shown_end("background", session(background));
    close(master);
    new_terminal();
    pid_t pid = session(hung_up);
    close(master);
    shown_end("hung up", pid);
    new_terminal();
    pid = session(leader_ends);
    close(over[1]);
    // Until the one that it leaves has ended.
    while (read(over[0], &c, 1) > 0) {
    }
    shown_end("leader", pid);
    close(master);
    puts("end");
}
