//! The language of profiles: its keys, the values and words that stand behind them, and how a document is
//! read.

pub(crate) mod keys;
pub(crate) mod limits;
pub(crate) mod reader;
#[cfg(test)]
mod reference;
pub(crate) mod schema;
pub(crate) mod value;
pub(crate) mod words;
