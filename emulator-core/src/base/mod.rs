//! Nouns that all of the child may use; they know nothing of it. An errno is [`nix::errno::Errno`]
//! everywhere.

pub mod result;
pub mod sigset;
pub mod sync;
