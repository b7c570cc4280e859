//! What a program may do while it is learned from.
//!
//! More than under the profile alone, but nothing that could do harm before anybody has looked: it reads and
//! runs what its user can, without the secrets that the profile hides or denies; it writes below the working
//! directory; of the network it gets what the command line adds.

use crate::load::files::Files;
use crate::load::overrides::{OverrideOption, Overrides};
use crate::pattern::variables::{Variables, literal, os};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Directories of `/` that hold no files of programs, or are better private.
const WITHOUT: [&str; 8] = ["boot", "dev", "lost+found", "proc", "root", "run", "sys", "tmp"];
/// What is read of some of them.
const OF_SYSTEM: [&str; 4] = ["/proc", "/run/systemd/resolve", "/sys/devices", "/sys/fs/cgroup"];

/// The options that allow it.
pub fn bounds(files: &dyn Files, variables: &Variables) -> Overrides {
    let tops = files.directories_and_links(Path::new("/"));
    let tops = tops.iter().filter(|name| !WITHOUT.iter().any(|without| os(without.as_bytes()) == *name));
    let tops = tops.map(|name| [b"/", name.as_bytes()].concat());
    let home = variables.home.iter().map(|home| home.as_os_str().as_bytes().to_vec());
    let trees = tops.chain(home).filter(|path| path.len() > 1);
    let trees: Vec<String> = trees.map(|path| mark(&path)).collect();
    let system = OF_SYSTEM.iter().map(|path| mark(path.as_bytes()));
    let write = (variables.too_much("${CWD}").is_none()).then(|| "${CWD}".to_owned());
    let read = system.map(|path| ("--allow-read", path));
    let run = trees.into_iter().map(|path| ("--allow-exec", path));
    let write = write.into_iter().map(|path| ("--allow-write", path));
    read.chain(run)
        .chain(write)
        .filter_map(|(flag, value)| OverrideOption::by_flag(flag)?.with(&value).ok())
        .collect()
}

/// A path as an option has it, which may be missing.
fn mark(path: &[u8]) -> String {
    literal(path) + "?"
}
