//! Build tools: `make`, CMake, git, cargo and Go build natively and in rxbox the same.

use rxbox_tests::{Program, Scratch, same, same_words, source};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;

fn copy(name: &str, to: &Path) {
    let copied = Command::new("cp").arg("-r").arg(source(name)).arg(to).status().unwrap();
    assert!(copied.success(), "{name}");
}

/// A C project of 21 files with a `configure` that asks the compiler.
fn project(dir: &Path) {
    for name in ["configure", "Makefile.in"] {
        copy(name, dir);
    }
    std::fs::create_dir(dir.join("src")).unwrap();
    let (mut prototypes, mut calls) = (String::new(), String::new());
    for i in 1..=20 {
        let file = format!(
            "#include \"config.h\"\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n\
            int m{i}(int x) {{ char b[64]; snprintf(b, sizeof b, \"%d\", x * {i}); return atoi(b) + \
            strlen(b); }}\n"
        );
        std::fs::write(dir.join(format!("src/m{i}.c")), file).unwrap();
        writeln!(prototypes, "int m{i}(int);").unwrap();
        writeln!(calls, "    s += m{i}(s % 1000);").unwrap();
    }
    let main = format!(
        "#include <stdio.h>\n{prototypes}int main(void) {{\n    int s = 0;\n{calls}    printf(\"%d\\n\", \
            s);\n}}\n"
    );
    std::fs::write(dir.join("src/main.c"), main).unwrap();
}

#[test]
fn configure_and_make_build_a_c_project_with_parallel_jobs() {
    let commands = "./configure && make -s -j4 && make -s check && sha256sum prog config.h src/*.o";
    same("permissive", &[], &["/bin/sh", "-c", commands], project, b"");
}

#[test]
fn cmake_builds_and_tests_a_project_in_cpp() {
    let scratch = Scratch::new("cmake");
    let commands = "cmake -S cmake -B b > log && cmake --build b -j2 >> log && cd b && ctest > log && ./demo \
        && sha256sum demo";
    let program = Program::new(&scratch.path().join("w"), &["/bin/sh", "-c", commands]);
    same_words("permissive", &program, |dir| copy("cmake", dir));
}

#[test]
fn git_keeps_the_same_objects() {
    let scratch = Scratch::new("git");
    let dir = scratch.path().join("w");
    let program = Program::new(&dir, &["/bin/bash", &source("git.sh")]);
    let options = ["--allow-read", &source(""), "--allow-write", &dir.to_string_lossy()];
    same_words("untrusted", &program.options(&options), |_| ());
}

#[test]
fn cargo_builds_a_crate_and_its_dependency() {
    // Cargo says where it is; not by the name that rustup puts before it, which may want to look for news.
    let cargo = std::env::var("CARGO").unwrap();
    let rustc = Path::new(&cargo).with_file_name("rustc").to_string_lossy().into_owned();
    let scratch = Scratch::new("cargo");
    let commands = "cd crate && \"$0\" build --offline -q && ./target/debug/outer && \"$RUSTC\" --version";
    let program = Program::new(&scratch.path().join("w"), &["/bin/sh", "-c", commands, &cargo])
        .env("RUSTC", &rustc)
        .env("CARGO_HOME", &scratch.path().to_string_lossy());
    same_words("permissive", &program, |dir| copy("crate", dir));
}

#[test]
fn go_builds_a_program() {
    let scratch = Scratch::new("go");
    let main = "package main\n\nimport \"os\"\n\nfunc main() { os.Stdout.WriteString(\"built\\n\") }\n";
    let program = Program::new(
        &scratch.path().join("w"),
        &["/bin/sh", "-c", "go build -trimpath -o p main.go && ./p && sha256sum p"],
    );
    // The packages of the library that it needs are built, too, unless they lie in the cache: the first run
    // fills it.
    let program = program.env("GOCACHE", &scratch.path().join("cache").to_string_lossy());
    same_words("permissive", &program, |dir| std::fs::write(dir.join("main.go"), main).unwrap());
}
