//! What the kernel would keep of guest processes, and what handlers change and look up: nouns only.
//!
//! Nothing here knows what a system call is: a handler takes its arguments apart, asks the policy, and calls
//! what it needs of these modules, which know each other and what stands below them ([`crate::host`],
//! [`crate::report`]), but neither the sandbox nor a handler.
//!
//! * Of one process: [`process`], with its descriptors ([`fd`]), [`threads`], record [`locks`],
//!   [`attributes`], [`credentials`] and [`transfers`]; [`names`] of what it holds, and the [`mounts`] that
//!   they lie in; what is locked [`apart`] from its file.
//! * Of all: [`processes`] and their [`groups`], [`terminals`], [`sockets`], System V and POSIX objects
//!   ([`ipc`]), the limit of [`output`]; who traces whom ([`tracees`]); what the service manager is told
//!   ([`notices`]); names of hosts ([`resolver`]); what
//!   connections carry ([`traffic`]); programs that are judged by their contents ([`pinned`]);
//!   what is not worth telling of a search along `PATH` ([`search`]).
//! * [`ranks`]: the locks of it all, and their order.

pub mod apart;
pub mod attributes;
pub mod budget;
pub mod credentials;
pub mod fd;
pub mod groups;
pub mod ipc;
pub mod locks;
pub mod memory_files;
pub mod mounts;
pub mod names;
pub mod notices;
pub mod output;
pub mod pinned;
pub mod place;
pub mod process;
pub mod processes;
pub mod ranks;
pub mod resolver;
pub mod search;
pub mod sockets;
pub mod terminals;
pub mod threads;
pub mod tracees;
pub mod traffic;
pub mod transfers;
