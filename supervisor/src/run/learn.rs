//! `rxbox learn`: runs a program within bounds ([`rxbox_policy::learn::bounds`]), which writes a profile
//! ([`super::study`]), and then once more under that profile, by a process of its own: what is denied there
//! shows what the profile lacks.

use crate::cli::profile::variables;
use crate::cli::{Learn, Profile, Run, Study};
use crate::confine::descriptors::Given;
use crate::files::HostFiles;
use crate::report::outcome::Outcome;
use crate::report::tell;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use rxbox_policy::learn::bounds::bounds;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

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
