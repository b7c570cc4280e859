//! The runtime around translated code: code cache, blocks, CPU state, prologue and epilogue, and the signal
//! handler that can stop translated code at any instruction.

pub mod blocks;
#[expect(unsafe_code, reason = "writes machine code")]
pub mod cache;
#[expect(unsafe_code, reason = "owns memory that translated code and the signal handler use")]
pub mod cpu;
#[expect(unsafe_code, reason = "jumps into machine code")]
pub mod enter;
#[expect(unsafe_code, reason = "maps machine code")]
pub mod kept;
pub mod state;
#[expect(unsafe_code, reason = "a signal handler")]
pub mod stop;
pub mod translator;
