//! Comparing sequences.

use super::ignored;
use crate::Scratch;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

/// The user as whom root has sequences run: calls of root reach further than the folder.
const NOBODY: u32 = 65534;

/// A line of a sequence that differs, natively and in rxbox.
pub type Difference = [String; 2];

/// Runs the sequence of a seed natively and in `rxbox`; `performer` is the program that makes so many calls
/// ([`super::perform`]). Gives the lines that differ and are not [`ignored`], as long as both make the same
/// calls.
///
/// # Errors
/// A program does not start.
pub fn compare(rxbox: &Path, performer: &Path, seed: u64, count: usize) -> io::Result<Vec<Difference>> {
    let natively = output(&mut Command::new(performer), seed, count)?;
    let mut boxed = Command::new(rxbox);
    boxed.args(["--quiet", "--profile", "permissive", "--"]).arg(performer);
    let boxed = output(&mut boxed, seed, count)?;
    let mut lines = [natively.lines(), boxed.lines()];
    let mut differences = Vec::new();
    loop {
        let [one, other] = match lines.each_mut().map(Iterator::next) {
            [None, None] => return Ok(differences),
            pair => pair.map(|line| line.unwrap_or("(the end)")),
        };
        if one == other {
            continue;
        }
        let difference = [one.to_owned(), other.to_owned()];
        if ignored::why(&difference).is_none() {
            differences.push(difference);
        }
        if call(one).is_none() || call(one) != call(other) {
            return Ok(differences);
        }
    }
}

/// What of a line says which call it is of.
fn call(line: &str) -> Option<&str> {
    line.split_once(" = ").map(|(call, _)| call)
}

/// What a sequence prints, in a folder of its own.
fn output(program: &mut Command, seed: u64, count: usize) -> io::Result<String> {
    let scratch = Scratch::new("calls");
    // Names may lead one folder up.
    let folder = scratch.path().join("a/b");
    fs::create_dir_all(&folder)?;
    for folder in [&folder, &scratch.path().join("a"), &scratch.path().to_owned()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777))?;
    }
    program.args(["perform", &seed.to_string(), &count.to_string()]).current_dir(&folder);
    program.stdin(Stdio::null()).stderr(Stdio::inherit()).process_group(0);
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } == 0 {
        program.uid(NOBODY).gid(NOBODY);
    }
    let output = program.output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &format!("{}\n", output.status))
}
