//! Tracing among a guest's own processes (ptrace(2)), natively and in rxbox: equal output and exit status.

use rxbox_tests::{Program, Scratch, guest_is_the_same, same, same_words};
use std::path::Path;

fn nothing(_: &Path) {}

/// A script of the shell's, under `permissive`.
fn script(text: &str, prepare: impl Fn(&Path)) {
    let scratch = Scratch::new("ptrace");
    let program = Program::new(&scratch.path().join("w"), &["/bin/sh", "-c", text]);
    same_words("permissive", &program, prepare);
}

#[test]
fn a_process_traces_its_children() {
    guest_is_the_same("ptrace", &["permissive"]);
}

/// Threads of a tracer that get in each other's way, tracers and tracees that are killed, a program that is
/// executed beside a stopped thread.
#[test]
fn whoever_gets_in_whose_way_all_of_them_end() {
    guest_is_the_same("ptrace_races", &["permissive"]);
}

#[test]
fn strace_shows_calls_signals_and_the_end() {
    let calls = "trace=write,close,exit_group,kill,alarm,pause,rt_sigreturn";
    let script = "trap 'echo usr1' USR1; kill -USR1 $$; echo end; exit 0";
    same("permissive", &[], &["strace", "-e", "trace=write,exit_group", "/bin/echo", "hi"], nothing, b"");
    same("permissive", &[], &["strace", "-e", calls, "/bin/sh", "-c", "exit 0"], nothing, b"");
    let quiet = ["strace", "-qq", "-e", "trace=exit_group", "-e", "signal=none"];
    same("permissive", &[], &[&quiet[..], &["sh", "-c", script]].concat(), nothing, b"");
}

/// Which process is traced at which time is chance: only what each does is compared.
#[test]
fn strace_follows_processes_threads_and_programs() {
    script(
        "strace -f -o log -e trace=execve,exit_group,vfork,wait4 sh -c '/bin/true; (exit 3); echo a | cat; \
         kill -TERM $$' ; sed -e 's/^[0-9]* *//' -e 's/0x[0-9a-f]*/P/g' -e 's/[0-9][0-9]*,* *NULL/N/' log | \
         grep -E '^\\+\\+\\+' | sort",
        nothing,
    );
}

#[test]
fn gdb_breaks_steps_looks_and_changes() {
    let source = "#include <stdio.h>\n\
        struct point { int x; double y[2]; };\n\
        static struct point p = {3, {1.5, 2.5}};\n\
        __attribute__((noinline)) int sq(int x) {\n  double d = x * p.y[0];\n  return x * x + (int)d;\n}\n\
        int main(void) {\n  int s = 0;\n  for (int i = 0; i < 5; i++)\n    s += sq(i);\n  \
        printf(\"s=%d x=%d\\n\", s, p.x);\n  return s & 1;\n}\n";
    let commands = "set pagination off\nset confirm off\nset print address off\nbreak sq if x == 2\nrun\n\
        backtrace\ninfo args\nprint p\nnext\nprint d\nprint $xmm0.v2_double[0]\nstep\nfinish\n\
        set var p.x = 77\ntbreak sq\ncontinue\nwatch p.y[1]\ndelete\nstepi\nprint $_siginfo.si_signo\n\
        signal 0\n";
    script(
        "gcc -g -O0 -o p p.c && gdb -q -nx -batch -x commands ./p 2>/dev/null | grep -v libthread_db | \
         sed -e 's/process [0-9]*/process/' -e 's/0x[0-9a-f]*/P/g'",
        |dir| {
            std::fs::write(dir.join("p.c"), source).unwrap();
            std::fs::write(dir.join("commands"), commands).unwrap();
        },
    );
}

#[test]
fn gdb_attaches_to_a_process_that_runs() {
    let source = "#include <unistd.h>\nstatic volatile int stop;\nstatic int waits(int n) { while (!stop) \
        usleep(1000); return n; }\nint main(void) { write(1, \"x\", 1); return waits(6); }\n";
    let commands = "set pagination off\nset confirm off\nbacktrace -frame-info short-location\nup 20\n\
        set var stop = 1\nup\ndetach\n";
    script(
        "gcc -g -O0 -o p p.c && cat > go.py <<'X'\nimport subprocess\n\
         p = subprocess.Popen(['./p'], stdout=subprocess.PIPE)\np.stdout.read(1)\n\
         out = subprocess.run(['gdb', '-q', '-nx', '-batch', '-p', str(p.pid), '-x', 'commands'], \
         stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout\n\
         print('waits (' in out, 'main (' in out)\nprint(p.wait())\nX\npython3 go.py",
        |dir| {
            std::fs::write(dir.join("p.c"), source).unwrap();
            std::fs::write(dir.join("commands"), commands).unwrap();
        },
    );
}
