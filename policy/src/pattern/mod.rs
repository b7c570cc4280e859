//! What entries are written in: wildcards within a name, path patterns, variables; and paths as entries.

pub(crate) mod entry;
pub(crate) mod glob;
pub(crate) mod path;
pub(crate) mod variables;
