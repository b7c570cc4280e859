//! Passes over a block. Each is one small function and can be left out without harm to correctness.

pub mod dce;
pub mod liveness;
