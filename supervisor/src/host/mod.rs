//! Calls to the host's kernel, and what it tells of itself and of processes.
//!
//! Whatever the supervisor asks of the kernel that nix has no safe wrapper for is wrapped here, in the
//! modules by subject; with the memory that is shared with a child ([`shm`]) they are the only places with
//! unsafe code. A call that may wait for somebody else is made through [`interrupt`], so that a signal to the
//! guest can interrupt it.

pub mod cgroup;
pub mod cmsg;
pub mod command;
pub mod credentials;
pub mod descendants;
pub mod dirent;
pub mod fork_gate;
pub mod futex;
pub mod identity;
pub mod interrupt;
pub mod limit;
pub mod lookup;
pub mod maker;
pub mod mount;
pub mod mqueue;
pub mod name;
pub mod net;
pub mod number;
pub mod overlay;
pub mod parcel;
pub mod pid_namespace;
pub mod process;
pub mod procfs;
pub mod pty;
mod raw;
pub mod removal;
pub mod schedule;
mod scope;
pub mod sealed;
pub mod shm;
pub mod signal;
pub mod spawn;
pub mod start;
pub mod stat;
pub mod tmpfs;
pub mod transfer;
pub mod wait;

pub use raw::SyscallResult;
