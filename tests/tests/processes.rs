//! Programs of several processes, natively and in rxbox: equal output, exit status and files.

use rxbox_tests::{Program, Scratch, difference, guest, guest_is_the_same, same};
use std::path::Path;

fn nothing(_: &Path) {}

fn permissive(argv: &[&str], prepare: impl Fn(&Path) + Copy) {
    same("permissive", &[], argv, prepare, b"");
}

#[test]
fn shells_run_pipelines_substitutions_traps_and_background_jobs() {
    let script = "printf 'b\\na\\nb\\n' | sort | uniq -c; x=$(echo $(seq 5 | tr '\\n' ' ')); echo \"$x\"; \
        trap 'echo bye' EXIT; (exit 7); echo $?; cat <<X\nhere $((6*7))\nX\n\
        { sleep 0.05; echo late; } & wait; echo early; false || echo or; nosuchcommand 2>/dev/null; echo $?";
    for shell in ["/bin/sh", "/bin/bash"] {
        permissive(&[shell, "-c", script], nothing);
    }
    permissive(
        &["/bin/bash", "-c", "diff <(seq 3) <(seq 2 4); for i in $(seq 100); do /bin/true; done; echo done"],
        nothing,
    );
}

#[test]
fn a_shell_runs_under_untrusted_with_what_it_needs() {
    same(
        "untrusted",
        &["--allow-write", "{D}"],
        &["/bin/sh", "-c", "echo a > f; cat f | wc -c; ls"],
        nothing,
        b"",
    );
}

#[test]
fn a_failed_exec_is_reported_to_the_parent_that_shares_memory_with_the_child() {
    let script = "import os, subprocess, signal\n\
        for f in (lambda: os.posix_spawn('/nonexistent', ['x'], {}), lambda: os.posix_spawn('/etc/passwd', \
        ['x'], {}), \
        lambda: subprocess.run(['/nonexistent'])):\n  try: f()\n  except OSError as e: \
        print(type(e).__name__, e.errno)\n\
        pid = os.posix_spawn('/bin/sh', ['sh', '-c', 'exit 9'], \
        os.environ)\nprint(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n\
        p = subprocess.run(['/bin/sh', '-c', 'kill -TERM $$'])\nprint(p.returncode)\n\
        print(subprocess.run(['/bin/cat'], input=b'x' * 300000, capture_output=True).stdout == b'x' * \
        300000)\n";
    permissive(&["/usr/bin/python3", "-c", script], nothing);
}

#[test]
fn parent_and_child_have_memory_descriptors_and_directories_of_their_own() {
    let script = "import os\nx = [1]\nr, w = os.pipe()\nf = open('f', 'w+')\nf.write('abc'); f.flush()\npid \
        = os.fork()\n\
        if pid == 0:\n  x[0] = 2; os.chdir('/'); os.close(r); os.write(w, b'child %d' % x[0]); \
        os.lseek(f.fileno(), 1, 0); os._exit(5)\n\
        os.close(w); print(os.read(r, 100), os.waitstatus_to_exitcode(os.wait()[1]), x, os.lseek(f.fileno(), \
        0, 1), os.path.exists('f'))\n\
        try: os.wait()\nexcept ChildProcessError as e: print(e)\n";
    permissive(&["/usr/bin/python3", "-c", script], nothing);
}

#[test]
fn make_builds_a_program_with_parallel_jobs() {
    let prepare = |d: &Path| {
        let mut makefile =
            String::from("p: a.o b.o c.o main.o\n\tgcc -o $@ $^\n%.o: %.c\n\tgcc -c -O1 -o $@ $<\n");
        makefile.push_str("test: p\n\t./p > out\n");
        std::fs::write(d.join("Makefile"), makefile).unwrap();
        for name in ["a", "b", "c"] {
            std::fs::write(d.join(format!("{name}.c")), format!("int {name}(void) {{ return '{name}'; }}\n"))
                .unwrap();
        }
        let main = "#include <stdio.h>\nint a(void), b(void), c(void);\nint main(void) { printf(\"%d\\n\", \
            a() + b() + c()); }\n";
        std::fs::write(d.join("main.c"), main).unwrap();
    };
    permissive(&["/usr/bin/make", "-s", "-j4", "test"], prepare);
}

