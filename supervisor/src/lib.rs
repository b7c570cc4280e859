//! The supervisor: it starts a guest in an emulator child and carries out, under a policy, what the guest
//! asks for.
//!
//! ```text
//! cli ─▶ run ─▶ launch ─▶ (init process ─▶ emulator child)
//!         │
//!         ▼
//!   event loop (main thread): signals, time limit, control sockets, ends of processes
//!   worker (one for each guest thread): channel slot ─▶ check ─▶ policy ─▶ dispatch ─▶ handler ─▶ reply
//! ```
//!
//! What is trusted: this process and its init process. Every byte that comes over a channel or a control
//! socket is hostile; it is copied once ([`host::shm`]), compared with the table (`rxbox_wire::frame`), and
//! only then looked at ([`worker`]).
//!
//! From the top floor down; nothing uses what stands above it (`tests/tests/modules/floors.rs` holds that):
//!
//! * [`oci`]: containers, each of which is a run.
//! * [`run`]: a whole run, and the event loop that waits for its end.
//! * [`cli`]: the command line, with the commands that run nothing. [`files`]: where profiles are found.
//!   [`monitor`]: how runs with a name are found, and asked.
//! * [`launch`]: everything until the guest's first instruction, with the init process.
//! * [`worker`]: serves one guest thread. [`worker::dispatch`] says which handler serves a call,
//!   [`worker::internal`] serves the child's runtime.
//! * [`handlers`]: what is done for each call.
//! * [`path`], [`view`]: names of files, and the guest's own `/proc`.
//! * [`context`]: what a handler sees. [`caller`]: who looks a name up, and asks the policy about it.
//! * [`sandbox`]: what all threads share.
//! * [`state`]: what the kernel would keep of guest processes.
//! * [`changes`]: what runs have changed in overlays: kept, shown, applied.
//! * [`report`]: what the user gets to see.
//! * [`host`]: calls to the host's kernel; the compiler refuses unsafe code anywhere else.

#![deny(unsafe_code)]

pub mod caller;
pub mod changes;
pub mod cli;
pub mod confine;
pub mod context;
pub mod files;
pub mod handlers;
#[expect(unsafe_code, reason = "calls to the host's kernel, and memory shared with a child")]
pub mod host;
pub mod launch;
pub mod monitor;
pub mod oci;
pub mod path;
pub mod report;
pub mod run;
pub mod sandbox;
pub mod state;
pub mod translations;
pub mod view;
pub mod worker;
