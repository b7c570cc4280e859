//! The guest's program: how it is found, and whether it may be run.

use crate::host::name::{access, reopen};
use crate::report::escape::shown;
use crate::report::outcome::Outcome;
use crate::state::names::name_of;
use crate::state::pinned::contents;
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::{Mode, fstat};
use rxbox_policy::{Access, DeniedWhat, Policy};
use std::os::fd::{AsFd, OwnedFd};

/// The guest's program.
#[derive(Debug)]
pub struct Program {
    /// Holds its file (`O_PATH`).
    pub fd: OwnedFd,
    /// Its absolute resolved name.
    pub path: Vec<u8>,
    /// The name by which it is run: as given if that has a slash, else as found in `PATH`.
    pub invoked: Vec<u8>,
}

/// Finds the program as execvp(3) does: a name with a slash as it is, any other in the folders of `search`.
///
/// # Errors
/// [`Outcome::NotFound`] or [`Outcome::NotRunnable`].
pub fn find(name: &[u8], search: &[u8]) -> Result<Program, Outcome> {
    let not_found = || Outcome::NotFound(format!("{}: command not found", shown(name)));
    if name.is_empty() {
        return Err(not_found());
    }
    if name.contains(&b'/') {
        return hold(name).map_err(|e| match e {
            Errno::ENOENT | Errno::ENOTDIR => Outcome::NotFound(format!("{}: {}", shown(name), e.desc())),
            e => Outcome::NotRunnable(format!("{}: {}", shown(name), e.desc())),
        });
    }
    let mut denied = None;
    for folder in search.split(|&b| b == b':') {
        let folder = if folder.is_empty() { b"." } else { folder };
        let path = [folder, b"/", name].concat();
        match hold(&path) {
            Ok(program) => return Ok(program),
            Err(Errno::EACCES) => denied = Some(path),
            Err(_) => {}
        }
    }
    Err(denied.map_or_else(not_found, |path| {
        Outcome::NotRunnable(format!("{}: {}", shown(&path), Errno::EACCES.desc()))
    }))
}

/// Holds a file that can be run: a regular one that the user may execute.
fn hold(invoked: &[u8]) -> Result<Program, Errno> {
    let fd = open(invoked, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?;
    if fstat(&fd)?.st_mode & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno::EACCES);
    }
    access(fd.as_fd(), libc::X_OK, libc::AT_EACCESS)?;
    let path = name_of(fd.as_fd())?;
    Ok(Program { fd, path, invoked: invoked.to_vec() })
}

/// Whether the policy lets the program run.
///
/// # Errors
/// [`Outcome::NotRunnable`] with the rule and how to allow it.
pub fn permitted(policy: &Policy, program: &Program) -> Result<(), Outcome> {
    let path = shown(&program.path);
    let read = || reopen(program.fd.as_fd(), libc::O_RDONLY).and_then(|file| contents(file.as_fd()));
    let contents = policy.is_pinned(&program.path).then(read).transpose();
    let contents = contents.map_err(|e| Outcome::NotRunnable(format!("{path}: {}", e.desc())))?;
    let what = match &contents {
        Some(contents) => DeniedWhat::Program(&program.path, contents),
        None => DeniedWhat::Path(Access::Execute, &program.path),
    };
    let decision = policy.decide(&what);
    if decision.allowed() {
        return Ok(());
    }
    let hint = policy.hint(&what, |_| false);
    Err(Outcome::NotRunnable(format!("execute {path} is denied by {}; {hint}", decision.rule)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let found = find(b"sh", b"/nowhere:/usr/bin:/bin").unwrap();
        assert!(found.invoked.ends_with(b"/sh") && found.path.starts_with(b"/"));
        assert!(matches!(find(b"no-such-program", b"/usr/bin"), Err(Outcome::NotFound(_))));
        assert!(matches!(find(b"", b"/usr/bin"), Err(Outcome::NotFound(_))));
        assert!(matches!(find(b"/nowhere/x", b""), Err(Outcome::NotFound(_))));
        assert!(matches!(find(b"/usr", b""), Err(Outcome::NotRunnable(_))));
        assert!(matches!(find(b"/etc/passwd", b""), Err(Outcome::NotRunnable(_))));
        assert!(matches!(find(b"passwd", b"/etc"), Err(Outcome::NotRunnable(_))));
    }
}
