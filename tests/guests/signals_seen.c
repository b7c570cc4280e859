// What one process can see of another's signals: /proc/PID/status.
#include "show.h"
#include <signal.h>
#include <sys/wait.h>

static void none(int signal) { (void)signal; }

int main(void) {
    int ready[2], go[2];
    char b, name[64], line[256];
    sigset_t set;
    if (pipe(ready) || pipe(go)) return 1;
    int child = fork();
    if (!child) {
        signal(SIGUSR1, SIG_IGN);
        signal(SIGUSR2, none);
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGHUP);
        sigprocmask(SIG_SETMASK, &set, 0);
        raise(SIGTERM);
        if (write(ready[1], "x", 1) != 1) _exit(1);
        _exit(read(go[0], &b, 1) != 1);
    }
    SHOW(read(ready[0], &b, 1));
    sprintf(name, "/proc/%d/status", child);
    FILE *status = fopen(name, "r");
    while (status && fgets(line, sizeof line, status))
        if (!strncmp(line, "Shd", 3) || (!strncmp(line, "Sig", 3) && line[3] != 'Q')) fputs(line, stdout);
    SHOW(write(go[1], "x", 1));
    int how;
    SHOW(waitpid(child, &how, 0) == child);
    SHOW(how);
    return 0;
}
