//! The routes of guest system calls: to the supervisor and back, and granted calls that the child carries out
//! itself.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`marshal`] | carries arguments and results across the channel, as the table says |
//! | [`transfer`], [`msghdr`], [`mmsg`], [`vectors`] | bulk data: in pieces, messages, vectors |
//! | [`interfaces`] | a list behind a pointer in a structure |
//! | [`memory`], [`shm`], [`rlimit`], [`own_memory`] | the address space |
//! | [`futex`], [`wait`], [`process`], [`tracing`] | threads and processes |
//!
//! Which route a call takes is decided in [`crate::cpu_loop`]; calls on signals are in
//! [`crate::signal::calls`], those that make and end threads and processes in [`crate::lifecycle`].

pub mod futex;
pub mod interfaces;
pub mod marshal;
pub mod memory;
pub mod mmsg;
pub mod msghdr;
pub mod own_memory;
pub mod process;
pub mod rlimit;
pub mod shm;
pub mod terminal;
pub mod tracing;
pub mod transfer;
pub mod vectors;
pub mod wait;
