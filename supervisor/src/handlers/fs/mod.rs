//! Calls that name files.
//!
//! Each call has the same form: the name is looked up once ([`crate::path`]), the policy is asked about what
//! it led to, and the host call is made on the descriptor that the look-up holds. What differs is written in
//! one file per subject: [`open`], [`stat`], [`names`] (calls that make or take away names), [`attributes`],
//! [`xattr`], [`directory`], [`watch`], [`exec`].
//!
//! Order of answers: where the guest may not look, the policy speaks, whether there is anything or not;
//! elsewhere a name that does not exist says so, unless it is hidden; then the policy speaks; then the
//! kernel. So a program that probes for files finds what it would find without the sandbox where it may
//! look, and learns nothing where it may not.

pub(super) mod attributes;
pub(super) mod directory;
mod exec;
mod named;
pub(super) mod names;
pub(super) mod open;
pub(super) mod rename;
pub(super) mod stat;
pub(super) mod watch;
pub(super) mod xattr;

pub use exec::{open_exec, program};

#[cfg(test)]
mod tests;
