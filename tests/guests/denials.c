// Does what is denied, and what a guest can do for nobody to learn of it: the word says what, before or after.
#include "show.h"

static void secret(void) {
    open("/etc/shadow", O_RDONLY);
}

static void flood(const char *folder) {
    char name[512];
    for (int i = 0; i < 4000; i++) {
        snprintf(name, sizeof name, "%s/junk-%d", folder, i);
        open(name, O_WRONLY | O_CREAT, 0600);
    }
}

int main(int argc, char **argv) {
    if (!strcmp(argv[1], "flood")) {
        flood(argv[2]);
    } else if (!strcmp(argv[1], "fill") || !strcmp(argv[1], "block")) {
        // Nothing more has room in the pipe; whoever writes there gets an error, or waits.
        static char page[4096];
        fcntl(2, F_SETFL, O_NONBLOCK);
        while (write(2, page, sizeof page) > 0) continue;
        while (write(2, "x", 1) == 1) continue;
        if (argv[1][0] == 'b') fcntl(2, F_SETFL, 0);
    }
    secret();
    if (!strcmp(argv[1], "truncate")) {
        ftruncate(2, 0);
    }
    puts("done");
    return 0;
}
