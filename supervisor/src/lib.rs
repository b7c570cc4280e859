//! The supervisor: it starts a guest in an emulator child and carries out, under a policy, what the guest asks for.
//!
//! ```text
//! cli ─▶ run ─▶ launch ─▶ (warden ─▶ emulator child)
//!                 │
//!                 ▼
//!   attendant (main thread): signals, time limit, control sockets, ends of processes
//!   worker (one for each guest thread): channel slot ─▶ check ─▶ policy ─▶ dispatch ─▶ handler ─▶ reply
//! ```
//!
//! What is trusted: this process and its warden. Every byte that comes over a channel or a control socket is hostile; it
//! is copied once ([`shm`]), compared with the table (`rxbox_wire::frame`), and only then looked at ([`worker`]).
//!
//! * [`context`]: what a handler sees. [`handlers`]: what is done for each call. [`worker::dispatch`]: which handler serves
//!   which.
//! * [`state`]: what the kernel would keep of guest processes. [`sandbox`]: all of it together.
//! * [`path`], [`view`]: names of files, and the guest's own `/proc`.
//! * [`host`]: calls to the host's kernel; with [`shm`] the only places with unsafe code.
//! * [`report`]: what the user gets to see.

pub mod caller;
pub mod cli;
pub mod commands;
pub mod context;
pub mod files;
pub mod handlers;
pub mod host;
pub mod launch;
pub mod path;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod shm;
pub mod state;
pub mod view;
pub mod worker;
