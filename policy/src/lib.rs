//! Policy profiles: load, compile, decide, explain.
//!
//! A profile is a TOML file that says what a guest may do; `docs/policy.md` describes the language. This
//! crate turns it into a [`Policy`], which answers the supervisor's questions one by one: may this path be
//! written, this address be reached, this call be made? Every answer carries the rule, with file and line,
//! that gave it.
//!
//! The crate is pure. It reads files only through [`Files`], knows the host only through [`Variables`], and a
//! loaded policy never changes; so the same profile gives the same answers in the supervisor and in a test.
//!
//! What holds throughout, and why:
//! * *Default deny.* Every list starts empty, and what no rule speaks of is denied (raw system calls
//!   excepted: what they act on is judged by its own section).
//! * *Deny beats allow*, whatever the order and the file. Allowing and denying rules are never in one list
//!   where an order could matter; the denying ones are asked first.
//! * *Nothing is silently ignored.* A key, name or value that is not understood is an error with its place,
//!   as is an entry that could have no effect.
//! * *Hostile input costs little.* Paths, names and addresses in questions come from the guest. Answering
//!   allocates nothing, never recurses, and takes time linear in the input for each glob that is tried.
#![forbid(unsafe_code)]

mod compile;
mod decision;
mod errno;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod hint;
mod inspect;
pub mod learn;
mod load;
mod pattern;
mod policy;
mod profile;
mod report;
mod rules;
mod vocabulary;

pub use decision::{Access, Decision, Make, Rule, Verdict};
pub use hint::DeniedWhat;
pub use inspect::compare::{Gain, gains};
pub use inspect::why::Speaks;
pub use load::builtin::{builtin, builtin_names};
pub use load::files::{Files, Named, followed};
pub use load::overrides::{OVERRIDE_OPTIONS, Override, OverrideOption, Overrides, WrongForm};
pub use pattern::domain::canonical;
pub use pattern::variables::{Variables, toml_new_path, toml_string};
pub use policy::{Policy, ReadProfile};
pub use profile::limits::{Limit, Limits};
pub use profile::schema::schema_json;
pub use profile::words::{Capability, Denials, Layer, Notice};
pub use report::diagnostic::{Diagnostic, Diagnostics};
pub use report::suggest::did_you_mean;
pub use rules::descriptors::Inheritance;
pub use rules::environment::{Secret, SecretSource};
pub use rules::mounts::{Mounts, Source};
pub use rules::network::{Endpoint, Transport, target};
pub use rules::pins::Digest;
pub use rules::reach::Reach;
