//! Secrets that the guest gets by descriptors (`[environment] secrets`).
//!
//! An environment is seen by whoever may read it in `/proc`, is passed on to every program that a program
//! starts, and ends in logs. A descriptor can be closed. So the guest is told by a variable only where the
//! secret is: a memory file that nobody can change and that has no name by which anybody else would find it.

use crate::host::sealed;
use crate::state::fd::{File, Kind};
use nix::unistd::{Whence, lseek};
use rxbox_policy::{Policy, SecretSource};
use std::fs;
use std::io::{self, Read};
use std::os::fd::RawFd;
use std::os::unix::ffi::OsStrExt;

/// Bytes that a secret may have.
const MOST: u64 = 1 << 20;

/// Adds a descriptor for each secret behind those that the guest starts with. Returns the variables that tell
/// which.
///
/// # Errors
/// Which secret is not there, and why.
pub fn pass(policy: &Policy, descriptors: &mut Vec<(RawFd, File)>) -> Result<Vec<Vec<u8>>, String> {
    let highest = descriptors.iter().map(|(number, _)| *number).max();
    let mut variables = Vec::new();
    for (number, secret) in (highest.unwrap_or(0).max(2) + 1..).zip(policy.secrets()) {
        let file = read(&secret.source).and_then(|contents| held(&contents));
        let file = file.map_err(|e| format!("the secret {} ({}): {e}", secret.name, secret.source))?;
        descriptors.push((number, file));
        variables.push(format!("{}=/proc/self/fd/{number}", secret.variable()).into_bytes());
    }
    Ok(variables)
}

fn read(source: &SecretSource) -> io::Result<Vec<u8>> {
    let mut contents = Vec::new();
    match source {
        SecretSource::File(path) => {
            _ = fs::File::open(path)?.take(MOST + 1).read_to_end(&mut contents)?;
        }
        SecretSource::Variable(name) => {
            let value = std::env::var_os(name).ok_or(io::ErrorKind::NotFound)?;
            contents.extend_from_slice(value.as_bytes());
        }
    }
    if contents.len() as u64 > MOST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(contents) }
}

/// The contents as an open file of the guest's. It is open for writing, too: so it can be opened anew by its
/// name in `/proc/self/fd`, as a file without a name can by those alone that may write to it; the seals keep
/// it as it is.
fn held(contents: &[u8]) -> io::Result<File> {
    let file = sealed::unsealed(c"secret")?;
    sealed::append(&file, contents)?;
    sealed::seal(&file)?;
    lseek(&file, 0, Whence::SeekSet)?;
    Ok(File::opened(file, Kind::Memory, libc::O_RDWR, None))
}
