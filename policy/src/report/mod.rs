//! Where everything was written, and how an error is shown at its place.

pub(crate) mod diagnostic;
pub(crate) mod ledger;
pub(crate) mod suggest;
