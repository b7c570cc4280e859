//! The decoder against iced-x86, an independent decoder with independent data on registers, memory and flags.
//!
//! [`corpus`] runs both over the code of system binaries, [`encodings`] over random encodings of every
//! opcode, and [`compare`] holds what they must agree on: lengths and offsets exactly; what is read at least;
//! what is replaced as a whole at most.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compare;
mod corpus;
mod encodings;
