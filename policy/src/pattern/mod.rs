//! What entries are written in: wildcards within a name, path patterns, variables.

pub(crate) mod glob;
pub(crate) mod path;
pub(crate) mod variables;
