//! The emulator child: everything that runs in the process that executes the guest.
//!
//! From the first guest instruction on this process is untrusted: guest code shares its address space.
//! Nothing here is a security boundary but the seccomp filter of [`confine`], which is in force before that
//! instruction.
//!
//! The way of one guest block: [`cpu_loop`] → [`process::Process::resolve`] → [`rxbox_translate`] →
//! [`runtime::blocks`] → [`runtime::enter`]. The way of one guest system call: [`cpu_loop`] → [`syscall`] →
//! [`channel`] and back, and for granted calls on to [`syscall::memory`], [`signal`] or [`lifecycle`].
//!
//! # Floors
//! A file uses what stands below it, and nothing above. From the top:
//!
//! | floor | what |
//! | --- | --- |
//! | [`child`], [`keeper`] | the main functions: of a child, and of who translates for the cache on disk |
//! | [`cpu_loop`] | runs a guest thread; decides which route a system call takes |
//! | [`lifecycle`] | how threads and processes begin, become another program, and end |
//! | [`syscall`], [`signal`] | the routes of system calls; what signals do |
//! | [`process`], [`thread`], [`signal`] | the state of a process and of its threads |
//! | [`channel`], [`confine`], [`loader`], [`log`] | the way to the supervisor, the filter, program files |
//! | [`runtime`] | CPU state, code cache, the way into translated code and out of it |
//! | [`host`] | calls to the host's kernel |
//! | [`guest`], [`base`] | guest memory and mappings; signal sets, locks, what a call comes to |
//!
//! # Unsafe code
//! The compiler refuses it but in the modules that say `expect(unsafe_code)`: [`host`], [`guest::access`],
//! [`channel`], [`signal::host`], and in [`runtime`] all but the blocks and the layout of the CPU state.

#![deny(unsafe_code)]

pub mod base;
#[expect(unsafe_code, reason = "the channel is memory that the guest can write")]
pub mod channel;
pub mod child;
pub mod confine;
pub mod cpu_loop;
pub mod guest;
#[expect(unsafe_code, reason = "calls to the host's kernel")]
pub mod host;
pub mod keeper;
pub mod lifecycle;
pub mod loader;
pub mod log;
pub mod process;
pub mod runtime;
pub mod signal;
pub mod syscall;
pub mod thread;

pub use child::child_main;
pub use keeper::keeper_main;
