//! What a guest has changed in overlays ([`crate::host::overlay`]): where it is kept, and how the user sees,
//! applies and discards it.
//!
//! The files were written by a guest that may be hostile. So nothing here follows a link that is in them,
//! looks a name up in anything but a directory that is held, opens anything but directories and regular
//! files, or shows a byte of a name or of contents that a terminal could obey. What is applied keeps neither
//! set-user-id nor set-group-id, and becomes no device and no socket. A name that the run was not allowed to
//! write is not applied either, however it came there.

pub mod apply;
pub mod compare;
mod like;
pub mod show;
pub mod store;
