//! Translator from guest x86-64 code to host x86-64 code: pure functions, no unsafe.
//!
//! [`decode`] reads one guest instruction, [`frontend`] makes a block of intermediate code ([`ir`]) of a run
//! of them, [`opt`] removes what is dead, [`regalloc`] finds registers for temporaries, [`emit`] writes host
//! code with the metadata by which the runtime chains blocks and recovers the guest state from any host pc.
//! [`Translator`] is the way through all of them.
//!
//! To add:
//! - an instruction of an existing class: a row in `decode/table/*.txt`, as `decode/table/notation.rs` says;
//! - a class of instructions: its variant, its word of the notation and what the encoding adds in
//!   `decode/class.rs`, and an arm in `frontend.rs`; if the runtime carries it out, an arm in the runtime's
//!   emulation of single instructions;
//! - an operation of the intermediate code: a row in `ir/op.rs` and an arm in `emit/mod.rs`;
//! - a feature that `cpuid` shows: `cpuid.rs`.
//!
//! The compiler refuses a class without an arm and an operation without emission. The tests in `tests/oracle`
//! compare every row with another decoder's data, and the end-to-end tests of instructions run on the
//! processor what the rows accept.
#![forbid(unsafe_code)]

pub mod cpuid;
pub mod decode;
pub mod emit;
pub mod frontend;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod ir;
pub mod opt;
pub mod regalloc;
pub mod state;
mod translate;

pub use translate::{Stages, TranslateError, Translator};

/// Stands for the sources of this crate: translations of two versions are not to be mixed.
pub const VERSION: u64 = include!(concat!(env!("OUT_DIR"), "/version"));
