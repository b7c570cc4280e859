// The machine of the instruction tests. It runs every case of a file (tests/instructions/machine.rs writes it): loads the
// whole register state, jumps to the case's code, which jumps to `case_done`, and writes what has become of the registers, the
// memory window and, if the code raised a signal, of that. Without the C library, since the FS base and all of the state are
// the cases'.
//
// The window is one shared page at two addresses: a low one, which any 32-bit displacement reaches, and one near the code.
#include <stdint.h>
#include <asm/sigcontext.h>
#include <asm/siginfo.h>
#include <asm/signal.h>
#include <asm/ucontext.h>
#include <asm/unistd.h>
#include <linux/mman.h>
#include <asm/mman.h>

typedef uint64_t u64;
typedef uint32_t u32;

#define PAGE 4096
#define STATE_MASK 0xe7
#define XSTATE_BV 512
#define LINE 64
#define LINES (PAGE / LINE)

struct header { u64 cases, code_at, code_offset, code_size, near_at, low_at, environments_offset, environments, tick; };
struct environment { unsigned char state[PAGE], window[PAGE]; };
struct one_case { u64 gpr[16], flags, entry, fs, gs, environment, mode; };
// How a case is run: once; several times, of which the last counts; one instruction at a time.
enum { COLD, WARM, STEPPED };
struct result {
    u32 number, signal;
    u64 gpr[16], flags, fs, gs, rip, code, addr, trapno, error, cr2, steps, seen, lines;
};

// What the assembly below loads and stores.
u64 in_gpr[16], in_flags, in_entry, in_fs, in_gs, host_rsp;
u64 out_gpr[16], out_flags, out_fs, out_gs;
void *in_state;
static unsigned char out_state[PAGE] __attribute__((aligned(64)));
unsigned char *const out_state_at = out_state;
static struct result result;
static int stepped;
static u64 code_at, code_end;
// Ticks of the clock since the case began.
static volatile u32 ticks;
static unsigned char buffer[1 << 20];
static u64 filled;

void run_case(void);
void case_done(void);
void signal_return(void);

__asm__(".text\n.globl _start\n_start: xorl %ebp, %ebp\nmovq %rsp, %rdi\nandq $-16, %rsp\ncall start\n"
        "run_case: push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
        "movq %rsp, host_rsp(%rip)\n"
        "movq in_state(%rip), %rcx\nmovl $0xe7, %eax\nxorl %edx, %edx\nxrstor64 (%rcx)\n"
        "movq in_fs(%rip), %rax\nwrfsbase %rax\nmovq in_gs(%rip), %rax\nwrgsbase %rax\n"
        "pushq in_flags(%rip)\npopfq\n"
        "movq in_gpr(%rip), %rax\nmovq in_gpr+8(%rip), %rcx\nmovq in_gpr+16(%rip), %rdx\nmovq in_gpr+24(%rip), %rbx\n"
        "movq in_gpr+40(%rip), %rbp\nmovq in_gpr+48(%rip), %rsi\nmovq in_gpr+56(%rip), %rdi\n"
        "movq in_gpr+64(%rip), %r8\nmovq in_gpr+72(%rip), %r9\nmovq in_gpr+80(%rip), %r10\nmovq in_gpr+88(%rip), %r11\n"
        "movq in_gpr+96(%rip), %r12\nmovq in_gpr+104(%rip), %r13\nmovq in_gpr+112(%rip), %r14\nmovq in_gpr+120(%rip), %r15\n"
        "movq in_gpr+32(%rip), %rsp\n"
        "jmp *in_entry(%rip)\n"
        ".section .done, \"ax\"\n.globl case_done\ncase_done:\n"
        "movq %rax, out_gpr(%rip)\nmovq %rcx, out_gpr+8(%rip)\nmovq %rdx, out_gpr+16(%rip)\nmovq %rbx, out_gpr+24(%rip)\n"
        "movq %rsp, out_gpr+32(%rip)\nmovq %rbp, out_gpr+40(%rip)\nmovq %rsi, out_gpr+48(%rip)\nmovq %rdi, out_gpr+56(%rip)\n"
        "movq %r8, out_gpr+64(%rip)\nmovq %r9, out_gpr+72(%rip)\nmovq %r10, out_gpr+80(%rip)\nmovq %r11, out_gpr+88(%rip)\n"
        "movq %r12, out_gpr+96(%rip)\nmovq %r13, out_gpr+104(%rip)\nmovq %r14, out_gpr+112(%rip)\nmovq %r15, out_gpr+120(%rip)\n"
        "movq host_rsp(%rip), %rsp\npushfq\npopq out_flags(%rip)\npushq $0x202\npopfq\n"
        "rdfsbase %rax\nmovq %rax, out_fs(%rip)\nrdgsbase %rax\nmovq %rax, out_gs(%rip)\n"
        "movq out_state_at(%rip), %rcx\nmovl $0xe7, %eax\nxorl %edx, %edx\nxsave64 (%rcx)\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\nret\n"
        ".text\nsignal_return: movl $15, %eax\nsyscall\n");

