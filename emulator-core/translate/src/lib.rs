//! Translator from guest x86-64 code to host x86-64 code: pure functions, no unsafe.
//!
//! [`decode`] reads one guest instruction, [`frontend`] makes a block of intermediate code ([`ir`]) of a run of them,
//! [`opt`] removes what is dead, [`regalloc`] finds registers for temporaries, [`emit`] writes host code with the
//! metadata by which the runtime chains blocks and recovers the guest state from any host pc. [`Translator`] is the way
//! through all of them.
#![forbid(unsafe_code)]

pub mod cpuid;
pub mod decode;
pub mod emit;
pub mod frontend;
pub mod ir;
pub mod opt;
pub mod regalloc;
pub mod state;
mod translate;

pub use translate::{Stages, TranslateError, Translator};
