//! The intermediate representation: operations over variables.

pub mod var;
