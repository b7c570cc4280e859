//! What the supervisor keeps of sockets: under which names they are bound, and who is at their other ends.

mod anchors;
mod peers;

pub use anchors::Anchors;
pub use peers::Peers;
