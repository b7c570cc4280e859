//! The profiles for tools: a real program under each does its work, and what the profile keeps from it stays.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Scratch, rxbox, source};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A project in a home of its own.
struct Field {
    _scratch: Scratch,
    home: PathBuf,
    work: PathBuf,
}

impl Field {
    fn new(name: &str) -> Field {
        let scratch = Scratch::in_the_open(name);
        let home = scratch.path().join("home");
        let work = home.join("work");
        fs::create_dir_all(&work).unwrap();
        Field { _scratch: scratch, home, work }
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.work).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", &self.home);
        command.env("LANG", "C.UTF-8").env("GITHUB_TOKEN", "of the host");
        command
    }

    /// Runs a line of a shell's natively.
    fn natively(&self, line: &str) -> Output {
        self.command(Path::new("/bin/sh")).args(["-c", line]).output().unwrap()
    }

    /// The same under a profile.
    fn boxed(&self, profile: &str, line: &str) -> Output {
        let mut command = self.command(rxbox());
        command.args(["--profile", profile, "--", "/bin/sh", "-c", line]).output().unwrap()
    }

    /// What it prints is the same, and it succeeds.
    fn same(&self, profile: &str, line: &str) -> String {
        let (native, boxed) = (self.natively(line), self.boxed(profile, line));
        assert!(native.status.success(), "{line}: {}", text(&native.stderr));
        assert!(boxed.status.success(), "{line}: {}{}", text(&boxed.stdout), text(&boxed.stderr));
        assert_eq!(text(&native.stdout), text(&boxed.stdout), "{line}");
        text(&boxed.stderr)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn git_commits_and_changes_no_hooks() {
    let field = Field::new("git");
    let identity = "git config user.name n && git config user.email e@x";
    let made = field.natively(&format!("git init -q -b main . && {identity} && echo 1 >a && git add a"));
    assert!(made.status.success(), "{}", text(&made.stderr));
    let ran =
        field.boxed("git", "git commit -q -m one && echo 2 >a && git commit -q -a -m two && git status -s");
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
    field.same("git", "git log --format=%s && git fsck && git show --stat HEAD");
    let hook = field.boxed("git", "echo x >.git/hooks/pre-commit; git config core.pager evil");
    assert!(!field.work.join(".git/hooks/pre-commit").exists(), "{}", text(&hook.stderr));
    assert!(!fs::read_to_string(field.work.join(".git/config")).unwrap().contains("evil"));
}

#[test]
fn node_runs_what_is_in_node_modules() {
    let field = Field::new("node");
    fs::create_dir_all(field.work.join("node_modules/.bin")).unwrap();
    fs::create_dir_all(field.work.join("node_modules/tool")).unwrap();
    fs::copy("/usr/bin/basename", field.work.join("node_modules/tool/native")).unwrap();
    fs::write(field.work.join("package.json"), "{}").unwrap();
    fs::write(field.work.join("node_modules/tool/package.json"), "{}").unwrap();
    let script = "const {execFileSync} = require('child_process');
        const said = String(execFileSync(__dirname + '/native', ['/a/b']));
        console.log(said, process.env.GITHUB_TOKEN === undefined)";
    fs::write(field.work.join("node_modules/tool/index.js"), script).unwrap();
    let ran = field.boxed("node", "node -e \"require('tool')\"");
    assert_eq!(text(&ran.stdout), "b\n true\n", "{}", text(&ran.stderr));
    // What runtimes probe at their start is no news.
    assert_eq!(text(&ran.stderr), "");
}

#[test]
fn python_runs_modules_and_leaves_nothing() {
    let field = Field::new("python");
    fs::write(field.work.join("module.py"), "import json, tempfile\ndef f(): return json.dumps([1])\n")
        .unwrap();
    let line = "/usr/bin/python3 -c 'import module, tempfile; print(module.f(), len(tempfile.mkdtemp()))'";
    let ran = field.boxed("python", line);
    assert_eq!(text(&ran.stdout), "[1] 16\n", "{}", text(&ran.stderr));
    assert!(
        !field.work.join("__pycache__").exists() && text(&ran.stderr).is_empty(),
        "{}",
        text(&ran.stderr)
    );
}

#[test]
fn go_builds_and_runs_in_what_is_its_own() {
    let field = Field::new("go");
    let program = "package main\nimport \"fmt\"\nfunc main() { fmt.Println(6 * 7) }\n";
    fs::write(field.work.join("main.go"), program).unwrap();
    fs::write(field.work.join("go.mod"), "module m\ngo 1.18\n").unwrap();
    let ran = field.boxed("go", "go run .");
    assert_eq!(text(&ran.stdout), "42\n", "{}", text(&ran.stderr));
    let left: Vec<_> = fs::read_dir(&field.work).unwrap().flatten().collect();
    assert_eq!(left.len(), 2);
}

#[test]
fn java_compiles_in_memory_and_runs() {
    let field = Field::new("java");
    let program = "public class Main { public static void main(String[] a) throws Exception { \
        java.nio.file.Files.createTempFile(\"x\", \"y\"); System.out.println(6 * 7); } }";
    fs::write(field.work.join("Main.java"), program).unwrap();
    field.same("java", "java Main.java");
}

#[test]
fn an_agent_s_tools_build_and_run_but_see_no_secrets() {
    let field = Field::new("agent");
    fs::write(field.work.join(".env"), "KEY=secret").unwrap();
    fs::write(field.work.join("main.c"), "#include <stdio.h>\nint main(void) { puts(\"ran\"); }\n").unwrap();
    let line = "cc -o main main.c && ./main; cat .env; mkdir -p .vscode && echo x >.vscode/tasks.json; env";
    let ran = field.boxed("agent", line);
    let told = text(&ran.stdout);
    assert!(told.starts_with("ran\n") && !told.contains("secret"), "{told}{}", text(&ran.stderr));
    assert!(!told.contains("of the host") && !field.work.join(".vscode/tasks.json").exists(), "{told}");
}

#[test]
fn converters_have_a_place_for_their_settings() {
    let field = Field::new("desktop");
    let line = "mkdir -p \"$XDG_CONFIG_HOME/x\" \"$XDG_CACHE_HOME\" && mktemp >/dev/null && echo done";
    let ran = field.boxed("desktop-cli", line);
    assert_eq!(text(&ran.stdout), "done\n", "{}", text(&ran.stderr));
    assert!(!field.home.join(".config").exists());
}

#[test]
fn cargo_builds_into_target_alone() {
    let field = Field::new("cargo");
    // The toolchain that these tests are built with, by its own place.
    let cargo = PathBuf::from(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let bin = cargo.parent().unwrap().display().to_string();
    let copied = field.natively(&format!("cp -r {}/. .", source("crate")));
    assert!(copied.status.success() && field.work.join("Cargo.toml").exists());
    let mut command = field.command(rxbox());
    command.args([
        "--profile",
        "rust",
        "--allow-exec",
        cargo.parent().unwrap().parent().unwrap().to_str().unwrap(),
    ]);
    command.args(["--env", &format!("PATH={bin}:/usr/bin:/bin"), "--allow-write", "Cargo.lock?", "--"]);
    let ran = command.arg(&cargo).args(["run", "-q", "--offline"]).output().unwrap();
    assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
    assert!(field.work.join("target/debug").exists());
}
