//! Thin wrappers of what the runtime asks of the host's kernel.

pub mod call;
pub mod control;
pub mod cpu;
pub mod fatal;
pub mod futex;
pub mod mailbox;
pub mod map;
pub mod namespaces;
pub mod parcel;
pub mod process;
pub mod terminal;
pub mod thread;
pub mod wait;