static long call(long n, u64 a, u64 b, u64 c, u64 d, u64 e, u64 f) {
    register u64 r10 __asm__("r10") = d;
    register u64 r8 __asm__("r8") = e;
    register u64 r9 __asm__("r9") = f;
    __asm__ volatile("syscall" : "+a"(n) : "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
    return n;
}

static void end(int status) {
    for (;;) call(__NR_exit_group, status, 0, 0, 0, 0, 0);
}

static long check(long value) {
    if (value < 0 && value > -4096) end(100);
    return value;
}

static void copy(void *to, const void *from, u64 n) {
    __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
}

static void flush(void) {
    for (u64 at = 0; at < filled;) at += check(call(__NR_write, 1, (u64)buffer + at, filled - at, 0, 0, 0));
    filled = 0;
}

static void out(const void *bytes, u64 n) {
    if (filled + n > sizeof buffer) flush();
    copy(buffer + filled, bytes, n);
    filled += n;
}

// Remembers the signal and goes on behind the case, with all of the state as it is.
static void handler(int signal, siginfo_t *info, void *context) {
    struct ucontext *uc = context;
    struct sigcontext *at = &uc->uc_mcontext;
    if (signal == SIGALRM && ++ticks < 4) return;
    if (stepped && signal == SIGTRAP && info->si_code == TRAP_TRACE) {
        u64 seen = result.seen;
        const u64 *registers = (const u64 *)at;
        // All general registers and the pc.
        for (u32 i = 0; i < 17; i++) seen = (seen ^ registers[i]) * 0x100000001b3;
        result.steps++;
        if (at->rip == (u64)case_done || result.steps == 512) {
            stepped = 0;
            at->eflags &= ~0x100ul;
            at->rip = (u64)case_done;
        } else if (at->rip >= code_at && at->rip < code_end) {
            result.seen = seen;
        }
        return;
    }
    at->eflags &= ~0x100ul;
    result.signal = signal;
    result.rip = at->rip;
    result.code = info->si_code;
    result.addr = (u64)info->si_addr;
    result.trapno = at->trapno;
    result.error = at->err;
    result.cr2 = at->trapno == 14 && signal == SIGSEGV ? at->cr2 : 0;
    at->rip = (u64)case_done;
}

static void handle_signals(void) {
    static unsigned char stack[1 << 16];
    struct { void *at; int flags; u64 size; } alternate = {stack, 0, sizeof stack};
    check(call(__NR_sigaltstack, (u64)&alternate, 0, 0, 0, 0, 0));
    struct { void *handler; u64 flags; void *restorer; u64 mask; } action = {handler, SA_SIGINFO | SA_ONSTACK | SA_RESTORER, signal_return, 0};
    int signals[] = {SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV, SIGALRM};
    for (u32 i = 0; i < 6; i++) check(call(__NR_rt_sigaction, signals[i], (u64)&action, 0, 8, 0, 0));
}

static u64 *map_window(const struct header *h) {
    static const char name[] = "window";
    long fd = check(call(__NR_memfd_create, (u64)name, 0, 0, 0, 0, 0));
    check(call(__NR_ftruncate, fd, PAGE, 0, 0, 0, 0));
    u64 at[] = {h->low_at, h->near_at};
    for (u32 i = 0; i < 2; i++)
        if (check(call(__NR_mmap, at[i], PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0)) != (long)at[i]) end(101);
    return (u64 *)h->low_at;
}

// The lines of `now` that differ from `before`.
static u32 changed(const void *now, const void *before, u32 first, u32 from, u32 *indices) {
    const u64 *a = now, *b = before;
    u32 n = 0;
    for (u32 line = from; line < LINES; line++)
        for (u32 i = 0; i < LINE / 8; i++)
            if (a[line * (LINE / 8) + i] != b[line * (LINE / 8) + i]) {
                indices[n++] = first + line;
                break;
            }
    return n;
}

static void run_once(u32 number, const struct one_case *c, const struct environment *e, void *window) {
    copy(window, e->window, PAGE);
    copy(out_state, e->state, PAGE);
    copy(in_gpr, c->gpr, sizeof in_gpr);
    in_flags = c->flags;
    in_entry = c->entry;
    in_fs = c->fs;
    in_gs = c->gs;
    in_state = (void *)e->state;
    ticks = 0;
    stepped = c->mode == STEPPED;
    if (stepped) in_flags |= 0x100;
    result = (struct result){.number = number};
    run_case();
    stepped = 0;
    copy(result.gpr, out_gpr, sizeof out_gpr);
    result.flags = out_flags;
    result.fs = out_fs;
    result.gs = out_gs;
}

static void run(u32 number, const struct one_case *c, const struct environment *e, void *window) {
    for (u32 i = 0; i < (c->mode == WARM ? 3 : 1); i++) run_once(number, c, e, window);
    u32 lines[2 * LINES];
    u32 n = changed(out_state, e->state, 0, 0, lines);
    n += changed(window, e->window, LINES, 0, lines + n);
    result.lines = n;
    out(&result, sizeof result);
    for (u32 i = 0; i < n; i++) {
        u64 index = lines[i];
        out(&index, sizeof index);
        out(index < LINES ? out_state + index * LINE : (unsigned char *)window + (index - LINES) * LINE, LINE);
    }
}

void start(u64 *stack) {
    if (stack[0] != 2) end(99);
    long fd = check(call(__NR_open, stack[2], 0, 0, 0, 0, 0));
    unsigned char *file;
    struct header h;
    check(call(__NR_read, fd, (u64)&h, sizeof h, 0, 0, 0));
    u64 size = h.code_offset;
    file = (void *)check(call(__NR_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0));
    check(call(__NR_mmap, h.code_at, h.code_size, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, fd, h.code_offset));
    code_at = h.code_at;
    code_end = h.code_at + h.code_size;
    void *window = map_window(&h);
    handle_signals();
    u64 every[] = {0, h.tick, 0, h.tick};
    check(call(__NR_setitimer, 0, (u64)every, 0, 0, 0, 0));
    u32 low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    struct environment *environments = (void *)(file + h.environments_offset);
    for (u64 i = 0; i < h.environments; i++) *(u64 *)(environments[i].state + XSTATE_BV) &= low & STATE_MASK;
    const struct one_case *cases = (void *)(file + sizeof h);
    for (u64 i = 0; i < h.cases; i++) run(i, &cases[i], &environments[cases[i].environment], window);
    flush();
    end(0);
}
