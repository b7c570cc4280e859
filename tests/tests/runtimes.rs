//! Language runtimes with threads, collectors and compilers of their own, and programs that use all of the
//! processor: natively and in rxbox the same.

use rxbox_tests::{Program, Scratch, same_words, source};
use std::path::Path;
use std::process::Command;

/// Runs a command line under `permissive` in a folder that `prepare` fills.
fn runs(name: &str, argv: &[&str], prepare: impl Fn(&Path)) {
    let scratch = Scratch::new(name);
    let dir = scratch.path().join("w");
    let argv: Vec<String> = argv.iter().map(|a| a.replace("{D}", &dir.to_string_lossy())).collect();
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    same_words("permissive", &Program::new(&dir, &words), prepare);
}

/// Runs a program from `programs/` with its interpreter.
fn interprets(interpreter: &[&str], name: &str, arguments: &[&str]) {
    let script = source(name);
    let argv = [interpreter, &[&script], arguments].concat();
    runs(name, &argv, |_| ());
}

/// Builds a program from `programs/` natively, and runs it natively and in rxbox.
fn builds(compiler: &[&str], name: &str, rest: &[&str]) {
    let prepare = |dir: &Path| {
        let mut command = Command::new(compiler[0]);
        command.args(&compiler[1..]).arg("-o").arg(dir.join("p")).arg(source(name)).args(rest);
        assert!(command.status().unwrap().success(), "{name} does not compile");
    };
    runs(name, &["{D}/p"], prepare);
}

#[test]
fn shells_run_scripts_with_all_they_have() {
    // Its last command exits with 5: the shell around it says so.
    for shell in ["dash", "bash", "busybox sh"] {
        let command = format!("{shell} {}; echo $?", source("shell.sh"));
        runs("shell", &["/bin/sh", "-c", &command], |_| ());
    }
    interprets(&["/bin/bash"], "bash.sh", &[]);
}

#[test]
fn perl_has_processes_sockets_and_signals() {
    interprets(&["/usr/bin/perl"], "perl.pl", &[]);
}

#[test]
fn python_has_threads_processes_and_servers() {
    for start in ["fork", "spawn", "forkserver"] {
        interprets(&["/usr/bin/python3"], "processes.py", &[start]);
    }
}

#[test]
fn go_has_goroutines_preemption_and_the_network() {
    builds(&["go", "build"], "goroutines.go", &[]);
}

#[test]
fn java_compiles_and_runs_threads_collections_and_faults() {
    let commands = format!("javac -d . {} && exec java -cp . Threads", source("Threads.java"));
    runs("java", &["/bin/sh", "-c", &commands], |_| ());
}

#[test]
fn node_has_workers_servers_processes_and_a_cluster() {
    interprets(&["/usr/bin/node"], "workers.js", &[]);
}

#[test]
fn luajit_runs_what_it_compiles() {
    interprets(&["/usr/bin/luajit"], "jit.lua", &[]);
}

#[test]
fn patterns_are_compiled_and_matched() {
    builds(&["gcc", "-O2"], "patterns.c", &["-lpcre2-8"]);
    runs("grep", &["/bin/sh", "-c", "seq 200000 | grep -cP '(\\d)\\1(?!5)'"], |_| ());
}

#[test]
fn php_interprets_and_compiles() {
    interprets(&["/usr/bin/php"], "patterns.php", &[]);
    let compiled =
        ["-d", "opcache.enable_cli=1", "-d", "opcache.jit_buffer_size=32M", "-d", "opcache.jit=tracing"];
    interprets(&[&["/usr/bin/php"][..], &compiled].concat(), "patterns.php", &[]);
}

#[test]
fn ffmpeg_encodes_and_filters_the_same_pictures() {
    interprets(&["/bin/sh"], "movie.sh", &[]);
}

#[test]
fn programs_with_another_c_library_run() {
    builds(&["musl-gcc", "-O2", "-static"], "musl.c", &[]);
    builds(&["musl-gcc", "-O2"], "musl.c", &[]);
}

#[test]
fn sanitizers_have_their_shadow_memory_and_find_what_is_wrong() {
    let command = "gcc -g -fsanitize=address,undefined -o p p.c && ./p && ./p wrong 2>&1 | grep -o \
        heap-buffer-overflow | head -n 1; ./p and leaks 2>&1 | grep -o 'leak of [0-9]* byte'";
    let source = "#include <stdio.h>\n#include <stdlib.h>\n\
        __attribute__((noinline)) static void leak(int n) { char *volatile p = malloc(n); p[0] = 1; \
        p = 0; }\n\
        __attribute__((noinline)) static void clear(void) { volatile char b[4096]; for (int i = 0; i < 4096; \
        i++) b[i] = 0; }\n\
        int main(int argc, char **argv) {\n    if (argc > 2) { leak(33); clear(); return 0; }\n    char *p = \
        malloc(10);\n    \
        p[9] = argc;\n    printf(\"%d\\n\", p[argc > 1 ? 10 : 9]);\n    free(p);\n}\n";
    let scratch = Scratch::new("sanitizers");
    let program = Program::new(&scratch.path().join("w"), &["/bin/sh", "-c", command]);
    same_words("permissive", &program, |dir| std::fs::write(dir.join("p.c"), source).unwrap());
}

/// ThreadSanitizer looks at every mapping of its program, and takes what it has not foreseen for a broken
/// system. Natively it cannot work either if the kernel spreads addresses over more than 28 bits of pages, so
/// it is told not to.
#[test]
fn a_race_is_found_by_a_sanitizer_that_says_where_mappings_may_be() {
    let command = "gcc -g -fsanitize=thread -o p p.c && setarch -R ./p 2>&1 | grep -E -o \
        'data race|done' | sort";
    let source = "#include <pthread.h>\n#include <stdio.h>\n#include <stdlib.h>\nstatic int shared;\n\
        static void *count(void *p) { free(malloc(100)); for (int i = 0; i < 99; i++) shared++; return p; }\n\
        int main(void) {\n    pthread_t t[2];\n    for (int i = 0; i < 2; i++) pthread_create(t + i, 0, \
        count, 0);\n    for (int i = 0; i < 2; i++) pthread_join(t[i], 0);\n    puts(\"done\");\n}\n";
    let scratch = Scratch::new("thread-sanitizer");
    let program = Program::new(&scratch.path().join("w"), &["/bin/sh", "-c", command]);
    same_words("permissive", &program, |dir| std::fs::write(dir.join("p.c"), source).unwrap());
}
