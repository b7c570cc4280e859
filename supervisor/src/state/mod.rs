//! What the kernel would keep of guest processes, and what handlers change and look up: nouns only.
//!
//! Nothing here knows what a system call is: a handler takes its arguments apart, asks the policy, and calls what it needs of
//! these modules, which know each other and [`crate::host`] but neither the sandbox nor a handler.

pub mod fd;
pub mod ipc;
pub mod process;
pub mod threads;
