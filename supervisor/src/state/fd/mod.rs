//! A guest process's descriptors.
//!
//! A guest descriptor is a number in its process's [`FdTable`]; it never names a host descriptor, so no
//! number that a guest makes up can reach anything of the supervisor's. An entry is a [`File`] with a host
//! descriptor of its own. Duplicates share the open file description on the host, as in the kernel, and the
//! state that the supervisor keeps beside it.
//!
//! All guest processes share the supervisor's host descriptors, within a budget ([`crate::state::budget`]).
//!
//! * [`Kind`]: what an open file is;
//! * [`File`]: an open file, and what is kept beside the host's description ([`Extra`]);
//! * `made_up`: files that exist only in the supervisor's own records;
//! * [`FdTable`]: the numbers of one process.

mod file;
mod kind;
mod made_up;
mod table;

pub use file::{Extra, File};
pub use kind::Kind;
pub use made_up::MadeUp;
pub use table::{FdTable, Released};

#[cfg(test)]
mod tests;
