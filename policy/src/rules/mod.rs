//! Compiled rules, each kind in the form that answers its questions fastest.

pub(crate) mod calls;
pub(crate) mod descriptors;
pub(crate) mod environment;
pub(crate) mod grant;
pub(crate) mod mounts;
pub(crate) mod network;
pub(crate) mod pins;
pub(crate) mod reach;
pub(crate) mod tree;
