//! `rxbox learn`: a run from which a profile is written.
//!
//! The program runs under the profile that is built on with bounds that allow more
//! ([`rxbox_policy::learn::bounds`]), in a supervisor as any other; what it does beyond the profile is noted
//! where decisions are carried out. The file is opened before the supervisor gives its rights up, and is one
//! of those that the guest does not change. Then the program runs once more under the written profile, by a
//! process of its own: what is denied there shows what the profile lacks.

use super::own_files;
use crate::cli::profile::variables;
use crate::cli::{Learn, Profile, Run, Study};
use crate::confine::descriptors::Given;
use crate::files::HostFiles;
use crate::report::audit::Audit;
use crate::report::escape::Escaped;
use crate::report::lesson::Lesson;
use crate::report::outcome::Outcome;
use crate::report::tell;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use rxbox_policy::learn::bounds::bounds;
use rxbox_policy::{Policy, Variables};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// `rxbox learn`; the exit status, which is the program's unless rxbox fails.
pub fn learn(learn: Learn, given: Given) -> i32 {
    match prepared(&learn) {
        Ok((run, output)) => {
            let (words, from) = (run.words.clone(), learn.from.clone());
            let status = super::run(run, given);
            if fs::metadata(&output).map_or(true, |file| file.len() == 0) {
                let _ = fs::remove_file(&output);
                return status;
            }
            tell(&format!("rxbox: {} allows what this run did beyond {from}", output.display()));
            if !learn.once {
                tell(&match proof(&output, &words, status) {
                    Ok(text) => format!("rxbox: {text}"),
                    Err(e) => format!("rxbox: the second run: {e}"),
                });
            }
            status
        }
        Err(e) => {
            tell(&format!("rxbox: {e}"));
            Outcome::Failed(String::new()).code()
        }
    }
}

/// The run, and where its profile is written.
fn prepared(learn: &Learn) -> io::Result<(Run, PathBuf)> {
    let program = learn.words.first().map(PathBuf::from).unwrap_or_default();
    let named = program.file_name().unwrap_or_default().to_string_lossy() + ".toml";
    let output = learn.output.clone().unwrap_or_else(|| PathBuf::from(&*named));
    let output = std::path::absolute(&output)?;
    let bounds = bounds(&HostFiles::default(), &variables(None));
    let mut profile = Profile::named(&learn.from);
    profile.added.0 = bounds.with(&learn.added.0);
    let run = Run {
        words: learn.words.clone(),
        argv0: None,
        profile,
        reports: learn.reports.clone(),
        study: Some(Study { base: learn.from.clone(), output: output.clone() }),
    };
    Ok((run, output))
}

/// Runs the program under the profile, and says what came of it. The first run ended with this status.
fn proof(profile: &Path, words: &[OsString], status: i32) -> io::Result<String> {
    let (mut reports, end) = io::pipe()?;
    fcntl(&end, FcntlArg::F_SETFD(FdFlag::empty()))?;
    let number = end.as_raw_fd().to_string();
    let mut again = Command::new("/proc/self/exe");
    again.arg("--profile").arg(profile).args(["--status-fd", &number, "--"]).args(words);
    let mut again = again.spawn()?;
    drop(end);
    let mut told = String::new();
    reports.read_to_string(&mut told)?;
    let ended = again.wait()?;
    let denied = told.lines().filter(|line| line.contains("\"denied\"")).count();
    let same = if ended.code() == Some(status) { "as the first" } else { "otherwise than the first" };
    let denied = if denied == 0 { "nothing was denied" } else { "what was denied is said above" };
    Ok(format!("a second run under it ended {same}, with {ended}; {denied}"))
}
