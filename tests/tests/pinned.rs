//! What a profile pins by its contents is run with these contents and no others.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Scratch, rxbox};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A program, and a profile that pins it and lets everything beside it be written and run.
struct Field {
    scratch: Scratch,
    tool: PathBuf,
    profile: PathBuf,
}

impl Field {
    fn new() -> Field {
        let scratch = Scratch::in_the_open("pinned");
        let tool = scratch.path().join("tool");
        fs::copy("/bin/echo", &tool).unwrap();
        let line = Command::new("sha256sum").arg(&tool).output().unwrap().stdout;
        let line = String::from_utf8(line).unwrap();
        let text = format!(
            "version = 1\nextends = [\"untrusted\"]\n[filesystem]\nwrite = [\"${{CWD}}\"]\n\
             execute = [\"${{CWD}}\"]\npinned = [\"{}\"]\n",
            line.trim_end()
        );
        let profile = scratch.file("profile.toml", text);
        Field { scratch, tool, profile }
    }

    fn rxbox(&self, command: &[&str], words: &[&str]) -> Output {
        let mut rxbox = Command::new(rxbox());
        rxbox.args(command).arg("--profile").arg(&self.profile).args(words);
        rxbox.current_dir(self.scratch.path()).output().unwrap()
    }

    fn shell(&self, line: &str) -> Output {
        self.rxbox(&[], &["/bin/sh", "-c", line])
    }

    /// Other contents for the program, which do the same.
    fn change(&self) {
        let mut contents = fs::read(&self.tool).unwrap();
        contents.push(0);
        fs::write(&self.tool, contents).unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_program_runs_as_long_as_it_has_its_contents() {
    let field = Field::new();
    let ran = field.rxbox(&[], &["./tool", "first"]);
    assert_eq!((text(&ran.stdout), text(&ran.stderr)), ("first\n".to_owned(), String::new()));
    let maps = field.shell("./tool again; readlink -f tool");
    assert_eq!(text(&maps.stdout), format!("again\n{}\n", field.tool.display()), "{}", text(&maps.stderr));
    let explained = field.rxbox(&["explain"], &["execute", "tool"]);
    assert_eq!(explained.status.code(), Some(0), "{}", text(&explained.stdout));
    field.change();
    let (first, later) = (field.rxbox(&[], &["./tool"]), field.shell("./tool; echo $?"));
    assert_eq!(first.status.code(), Some(126));
    assert_eq!(text(&later.stdout), "126\n");
    let explained = field.rxbox(&["explain"], &["execute", "tool"]);
    assert_eq!(explained.status.code(), Some(1));
    let said = [text(&first.stderr), text(&later.stderr), text(&explained.stdout)];
    for said in said {
        assert!(said.contains("its SHA-256 is ") && said.contains("profile.toml:6"), "{said}");
    }
}

#[test]
fn another_file_in_its_place_is_refused() {
    let field = Field::new();
    // The guest has the right to write what lies beside it, and neither changes nor replaces it.
    let tried = field.shell("echo x >>tool; cp /bin/true other; mv -f other tool; rm -f tool; ./tool same");
    assert_eq!(text(&tried.stdout), "same\n", "{}", text(&tried.stderr));
    let other = field.scratch.path().join("other");
    fs::copy("/bin/true", &other).unwrap();
    fs::rename(&other, &field.tool).unwrap();
    let refused = field.shell("./tool; echo $?");
    assert_eq!(text(&refused.stdout), "126\n", "{}", text(&refused.stderr));
    // What is not pinned runs.
    fs::copy("/bin/echo", &other).unwrap();
    assert_eq!(text(&field.shell("./other x").stdout), "x\n");
}

#[test]
fn so_are_an_interpreter_and_a_script_and_code_that_is_mapped() {
    let field = Field::new();
    let script = field.scratch.file("script", format!("#!{}\n", field.tool.display()));
    fs::set_permissions(script, PermissionsExt::from_mode(0o755)).unwrap();
    // The dynamic loader as a program maps the code of another one.
    let loader = fs::canonicalize("/lib64/ld-linux-x86-64.so.2").unwrap();
    let line = format!("./script; {} ./tool mapped", loader.display());
    let ran = field.shell(&line);
    assert_eq!(text(&ran.stdout), "./script\nmapped\n", "{}", text(&ran.stderr));
    field.change();
    let refused = field.shell(&line);
    assert_eq!(text(&refused.stdout), "", "{}", text(&refused.stderr));
    assert_eq!(text(&refused.stderr).matches("its SHA-256 is ").count(), 2, "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("(mmap, "), "{}", text(&refused.stderr));
}
