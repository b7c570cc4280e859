//! A container as a run: what it has beyond the run of a program.
//!
//! Everything of the container's has been prepared before: its namespaces, its files, its environment, its
//! terminal. The job process is the container's process. The supervisor makes the container's files its root
//! once there is a maker, which needs the root of the mount namespace; from there on every name means what it
//! means in the container. Before the guest starts it waits to be asked to, on the socket that it answers for
//! as long as the run lasts ([`crate::monitor`]).
//!
//! Whatever reads files by itself is a danger in a root that somebody else has filled: the C library's user
//! database loads libraries as a file there says. So nothing of it is used; whoever has no home in the
//! environment has the one that the container's list of users says, which is read as a text.

use crate::host::credentials::Credentials;
use crate::host::start;
use crate::monitor::message::{Reply, Request, hear, tell};
use crate::report::ending::End;
use crate::report::outcome::Outcome;
use crate::run::job::{Job, Said};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::MsgFlags;
use nix::sys::stat::Mode;
use nix::unistd::{chdir, chroot, fchdir};
use rxbox_policy::{ReadProfile, Variables};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

/// A container that is ready to be run in.
#[derive(Debug)]
pub struct Contained {
    /// Its name.
    pub id: String,
    /// Its profile, read on the host.
    pub profile: ReadProfile,
    /// Its files.
    pub root: OwnedFd,
    /// The root of its mount namespace, where emulator children begin.
    pub outer: OwnedFd,
    /// The files of rxbox's own that these execute.
    pub own: Vec<OwnedFd>,
    /// Its working directory.
    pub cwd: PathBuf,
    /// As whom the first process runs.
    pub credentials: Credentials,
    /// Where it is asked.
    pub listener: UnixListener,
    /// Where whoever makes it hears how far it has come.
    pub maker: OwnedFd,
}

/// How far a container has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "kebab-case")]
pub enum Progress {
    /// It is in its namespaces, and waits to be answered with the same word.
    Namespaces,
    /// It waits to be started; what is not as it was asked for.
    Ready {
        /// In words.
        warnings: Vec<String>,
    },
    /// It has come to nothing.
    Failed {
        /// Why.
        why: String,
    },
}

/// How long whoever has connected may take to say what it wants.
const PATIENCE: u16 = 5000;

impl Contained {
    /// Enters its root for good. This process must have one thread.
    ///
    /// # Errors
    /// As chroot(2), chdir(2).
    pub(super) fn enter(&self) -> Result<(), Outcome> {
        let failed = |what: String| move |e: Errno| Outcome::Failed(format!("{what}: {}", e.desc()));
        fchdir(&self.root).and_then(|()| chroot(".")).map_err(failed("the container's root".to_owned()))?;
        crate::host::procfs::is_own().map_err(failed("the container's /proc".to_owned()))?;
        let cwd = Path::new("/").join(&self.cwd);
        // What fails is seen in the next step.
        let _ = std::fs::create_dir_all(&cwd);
        chdir(&cwd).map_err(failed(format!("the working directory {}", cwd.display())))?;
        if std::env::var_os("HOME").is_none_or(|home| home.is_empty()) {
            let user = of_user(&users(), self.credentials.user.real);
            start::set_variable("HOME", user.map_or("/".into(), |(_, home)| home).as_ref());
        }
        Ok(())
    }

    /// What profiles' variables stand for in it.
    pub(super) fn variables(&self, program: &Path) -> Variables {
        let uid = self.credentials.user.real;
        Variables {
            home: std::env::var_os("HOME").map(PathBuf::from),
            other_homes: Vec::new(),
            cwd: std::env::current_dir().ok(),
            program: Some(program.to_path_buf()),
            tmpdir: Some("/tmp".into()),
            user: of_user(&users(), uid).map(|(name, _)| name),
            uid: Some(uid),
            invoked: None,
            own: Vec::new(),
            unseen: Vec::new(),
        }
    }

    /// Says how far it has come, to whoever makes it. One that is gone has ended it, too.
    pub(super) fn tell(&self, progress: &Progress) {
        let _ = tell(self.maker.as_fd(), progress, MsgFlags::empty());
    }

    /// Waits until it is to start.
    ///
    /// # Errors
    /// It is ended before.
    pub(super) fn wait_for_start(&self, job: &Job) -> Result<(), Outcome> {
        let broken = |e: Errno| Outcome::Failed(format!("the container's socket: {}", e.desc()));
        loop {
            let mut events =
                [self.listener.as_fd(), job.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut events, PollTimeout::NONE) {
                Err(Errno::EINTR) => continue,
                done => drop(done.map_err(broken)?),
            }
            let [asked, told] = events.map(|event| event.any().unwrap_or(true));
            if told {
                match job.said().map_err(broken)? {
                    Some(Said::Signal(received)) if ends_by_default(received.signal) => {
                        return Err(Outcome::Signaled(received.signal));
                    }
                    Some(Said::Ended) => {
                        return Err(Outcome::Ended(End::Broken("the job process has ended".to_owned())));
                    }
                    _ => {}
                }
            }
            if asked && self.is_asked_to_start() {
                return Ok(());
            }
        }
    }

    fn is_asked_to_start(&self) -> bool {
        let Ok((line, _)) = self.listener.accept() else { return false };
        let line = OwnedFd::from(line);
        let mut event = [PollFd::new(line.as_fd(), PollFlags::POLLIN)];
        if poll(&mut event, PATIENCE) != Ok(1) {
            return false;
        }
        let start = matches!(hear(line.as_fd(), MsgFlags::MSG_DONTWAIT), Ok(Some(Request::Start)));
        let why = "the container has not been started".to_owned();
        let reply = if start { Reply::Done } else { Reply::Refused { why } };
        let _ = tell(line.as_fd(), &reply, MsgFlags::MSG_DONTWAIT);
        start
    }
}

/// Whether a signal ends a process that does nothing about it (signal(7)).
fn ends_by_default(signal: i32) -> bool {
    ![
        libc::SIGCHLD,
        libc::SIGCONT,
        libc::SIGURG,
        libc::SIGWINCH,
        libc::SIGSTOP,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
    ]
    .contains(&signal)
}

/// The container's list of users (passwd(5)); empty if there is none that can be read.
fn users() -> String {
    const LARGEST: u64 = 1 << 20;
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    let Ok(file) = open("/etc/passwd", flags, Mode::empty()).map(File::from) else { return String::new() };
    let mut text = Vec::new();
    if file.metadata().is_ok_and(|file| file.is_file()) {
        // What could be read will do.
        let _ = file.take(LARGEST).read_to_end(&mut text);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// The name and the home of a user in a list.
fn of_user(list: &str, uid: u32) -> Option<(String, String)> {
    list.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        let home = fields.nth(2).filter(|home| home.starts_with('/'))?;
        (number.parse() == Ok(uid)).then(|| (name.to_owned(), home.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let list = "root:x:0:0:root:/root:/bin/sh\nodd\nweb:x:33:33::/var/www:\nbad:x:34:34::relative:/x\n";
        assert_eq!(of_user(list, 33), Some(("web".to_owned(), "/var/www".to_owned())));
        assert_eq!((of_user(list, 34), of_user(list, 7)), (None, None));
    }
}
