//! What entries are written in: wildcards within a name, path patterns, names of hosts, variables; and paths
//! as entries.

pub(crate) mod domain;
pub(crate) mod entry;
pub(crate) mod glob;
pub(crate) mod path;
pub(crate) mod variables;
