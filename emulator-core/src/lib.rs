//! The emulator child: everything that runs in the process that executes the guest.
//!
//! From the first guest instruction on this process is untrusted: guest code shares its address space. Nothing here is a
//! security boundary but the seccomp filter of [`confine`], which is in force before that instruction.
//!
//! The way of one guest block: [`cpu_loop`] → [`process::Process::resolve`] → [`rxbox_translate`] → [`runtime::blocks`] →
//! [`runtime::enter`]. The way of one guest system call: [`cpu_loop`] → [`syscall`] → [`channel`] and back, and for granted
//! calls on to [`syscall::memory`], [`signal`] or [`lifecycle`].

pub mod base;
pub mod channel;
pub mod child;
pub mod confine;
pub mod cpu_loop;
pub mod guest;
pub mod host;
pub mod lifecycle;
pub mod loader;
pub mod log;
pub mod process;
pub mod runtime;
pub mod signal;
pub mod syscall;
pub mod thread;

pub use child::child_main;
