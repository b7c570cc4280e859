//! What a whole policy comes to: written out ([`show`]), compared with another one ([`compare`]), looked
//! through for what opens the sandbox ([`warn`]), and the rules that speak of one path ([`why`]).

pub(crate) mod compare;
mod probe;
mod show;
mod warn;
pub(crate) mod why;
