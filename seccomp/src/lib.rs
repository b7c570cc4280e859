//! Seccomp filters from lists of rules (seccomp(2)): the conditions that a rule can have, and the program
//! that a list becomes ([`compile`]).
//!
//! Supervisor and emulator child each have a list of the host calls that they make. What a list means is
//! [`Test::holds`] and the order of its rules; what the kernel does with the program is
//! [`Program::answer`], and the tests of the lists compare the two.
//!
//! A program is a search by halves among the numbers of calls, neighbours with the same answer taken
//! together: the kernel runs it once for each number that there is when a filter is put in force, to remember
//! which are always let through, and translates every instruction. A chain of comparisons, one call after the
//! other, costs a start half a millisecond.
#![forbid(unsafe_code)]

mod program;
mod rule;

pub use program::{CompileError, Data, I386, Program, X86_64, compile};
pub use rule::{Action, Rule, THREAD, Test, name};
/// Why a filter is not in force.
pub use seccompiler::Error as InstallError;
