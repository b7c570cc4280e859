//! Guest memory: where it may lie, what is mapped, and how the runtime reads and writes it without harm.

#[expect(unsafe_code, reason = "copies from and to any address that a guest can give")]
pub mod access;
mod advise;
mod area;
mod areas;
mod brk;
mod gaps;
mod hostmap;
mod images;
pub mod layout;
mod mmap;
mod protect;
mod query;
pub(crate) mod random;
pub mod read;
mod remap;
mod request;
mod space;

pub use area::{Area, Backing, MappedFile, Prot, Role};
pub use hostmap::{HostMap, HostRequest, Source};
pub use layout::Span;
pub use remap::RemapRequest;
pub use request::{FileSource, MapRequest, Place};
pub use space::{AddressSpace, Change, Limits, MAX_AREAS, Touched};
