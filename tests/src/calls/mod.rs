//! Random sequences of system calls that must end natively and in rxbox alike.
//!
//! The arguments come from the table of system calls: a kind says which values are usual, at the edge or
//! wrong, and which memory a pointer stands for. A sequence is a function of its seed and of the results that
//! the calls give, so two runs part only after the first difference between them. Each call is printed with
//! its arguments, its result, what it wrote to memory and the signals that came, and at the end what lies in
//! the folder; the two texts are compared.
//!
//! What a sequence may do is bounded: names are relative to a folder of its own, descriptors are those that
//! it opened, files are small by RLIMIT_FSIZE, nothing waits. What is not drawn is listed with the reason
//! ([`left_out`]), so is what is not compared ([`shown`]) and what differs and stays so ([`ignored`]).

pub mod arena;
pub mod arguments;
pub mod compare;
pub mod descriptors;
pub mod ignored;
pub mod left_out;
pub mod memory;
pub mod perform;
pub mod shown;
