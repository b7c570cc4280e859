//! The program that a process runs.

use crate::state::attributes::COMM_SIZE;
use std::os::fd::OwnedFd;

/// The program that a process runs.
#[derive(Debug)]
pub struct ExeRecord {
    /// Holds the program's file (`O_PATH`).
    pub fd: OwnedFd,
    /// Its absolute resolved name.
    pub path: Box<[u8]>,
    /// `argv`.
    pub arguments: Vec<Vec<u8>>,
    /// `envp`, as it was at execve(2).
    pub environment: Vec<Vec<u8>>,
}

impl ExeRecord {
    /// The name that the kernel gives to a process that runs this program: the last component, at most 15
    /// bytes.
    pub(super) fn name(&self) -> Vec<u8> {
        let last = self.path.rsplit(|&b| b == b'/').next().unwrap_or_default();
        last[..last.len().min(NAME_MAX)].to_vec()
    }
}

/// Longest name of a process.
pub(super) const NAME_MAX: usize = COMM_SIZE - 1;
