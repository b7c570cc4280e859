// The attacks of a child that is not its guest's emulator any more, by name. Each prints what it got.
#include "hostile_native.h"

// Starts a process that ends, and keeps the worker of its slot waiting: it is told to go by the turn word, which
// says at once again that it is to wait. Whether the worker stays.
static int held_back(Slot s, Slot *slot, long *number) {
    Line line = announce(s);
    long pid = bare_fork();
    if (!pid) { begin(line); die(0); }
    if (request(s, OWN(PROCESS_STARTED), pid, 0, 0) != pid) return 0;
    *number = pid;
    *slot = slot_of(line.channel, 0);
    volatile u32 *turn = slot->turn, *worker_sleeps = turn + 128 / 4;
    int gone = 0;
    for (int i = 0; i < 2000000 && gone < 200000; i++) {
        if (*turn == CLOSED) { *turn = REPLY; wake(turn); }
        if (i % 1000 == 0 && host(SYS_wait4, pid, 0, 1, 0) == pid) gone = 1;
        if (gone) gone++;
    }
    *turn = REPLY;
    pause_ms(20);
    return *worker_sleeps;
}

// Slots of a process that has ended are not served, whatever its parent, which has the same memory, writes there.
static void ended_slot(void) {
    Slot s = own(), other;
    long pid = 0;
    for (int i = 0; i < 20 && !held_back(s, &other, &pid); i++);
    say("ended", pid);
    listen_for_word();
    // "Send signal 9 once more", to the thread of that number.
    char info[128] = {9};
    u64 args[6] = {pid, 9};
    u32 len[6] = {ABSENT, ABSENT, sizeof info, ABSENT, ABSENT, ABSENT};
    memcpy(data_of(other), info, sizeof info);
    put_request(other, OWN(SEND_AGAIN), args, len);
    say("served", ask(other, 500));
}

// The same process is told of again and again.
static void registered_again(void) {
    Slot s = own();
    Line line = announce(s);
    long pid = bare_fork();
    if (!pid) { begin(line); pause_ms(600000); die(0); }
    int taken = request(s, OWN(PROCESS_STARTED), pid, 0, 0) == pid;
    for (int i = 0; i < 62; i++) {
        if (!announce(s).channel) continue;
        taken += request(s, OWN(PROCESS_STARTED), pid, 0, 0) == pid;
    }
    say("taken", taken);
}

// A process that does nothing but be there.
static void idle(void) { for (;;) pause_ms(600000); }

// How many of these children do not end, within some seconds for each.
static int still_there(const long *pids, int n) {
    int alive = 0;
    for (int i = 0; i < n && alive < 3; i++) {
        int ended = 0;
        for (int wait = 0; wait < 3000 && !ended; wait++) {
            ended = host(SYS_wait4, pids[i], 0, 1, 0) != 0;
            if (!ended) pause_ms(1);
        }
        alive += !ended;
    }
    return alive;
}

// Processes that the supervisor is not told of.
static void untold(void) {
    long pids[40];
    int made = 0;
    for (int i = 0; i < 40; i++) {
        long pid = bare_fork();
        if (!pid) idle();
        if (pid > 0) pids[made++] = pid;
    }
    say("made", made);
    say("alive", still_there(pids, made));
}

// Each is announced, and said to have failed.
static void denied(void) {
    Slot s = own();
    int made = 0;
    long pids[40];
    for (int i = 0; i < 40; i++) {
        Line line = announce(s);
        if (!line.channel) continue;
        host(SYS_close, line.memory), host(SYS_close, line.control);
        host(SYS_munmap, line.channel, (u64)SLOTS * SLOT);
        long pid = bare_fork();
        if (!pid) idle();
        if (pid > 0) pids[made++] = pid;
        request(s, OWN(PROCESS_STARTED), -EAGAIN, 0, 0);
    }
    say("alive", still_there(pids, made));
}

