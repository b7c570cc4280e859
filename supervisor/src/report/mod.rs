//! What the user gets to see of a run: what was denied ([`audit`], [`account`], [`denials`]), which calls
//! were made ([`trace`]), how it ended ([`outcome`]), in lines, in records ([`record`]) or in the
//! journal ([`journal`]), and why the supervisor ends one itself ([`ending`]). It reaches the user whatever
//! the guest does to the descriptors that they share ([`stream`]).
//!
//! Everything that a guest chose is escaped before it is shown ([`escape`]).

pub mod account;
pub mod audit;
pub mod denials;
pub mod ending;
pub mod escape;
mod journal;
pub mod lesson;
pub mod outcome;
pub mod record;
pub mod stream;
pub mod trace;

use std::io::Write as _;

/// Writes a line to the user where no guest has been. A standard error that is gone or full is none of the
/// guest's business.
pub fn tell(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}
