// Runs a program in a sandbox that refuses calls, as a kernel without them or a container engine does. Arguments: the
// errno, then the calls, each as NUMBER or NUMBER/ARGUMENT/MASK (if any of these bits is set in the argument) or
// NUMBER/ARGUMENT/=VALUE (if the argument is that); `--`; the program.
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct sock_filter filter[1024];
static unsigned short length;

static void add(unsigned short code, unsigned k, unsigned char yes, unsigned char no) {
    filter[length++] = (struct sock_filter)BPF_JUMP(code, k, yes, no);
}

static void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, offset, 0, 0); }

int main(int argc, char **argv) {
    unsigned refuse = SECCOMP_RET_ERRNO | atoi(argv[1]);
    int at = 2;
    for (; strcmp(argv[at], "--"); at++) {
        char *rest;
        unsigned number = strtoul(argv[at], &rest, 0), argument = 0, value = 0;
        int equals = 0, tested = *rest == '/';
        if (tested) {
            argument = strtoul(rest + 1, &rest, 0);
            equals = rest[1] == '=';
            value = strtoul(rest + 1 + equals, NULL, 0);
        }
        load(offsetof(struct seccomp_data, nr));
        add(BPF_JMP | BPF_JEQ | BPF_K, number, 0, tested ? 3 : 1);
        if (tested) {
            load(offsetof(struct seccomp_data, args) + 8 * argument);
            add(equals ? BPF_JMP | BPF_JEQ | BPF_K : BPF_JMP | BPF_JSET | BPF_K, value, 0, 1);
        }
        add(BPF_RET | BPF_K, refuse, 0, 0);
    }
    add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    struct sock_fprog program = {length, filter};
    // As an engine does that has the right to: what it runs may still have its privileges raised.
    if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) {
        prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program)) return 77;
    }
    execv(argv[at + 1], argv + at + 1);
    return 78;
}
