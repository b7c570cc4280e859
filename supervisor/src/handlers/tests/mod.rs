//! What handlers do, seen from a guest's memory.

mod descriptors;
mod identity;
mod signals;
mod waiting;

pub(crate) use super::fixture::*;
