//! A run from which a profile is written ([`super::learn`]).
//!
//! The program runs under the profile that is built on with bounds that allow more
//! ([`rxbox_policy::learn::bounds`]), in a supervisor as any other; what it does beyond the profile is noted
//! where decisions are carried out. The file is opened before the supervisor gives its rights up, and is one
//! of those that the guest does not change.

use super::own_files;
use crate::cli::{Profile, Study};
use crate::report::audit::Audit;
use crate::report::escape::Escaped;
use crate::report::lesson::Lesson;
use crate::report::outcome::Outcome;
use rxbox_policy::{Policy, Variables};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

/// Denials that are repeated in the profile, at most.
const DENIED: usize = 200;

/// A study under way.
#[derive(Debug)]
pub(super) struct Begun {
    base: String,
    command: String,
    variables: Variables,
    file: File,
}

impl Begun {
    /// Opens the file, and begins the lesson.
    pub(super) fn begin(
        study: &Study,
        words: &[OsString],
        variables: &Variables,
    ) -> Result<(Begun, Lesson), Outcome> {
        let failed = |e: &dyn std::fmt::Display| Outcome::Failed(format!("{}: {e}", study.output.display()));
        let base = Profile::named(&study.base).load(None, variables);
        let base: Policy = base.map_err(|e| Outcome::Failed(e.to_string()))?;
        let file = own_files::create(&study.output).map_err(|e| failed(&e))?;
        let words: Vec<_> = words.iter().map(|word| Escaped(word.as_bytes()).to_string()).collect();
        let begun =
            Begun { base: study.base.clone(), command: words.join(" "), variables: variables.clone(), file };
        Ok((begun, Lesson::beyond(base)))
    }

    /// Writes the profile.
    pub(super) fn finish(mut self, audit: &Audit) -> Result<(), Outcome> {
        let denied: Vec<String> = audit.denied().into_iter().take(DENIED).collect();
        let text =
            audit.learned(|lesson| lesson.profile(&self.base, &self.command, &self.variables, &denied));
        let written = self.file.write_all(text.unwrap_or_default().as_bytes());
        written.map_err(|e| Outcome::Failed(format!("the profile: {e}")))
    }
}