// A process that is known announces another, makes it, and ends without a word; whoever is left is this one's.
static void orphaned(void) {
    Slot s = own();
    host(SYS_prctl, 36 /* PR_SET_CHILD_SUBREAPER */, 1);
    for (int i = 0; i < 10; i++) {
        Line line = announce(s);
        long pid = bare_fork();
        if (!pid) {
            begin(line);
            announce(own());
            if (!bare_fork()) idle();
            die(0);
        }
        if (request(s, OWN(PROCESS_STARTED), pid, 0, 0) != pid) say_text("not started\n");
        reap(pid);
    }
    // All of them end: then there is no child any more.
    long left = 0;
    for (int wait = 0; wait < 5000 && left != -ECHILD; wait++) {
        left = host(SYS_wait4, -1, 0, 1, 0);
        if (!left) pause_ms(1);
    }
    say_text(left == -ECHILD ? "nobody is left\n" : "somebody is left\n");
}

// Forks to one announcement.
static void twice(void) {
    Slot s = own();
    int made = 0;
    announce(s);
    for (int i = 0; i < 3; i++) {
        long pid = bare_fork();
        if (!pid) idle();
        made += pid > 0;
    }
    say("made", made);
}

// Makes a thread that waits for good, with what the C library asks of the kernel; its number.
static long bare_thread(char *stack_end) {
    static u32 never, numbers[2];
    u64 flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS
        | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
    long tid;
    register u32 *ended __asm__("r10") = &numbers[1], *tls __asm__("r8") = numbers;
    __asm__ volatile("syscall; test %%rax, %%rax; jnz 1f\n"
        "2: mov %5, %%rdi; xor %%esi, %%esi; xor %%edx, %%edx; xor %%r10d, %%r10d; mov $202, %%eax; syscall; jmp 2b\n1:"
        : "=a"(tid) : "a"(SYS_clone), "D"(flags), "S"(stack_end), "d"(numbers), "r"(&never), "r"(ended), "r"(tls)
        : "rcx", "r11", "memory");
    return tid;
}

// Threads that the supervisor is not told of: as many as there can be, or 1,000.
static void threads(void) {
    static char stack[64] __attribute__((aligned(16)));
    int made = 0;
    while (made < 1000 && bare_thread(stack + sizeof stack) > 0) made++;
    say("threads", made);
    if (made == 1000) pause_ms(600000);
}

static u64 state;
static u64 below(u64 n) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state % n;
}

// Requests about threads and processes in any order, with numbers of any kind. The name ends with the seed.
static void sequence(const char *digits) {
    for (state = 1; *digits; digits++) state = state * 10 + *digits - '0';
    Slot s = own();
    long last = 0, me = host(SYS_gettid);
    int slow = 0, steps = 2000;
    for (int i = 0; i < steps; i++) {
        long numbers[] = {0, 1, -1, -EAGAIN, me, last, (long)below(40000), (long)below(~0ul), 0x7fffffff};
        long number = numbers[below(9)];
        u64 args[6] = {number, below(2) ? 0 : below(~0ul)};
        u32 len[6] = {ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT};
        u32 nr = 0;
        char info[128] = {0};
        switch (below(9)) {
        case 0: {
            Line line = announce(s);
            if (!line.channel) break;
            host(SYS_close, line.memory), host(SYS_close, line.control);
            host(SYS_munmap, line.channel, (u64)SLOTS * SLOT);
            break;
        }
        case 1: {
            long pid = bare_fork();
            if (!pid) idle();
            if (pid > 0) last = pid;
            break;
        }
        case 2: nr = OWN(PROCESS_STARTED); break;
        case 3: nr = OWN(NEW_THREAD); break;
        case 4: nr = OWN(KICK_SIBLINGS); args[0] = args[1] = 0; break;
        case 5: nr = OWN(HELLO); break;
        case 6: {
            // Not those that cannot be held off, to itself.
            u64 signal = 1 + below(64);
            if (signal == SIGKILL || signal == SIGSTOP) break;
            nr = OWN(SEND_AGAIN), args[1] = signal, len[2] = sizeof info;
            memcpy(data_of(s), info, sizeof info);
            break;
        }
        case 7: host(SYS_sendto, CONTROL, &args, below(48), MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0); break;
        case 8: {
            // A slot that is nobody's.
            Slot other = slot_of(channel, 1 + below(SLOTS - 1));
            *other.turn = below(5);
            wake(other.turn);
            break;
        }
        }
        if (!nr) continue;
        put_request(s, nr, args, len);
        slow += !ask(s, 1000);
    }
    say("steps", steps);
    say("slow", slow);
}

