//! What the supervisor keeps of sockets: under which names they are bound, who is at their other ends, and
//! what has been judged of them.

mod anchors;
mod internet;
mod local;
mod peers;
mod travellers;

pub use anchors::Anchors;
pub use internet::Internet;
pub use local::{Begun, Local, Naming};
pub use peers::Peers;
pub use travellers::Travellers;
