//! What the supervisor keeps of sockets: under which names they are bound, who is at their other ends, and
//! what of those of the internet has been judged.

mod anchors;
mod internet;
mod peers;
mod travellers;

pub use anchors::Anchors;
pub use internet::Internet;
pub use peers::Peers;
pub use travellers::Travellers;
