//! Instructions against the processor: the same code natively and in rxbox must leave the same state, in
//! every register, flag and byte of memory, and raise the same signals.

pub mod encodings;
pub mod fuzz;
pub mod machine;
pub mod sequences;
