//! Nouns that everything else of the child may use: they know nothing of it.

pub mod sigset;
pub mod sync;