// How far a process has come with its script: a word of a slot that nobody uses.
static volatile u32 *progress_of(char *channel) { return (volatile u32 *)data_of(slot_of(channel, SLOTS - 1)); }

// The requests of a script, one after the other, on the slot of this process. One that waits is interrupted.
static void send_all(const char *script, u32 at, u32 n) {
    Slot s = own();
    for (u32 len; at + 84 <= n; at += 84 + len) {
        len = *(u32 *)(script + at);
        *progress_of(channel) = at + 84 + len;
        memcpy((char *)(s.turn + 2), script + at + 4, 80);
        memcpy(data_of(s), script + at + 84, len);
        if (ask(s, 200) || *s.turn != REQUEST) continue;
        u32 number = 0;
        int waited = 0;
        for (; waited < 20000 && *s.turn == REQUEST; waited++) {
            s.turn[192 / 4] = 1;
            host(SYS_sendto, CONTROL, &number, 4, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
            pause_ms(1);
        }
        if (waited == 20000) die(9);
    }
    die(0);
}

// Changes a word or a byte of what a process is sending, as its threads could: of the numbers and lengths, of the data,
// now and then of the turn.
static void rewrite(Slot s) {
    volatile u32 *words = s.turn + 2;
    switch (below(4000)) {
    case 0: words[0] ^= 1u << below(10); break;
    case 1: words[14 + below(6)] = below(2) ? below(5000) : ABSENT; break;
    case 2: *s.turn = below(5), wake(s.turn); break;
    default: data_of(s)[below(2) ? below(64) : below(8192)] = below(256);
    }
}

// One process for a script from there on, whose requests are rewritten. How far it came.
static u32 forge(Slot s, const char *script, u32 at, u32 n, long *hung) {
    Line line = announce(s);
    if (!line.channel) return at;
    *progress_of(line.channel) = at;
    long pid = bare_fork();
    if (!pid && begin(line)) send_all(script, at, n);
    if (!pid) die(0);
    host(SYS_close, line.memory), host(SYS_close, line.control);
    request(s, OWN(PROCESS_STARTED), pid, 0, 0);
    int status = 0;
    while (!host(SYS_wait4, pid, &status, 1, 0)) rewrite(slot_of(line.channel, 0));
    *hung += status == 9 << 8;
    at = *progress_of(line.channel);
    host(SYS_munmap, line.channel, (u64)SLOTS * SLOT);
    return at;
}

// Processes that send the requests of a file while this one rewrites what they send. The file is pieces with their
// length in front; a piece is requests with the length of their data in front. How many were sent to the end, and how
// many processes got no answer.
static void forged(const char *path) {
    Slot s = own();
    enum { MOST = 200000 };
    long fd = request_with(s, SYS_open, 1, 0, 0, 0, path, strlen(path) + 1), pieces = 0, hung = 0;
    char *script = (char *)host(SYS_mmap, 0, MOST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    state = 88172645463325252ul;
    for (u64 offset = 0;; pieces++) {
        u64 args[6] = {fd, 1, MOST, offset};
        u32 len[6] = {ABSENT, MOST, ABSENT, ABSENT, ABSENT, ABSENT};
        put_request(s, SYS_pread64, args, len);
        if (!ask(s, 60000)) break;
        long got = *(volatile long *)(s.turn + 2);
        u32 n = *(volatile u32 *)data_of(s);
        if (got < 4 || n + 4 > got) break;
        memcpy(script, data_of(s) + 4, n);
        offset += 4 + n;
        // What does not fit the table ends the process: another goes on behind it.
        for (u32 at = 0; at + 84 <= n;) at = forge(s, script, at, n, &hung);
    }
    say("pieces", pieces);
    say("hung", hung);
}

void attack(const char *name) {
    if (!strcmp(name, "ended_slot")) ended_slot();
    else if (!strcmp(name, "registered_again")) registered_again();
    else if (!strcmp(name, "untold")) untold();
    else if (!strcmp(name, "denied")) denied();
    else if (!strcmp(name, "orphaned")) orphaned();
    else if (!strcmp(name, "twice")) twice();
    else if (!strcmp(name, "threads")) threads();
    else if (name[0] == '#') sequence(name + 1);
    else if (name[0] == '/') forged(name);
    else say_text("no such attack\n");
}
