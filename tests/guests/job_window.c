// Says the size of its terminal now and whenever it is told that it has changed; a line ends it.
#include "show.h"
#include <signal.h>
#include <sys/ioctl.h>

static void say(int unused) {
    struct winsize size;
    char text[64];
    ioctl(0, TIOCGWINSZ, &size);
    write(1, text, snprintf(text, sizeof text, "%d %d\n", size.ws_row, size.ws_col));
}

int main(void) {
    char c;
    signal(SIGWINCH, say);
    say(0);
    return read(0, &c, 1) == 1 ? 0 : 1;
}
