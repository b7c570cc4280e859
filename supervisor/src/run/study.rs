//! A run from which is learned ([`super::learn`]).
//!
//! The program runs under the profile that is built on with bounds that allow more
//! ([`rxbox_policy::learn::bounds`]), in a supervisor as any other; what it does beyond the profile is noted
//! where decisions are carried out. The file is opened before the supervisor gives its rights up, and is one
//! of those that the guest does not change.

use super::own_files;
use crate::cli::{Learning, Profile, Study};
use crate::report::audit::Audit;
use crate::report::escape::Escaped;
use crate::report::lesson::Lesson;
use crate::report::outcome::Outcome;
use rxbox_policy::{Policy, Variables};
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Denials that are repeated in the profile, at most.
const DENIED: usize = 200;

/// A study under way.
#[derive(Debug)]
pub(super) struct Begun {
    base: String,
    result: Learning,
    command: String,
    variables: Variables,
    file: Option<File>,
}

impl Begun {
    /// Opens the file, and begins the lesson.
    pub(super) fn begin(
        study: &Study,
        words: &[OsString],
        variables: &Variables,
    ) -> Result<(Begun, Lesson), Outcome> {
        let base = Profile::named(&study.base).load(None, variables);
        let base: Policy = base.map_err(|e| Outcome::Failed(e.to_string()))?;
        let open = |path: &PathBuf| {
            own_files::create(path).map_err(|e| Outcome::Failed(format!("{}: {e}", path.display())))
        };
        let file = study.output.as_ref().map(open).transpose()?;
        let words: Vec<_> = words.iter().map(|word| Escaped(word.as_bytes()).to_string()).collect();
        let (command, variables) = (words.join(" "), variables.clone());
        let begun =
            Begun { base: study.base.clone(), result: study.result.clone(), command, variables, file };
        Ok((begun, Lesson::beyond(base)))
    }

    /// Writes what has been learned; or has it told line by line.
    pub(super) fn finish(mut self, audit: &Audit, mut tell: impl FnMut(&str)) -> Result<(), Outcome> {
        let failed = |e: &dyn std::fmt::Display| Outcome::Failed(format!("the profile: {e}"));
        let text = audit.learned(|lesson| match &self.result {
            Learning::Profile => {
                let denied: Vec<String> = audit.denied().into_iter().take(DENIED).collect();
                Ok(lesson.profile(&self.base, &self.command, &self.variables, &denied))
            }
            Learning::Merged(profiles) => lesson.merged(profiles, &self.variables),
            Learning::Difference => Ok(lesson.difference(&self.base, &self.variables).join("\n") + "\n"),
        });
        let text = text.transpose().map_err(|e| failed(&e))?.unwrap_or_default();
        match &mut self.file {
            Some(file) => file.write_all(text.as_bytes()).map_err(|e| failed(&e)),
            None => {
                text.lines().for_each(&mut tell);
                Ok(())
            }
        }
    }
}
