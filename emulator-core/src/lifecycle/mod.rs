//! How threads and processes begin, become another program, and end.
//!
//! | part | what it does |
//! | --- | --- |
//! | [`clone`], [`clone3`] | the calls of the clone(2) family, with their arguments as [`clone_args`] |
//! | [`thread`] | makes a thread |
//! | [`fork`] | makes a process |
//! | [`exec`] | execve(2): prepares a program, ends the other threads ([`de_thread`]), loads it ([`load`]) |
//! | [`exit`] | ends a thread or the process |

pub mod clone;
pub mod clone3;
pub mod clone_args;
pub mod de_thread;
pub mod exec;
pub mod exit;
pub mod fork;
pub mod load;
pub mod thread;
