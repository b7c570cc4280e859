//! `rxbox learn`: runs a program within bounds ([`rxbox_policy::learn::bounds`]), which writes a profile
//! ([`super::study`]), and then once more under that profile, by a process of its own: what is denied there
//! shows what the profile lacks.

use super::{own_files, records};
use crate::cli::profile::variables;
use crate::cli::{Learn, Learning, Profile, Run, Study};
use crate::confine::descriptors::Given;
use crate::files::HostFiles;
use crate::report::lesson::merged;
use crate::report::outcome::Outcome;
use crate::report::tell;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use rxbox_policy::Files;
use rxbox_policy::learn::Learned;
use rxbox_policy::learn::bounds::bounds;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::path::{self, Path, PathBuf};
use std::process::Command;

/// `rxbox learn`; the exit status, which is the program's unless rxbox fails.
pub fn learn(learn: Learn, given: Given) -> i32 {
    let done = if learn.words.is_empty() { merge(&learn) } else { run(&learn, given) };
    done.unwrap_or_else(|e| {
        tell(&format!("rxbox: {e}"));
        Outcome::Failed(String::new()).code()
    })
}

/// Learns from a run, and tries what was learned in a second one.
fn run(learn: &Learn, given: Given) -> io::Result<i32> {
    let place = place(learn)?;
    let run = prepared(learn, place.as_ref().map(|place| place.written.clone()))?;
    let words = run.words.clone();
    let status = super::run(run, given);
    let Some(place) = place else { return Ok(status) };
    if fs::metadata(&place.written).map_or(true, |file| file.len() == 0) {
        let _ = fs::remove_file(&place.written);
        return Ok(status);
    }
    place.settle()?;
    if learn.diff.is_some() {
        return Ok(status);
    }
    let beyond = if learn.merge.is_empty() { format!(" beyond {}", learn.from) } else { String::new() };
    tell(&format!("rxbox: {} allows what this run did{beyond}", place.meant.display()));
    if !learn.once {
        tell(&match proof(&place.meant, &words, status) {
            Ok(text) => format!("rxbox: {text}"),
            Err(e) => format!("rxbox: the second run: {e}"),
        });
    }
    Ok(status)
}

/// Merges profiles, and what was denied in earlier runs, without a run.
fn merge(learn: &Learn) -> io::Result<i32> {
    let Some(place) = place(learn)? else { return Ok(0) };
    let mut denied = Learned::default();
    for file in &learn.add {
        let text = fs::read_to_string(file).map_err(|e| named(file, &e))?;
        let (added, remarks) =
            records::take(&text, &mut denied).map_err(|e| named(file, &io::Error::other(e)))?;
        tell(&format!("rxbox: {}: {added} entries are added to {}", file.display(), place.meant.display()));
        remarks.iter().for_each(|remark| tell(&format!("rxbox: {remark}")));
    }
    let merged = merged(denied, &texts(&learn.merge)?, &variables(None));
    let merged = merged.map_err(|e| io::Error::other(format!("merging profiles: {e}")))?;
    let mut file = own_files::create(&place.written).map_err(|e| named(&place.written, &e))?;
    file.write_all(merged.as_bytes())?;
    place.settle()?;
    Ok(0)
}

/// Where the result is to be, and where it is written, which is a file that was not there.
struct Place {
    meant: PathBuf,
    written: PathBuf,
}

impl Place {
    /// Puts what is written where it is meant to be. A profile that is replaced keeps its mode.
    fn settle(&self) -> io::Result<()> {
        if self.meant == self.written {
            return Ok(());
        }
        fs::set_permissions(&self.written, fs::metadata(&self.meant)?.permissions())?;
        fs::rename(&self.written, &self.meant)
    }
}

/// The place of the result; none if it is only told.
fn place(learn: &Learn) -> io::Result<Option<Place>> {
    let own = |path: &Path| path::absolute(path).map(|meant| Place { written: meant.clone(), meant });
    match (&learn.output, learn.merge.first()) {
        (Some(output), _) => own(output).map(Some),
        (None, _) if learn.diff.is_some() => Ok(None),
        (None, Some(first)) => {
            let meant = fs::canonicalize(first).map_err(|e| named(first, &e))?;
            let name = meant.file_name().unwrap_or_default().to_string_lossy();
            let written = meant.with_file_name(format!(".{name}.{}", std::process::id()));
            Ok(Some(Place { meant, written }))
        }
        (None, None) => {
            let program = learn.words.first().map(PathBuf::from).unwrap_or_default();
            let name = program.file_name().unwrap_or_default().to_string_lossy() + ".toml";
            own(Path::new(&*name)).map(Some)
        }
    }
}

fn named(path: &Path, e: &io::Error) -> io::Error {
    io::Error::new(e.kind(), format!("{}: {e}", path.display()))
}

/// The texts of profiles.
fn texts(files: &[PathBuf]) -> io::Result<Vec<String>> {
    files.iter().map(|file| HostFiles::default().read(file).map_err(|e| named(file, &e))).collect()
}

/// The run.
fn prepared(learn: &Learn, output: Option<PathBuf>) -> io::Result<Run> {
    let (base, result) = match (learn.merge.first(), &learn.diff) {
        (Some(first), _) => {
            let first = path::absolute(first)?.to_string_lossy().into_owned();
            (first, Learning::Merged(texts(&learn.merge)?))
        }
        (None, Some(diff)) => (diff.clone(), Learning::Difference),
        (None, None) => (learn.from.clone(), Learning::Profile),
    };
    let bounds = bounds(&HostFiles::default(), &variables(None));
    let mut profile = Profile::named(&base);
    profile.added.0 = bounds.with(&learn.added.0);
    Ok(Run {
        no_cache: false,
        waits_for_keeper: false,
        words: learn.words.clone(),
        argv0: None,
        stack_size: None,
        name: None,
        gdb: None,
        profile,
        reports: learn.reports.clone(),
        study: Some(Study { base, result, output }),
        trace: None,
    })
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
