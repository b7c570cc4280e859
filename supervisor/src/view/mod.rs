//! The guest's `/proc`.
//!
//! The problem: the supervisor looks names up for the guest, and in a procfs that shows the supervisor: its
//! memory, environment, descriptors, and every other process of the host. So nothing of a procfs is ever
//! served by letting the host resolve the name. This module is the procfs that a guest sees:
//! * `/proc/self`, `/proc/thread-self` and the directories of the sandbox's own processes, made from the
//!   supervisor's records and from those few host files about the emulator child that tell nothing of the
//!   emulator;
//! * an explicit list of system-wide files ([`System`]), read from the host;
//! * nothing else: other processes are not there.
//!
//! Links like `exe`, `cwd` and `fd/3` lead to the guest's objects ([`Link::Jump`]), never to a text that
//! somebody looks up again. What an entry shows is still subject to the policy, under the name
//! [`Node::judged_path`], in which the caller's own directory is always `/proc/self`, so that a profile can
//! name it.

mod fdinfo;
mod leaves;
pub mod memory;
mod mounts;
mod net;
mod node;
mod nodes;
mod process;
mod procfs;
mod status;
mod system;
mod value;

pub use node::{Content, Link, Node, Target, at};
pub use system::System;

#[cfg(test)]
mod tests;