/// Runs a mode of a guest both ways and compares what it shows and its status.
fn shows_the_same(name: &str, mode: &str, status: i32) {
    let scratch = Scratch::new(name);
    let program = guest(&scratch, name);
    let program = Program::new(scratch.path(), &[&program.to_string_lossy(), mode]);
    let (native, boxed) = (program.native(), program.boxed("permissive"));
    assert_eq!((native.status, native.stdout.is_empty()), (status, false), "{mode}: {}", native.err());
    let context = format!("{mode}: {}", difference(&native.stdout, &boxed.stdout));
    assert!(native.stdout == boxed.stdout, "{context}\n{}", boxed.err());
    assert_eq!(native.status, boxed.status, "{mode}");
}

#[test]
fn ids_of_processes_that_have_ended_and_of_threads_stand_where_they_may_natively() {
    guest_is_the_same("process_ids", &["permissive"]);
}

#[test]
fn descriptors_of_threads_links_to_programs_and_priorities_are_as_natively() {
    guest_is_the_same("process_shapes", &["permissive"]);
}

#[test]
fn what_the_child_of_a_vfork_has_written_is_there_for_its_parent_however_it_ends() {
    guest_is_the_same("vfork_shares", &["permissive"]);
}

#[test]
fn a_program_is_executed_from_any_of_several_threads() {
    for mode in ["leader", "other", "orphan", "all"] {
        shows_the_same("exec_threads", mode, 5);
    }
    shows_the_same("exec_threads", "child", 0);
}

/// The kernel gives the status of the last thread since 5.19, before that of the first.
#[test]
fn the_status_of_a_process_whose_threads_end_one_by_one_is_the_kernels() {
    shows_the_same("exec_threads", "last", 4);
}

#[test]
fn processes_are_made_by_clone3_with_flags_and_errors_as_natively() {
    shows_the_same("processes", "flags", 0);
}

#[test]
fn processes_are_polled_waited_for_and_signalled_by_descriptor() {
    shows_the_same("processes", "descriptors", 0);
}

#[test]
fn orphans_go_to_a_subreaper_and_are_told_that_their_parent_has_ended() {
    shows_the_same("processes", "orphans", 0);
}

#[test]
fn a_robust_mutex_is_passed_on_however_its_owner_dies() {
    shows_the_same("processes", "robust", 0);
}

#[test]
fn a_signal_that_comes_while_a_program_is_replaced_is_not_lost() {
    shows_the_same("processes", "replaced", 0);
}

#[test]
fn no_signal_breaks_off_that_a_program_is_replaced() {
    shows_the_same("processes", "stormed", 0);
}

#[test]
fn five_hundred_threads_and_five_hundred_processes_in_a_row() {
    shows_the_same("processes", "many", 0);
    let script = "i=0; n=0; while [ $i -lt 500 ]; do (exit 3); n=$((n + $?)); i=$((i + 1)); done; echo $n";
    for shell in ["/bin/dash", "/bin/bash"] {
        permissive(&[shell, "-c", script], nothing);
    }
}

#[test]
fn what_goes_wrong_on_the_way_to_a_new_program_is_told_as_natively() {
    shows_the_same("processes", "errors", 0);
}

/// A program whose dynamic linker cannot be used is found out while the old one is still there.
#[test]
fn a_program_without_a_usable_dynamic_linker_is_an_error_of_execve() {
    let prepare = |d: &Path| {
        std::fs::write(d.join("p.c"), "int main(void) { return 0; }\n").unwrap();
        std::fs::write(d.join("text"), "#!/bin/sh\n").unwrap();
        std::fs::write(d.join("long"), [b'#'; 100]).unwrap();
        let script = "chmod +x text long; for l in /nowhere/ld.so /etc /etc/passwd $PWD/text $PWD/long; do \
            gcc p.c -o p$((n += 1)) -Wl,--dynamic-linker=$l || exit 1; done";
        let built = std::process::Command::new("sh").args(["-c", script]).current_dir(d).status().unwrap();
        assert!(built.success());
    };
    let script = "import os, errno\nfor n in '12345':\n  try: os.execv('./p' + n, ['p'])\n  \
        except OSError as e: print(errno.errorcode[e.errno])\n";
    permissive(&["/usr/bin/python3", "-c", script], prepare);
}
