//! What a profile may say: its keys, the words in them, and how a document is read into them.

pub(crate) mod draft;
pub(crate) mod errno;
pub(crate) mod hardening;
pub(crate) mod limits;
pub(crate) mod schema;
pub(crate) mod vocabulary;
