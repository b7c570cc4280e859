//! The runtime around translated code: code cache, blocks, CPU state, prologue and epilogue, and the signal handler that can
//! stop translated code at any instruction. This module and [`crate::host`] are where the unsafe of the child lives.

pub mod blocks;
pub mod cache;
pub mod cpu;
pub mod enter;
pub mod state;
pub mod stop;
