//! Which descriptors that rxbox was started with reach the guest, beside the standard streams.

use std::collections::BTreeSet;

/// The compiled rules of `[descriptors]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inheritance {
    /// All that are open.
    pub all: bool,
    /// Those that a service manager passes.
    pub listen: bool,
    /// Those with these numbers, which must be open.
    pub named: BTreeSet<i32>,
}

/// A text names no descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a descriptor is a number, `*` for all, or `listen` for those of a service manager")]
pub(crate) struct NoDescriptor;

impl Inheritance {
    /// Takes one entry of `pass` in.
    pub(crate) fn pass(&mut self, text: &str) -> Result<(), NoDescriptor> {
        match text {
            "*" => self.all = true,
            "listen" => self.listen = true,
            _ => {
                let number = text.parse().ok().filter(|number| *number >= 0).ok_or(NoDescriptor)?;
                self.named.insert(number);
            }
        }
        Ok(())
    }
}
