//! The side of whoever asks a run.

use super::Name;
use super::message::{Reply, Request, Status, hear, tell};
use super::registry::{Registry, RegistryError, directory};
use crate::report::trace::{Filter, Printer, Told};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;
use nix::sys::socket::MsgFlags;
use std::os::fd::{AsFd, OwnedFd};

/// Why a run was not asked, or has not answered.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is none of the name.
    #[error("no run is called {name}; {}", known(.others))]
    Unknown {
        /// The name.
        name: Name,
        /// Those that there are.
        others: Vec<Name>,
    },
    /// Runs cannot be found.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It answers that it does not.
    #[error("{name}: {why}")]
    Refused {
        /// The name.
        name: Name,
        /// Why.
        why: String,
    },
    /// It does not answer.
    #[error("{name} does not answer: {}", errno.desc())]
    Silent {
        /// The name.
        name: Name,
        /// Why.
        errno: Errno,
    },
}

fn known(names: &[Name]) -> String {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    if names.is_empty() {
        "there is none with a name".to_owned()
    } else {
        format!("there are {}", names.join(", "))
    }
}

/// A connection to a run, and its first reply to a request.
///
/// # Errors
/// See [`AskError`].
pub fn ask(name: &Name, request: &Request) -> Result<(OwnedFd, Reply), AskError> {
    let silent = |errno| AskError::Silent { name: name.clone(), errno };
    let unknown = |others| AskError::Unknown { name: name.clone(), others };
    let Some(registry) = registry()? else { return Err(unknown(Vec::new())) };
    let Some(line) = registry.connect(name.as_str()).map_err(silent)? else {
        return Err(unknown(registry.names().map_err(silent)?));
    };
    tell(line.as_fd(), request, MsgFlags::empty()).map_err(silent)?;
    match hear(line.as_fd(), MsgFlags::empty()).map_err(silent)? {
        Some(Reply::Refused { why }) => Err(AskError::Refused { name: name.clone(), why }),
        Some(reply) => Ok((line, reply)),
        None => Err(silent(Errno::ECONNRESET)),
    }
}

/// How each run with a name is doing, in the order of names; or why one does not say.
///
/// # Errors
/// Runs cannot be found.
pub fn all() -> Result<Vec<Result<Status, AskError>>, RegistryError> {
    let Some(registry) = registry()? else { return Ok(Vec::new()) };
    let why = |e: Errno| RegistryError::Directory { directory: directory(), why: e.desc() };
    let asked =
        registry.names().map_err(why)?.into_iter().filter_map(|name| match ask(&name, &Request::Status) {
            Ok((_, Reply::Status(status))) => Some(Ok(status)),
            Ok(_) => Some(Err(AskError::Silent { name, errno: Errno::EBADMSG })),
            // It has ended meanwhile.
            Err(AskError::Unknown { .. }) | Err(AskError::Silent { errno: Errno::ECONNRESET, .. }) => None,
            Err(e) => Some(Err(e)),
        });
    Ok(asked.collect())
}

/// Has each call of a run that the filter wants written, until the run is over or this process gets one of
/// the signals that end it.
///
/// # Errors
/// See [`AskError`].
pub fn follow(name: &Name, filter: Filter, printer: &Printer) -> Result<(), AskError> {
    let silent = |errno| AskError::Silent { name: name.clone(), errno };
    let ends: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    let signals = ends.thread_block().and_then(|()| SignalFd::new(&ends)).map_err(silent)?;
    let (line, _) = ask(name, &Request::Trace { filter })?;
    loop {
        let mut events = [line.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut events, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            done => drop(done.map_err(silent)?),
        }
        if events[1].any().unwrap_or(true) {
            break;
        }
        match hear(line.as_fd(), MsgFlags::MSG_DONTWAIT) {
            Ok(Some(Told::Event(event))) => printer.print(&event),
            Ok(Some(Told::Lost { lost })) => printer.lost(lost),
            Ok(None) => break,
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Err(e) => return Err(silent(e)),
        }
    }
    printer.finish();
    Ok(())
}

/// The registry; nothing if no run has had a name yet.
fn registry() -> Result<Option<Registry>, RegistryError> {
    if directory().symlink_metadata().is_err() {
        return Ok(None);
    }
    Registry::open().map(Some)
}
