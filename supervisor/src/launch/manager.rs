//! What a service manager has told rxbox by its environment, and what of that the guest is told.
//!
//! systemd tells a service where it is listened to (`NOTIFY_SOCKET`, sd_notify(3)), that it is watched
//! (`WATCHDOG_USEC`, sd_watchdog_enabled(3)) and which sockets it passes (`LISTEN_FDS`, sd_listen_fds(3)),
//! and by process ids whom it means. All of that is said to rxbox's own process. So no such variable is
//! passed on to the guest, whatever the profile says of the environment: it gets those that are true of it,
//! with its own process id.

use crate::state::notices;
use rxbox_policy::Notice;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::fd::RawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The variables that are the manager's to set.
const VARIABLES: [&str; 9] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "SYSTEMD_EXEC_PID",
    "MAINPIDFDID",
];

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`).
const FIRST: RawFd = 3;

/// What the manager has told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manager {
    /// Where it listens, as `NOTIFY_SOCKET` says it.
    pub socket: Option<OsString>,
    /// Whether it has started this process itself, or does not say.
    pub main: bool,
    /// Within how many microseconds it wants to be told that the service is alive.
    watchdog: Option<u64>,
    /// How many descriptors it passes.
    sockets: Option<u16>,
    names: Option<OsString>,
    /// Whether it says which process it has started.
    says_main: bool,
}

/// What a guest is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Variables, `NAME=value`.
    pub variables: Vec<Vec<u8>>,
    /// Names of variables whose values are the process id of the guest.
    pub pids: Vec<&'static str>,
    /// What it could have been told, and why it is not.
    pub notes: Vec<String>,
}

/// Whether a variable is the manager's to set.
pub fn sets(name: &OsStr) -> bool {
    VARIABLES.iter().any(|variable| name == *variable)
}

impl Manager {
    /// From the environment of the process that was started, which has this id.
    pub fn told(pid: u32, variable: impl Fn(&str) -> Option<OsString>) -> Manager {
        let number = |name: &str| variable(name)?.to_str()?.parse::<u64>().ok();
        let own = |name: &str| number(name).map(|number| number == u64::from(pid));
        let watchdog = number("WATCHDOG_USEC").filter(|n| *n > 0 && own("WATCHDOG_PID") != Some(false));
        let sockets = number("LISTEN_FDS").filter(|n| *n > 0 && own("LISTEN_PID") == Some(true));
        let sockets = sockets.and_then(|n| u16::try_from(n).ok());
        Manager {
            socket: variable("NOTIFY_SOCKET").filter(|name| matches!(name.as_bytes(), [b'/' | b'@', _, ..])),
            main: own("SYSTEMD_EXEC_PID") != Some(false),
            watchdog,
            sockets,
            names: sockets.and_then(|_| variable("LISTEN_FDNAMES")),
            says_main: own("SYSTEMD_EXEC_PID") == Some(true),
        }
    }

    /// The numbers of the descriptors that it passes.
    pub fn descriptors(&self) -> Range<RawFd> {
        FIRST..FIRST + self.sockets.map_or(0, RawFd::from)
    }

    /// What the guest is told that may tell the manager what is `allowed`, if it is heard at all, and gets
    /// these descriptors.
    pub fn tell(&self, heard: bool, allowed: &[Notice], passed: &BTreeSet<RawFd>) -> Told {
        let mut told = Told::default();
        let mut say = |name: &str, value: &[u8]| told.variables.push([name.as_bytes(), b"=", value].concat());
        if heard {
            say("NOTIFY_SOCKET", format!("@{}", notices::NAME).as_bytes());
        }
        match self.watchdog {
            Some(time) if heard && allowed.contains(&Notice::Watchdog) => {
                say("WATCHDOG_USEC", time.to_string().as_bytes());
                told.pids.push("WATCHDOG_PID");
            }
            Some(_) => told.notes.push(
                "the service is watched (WatchdogSec=), but the program may not say that it is alive: \
                 [service] notify = [\"watchdog\"]"
                    .to_owned(),
            ),
            None => {}
        }
        let all = self.descriptors().all(|number| passed.contains(&number));
        match self.sockets {
            Some(count) if all => {
                say("LISTEN_FDS", count.to_string().as_bytes());
                if let Some(names) = &self.names {
                    say("LISTEN_FDNAMES", names.as_bytes());
                }
                told.pids.push("LISTEN_PID");
            }
            Some(_) => told.notes.push(
                "the service manager passes sockets, but the profile does not: [descriptors] pass = \
                 [\"listen\"]"
                    .to_owned(),
            ),
            None => {}
        }
        if self.says_main {
            told.pids.push("SYSTEMD_EXEC_PID");
        }
        told
    }
}

impl Told {
    /// The variables with process ids, for a guest with this one.
    pub fn with_pid(&self, pid: i32) -> impl Iterator<Item = Vec<u8>> {
        self.pids.iter().map(move |name| OsString::from(format!("{name}={pid}")).into_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manager(variables: &[(&str, &str)]) -> Manager {
        let find = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
        Manager::told(7, find)
    }

    fn words(told: &Told) -> Vec<String> {
        let variables = told.variables.iter().cloned().chain(told.with_pid(2));
        variables.map(|variable| String::from_utf8(variable).unwrap()).collect()
    }

    #[test]
    fn the_guest_is_told_what_is_true_of_itself() {
        let all = [
            ("NOTIFY_SOCKET", "/run/systemd/notify"),
            ("WATCHDOG_USEC", "500000"),
            ("WATCHDOG_PID", "7"),
            ("LISTEN_FDS", "2"),
            ("LISTEN_PID", "7"),
            ("LISTEN_FDNAMES", "a:b"),
            ("SYSTEMD_EXEC_PID", "7"),
        ];
        let manager = manager(&all);
        assert_eq!(manager.descriptors(), 3..5);
        let told = manager.tell(true, &[Notice::Watchdog], &[3, 4, 9].into());
        let wanted = [
            "NOTIFY_SOCKET=@rxbox/notify",
            "WATCHDOG_USEC=500000",
            "LISTEN_FDS=2",
            "LISTEN_FDNAMES=a:b",
            "WATCHDOG_PID=2",
            "LISTEN_PID=2",
            "SYSTEMD_EXEC_PID=2",
        ];
        assert_eq!((words(&told), told.notes.len()), (wanted.map(str::to_owned).into(), 0));
        let told = manager.tell(false, &[], &[3].into());
        assert_eq!((words(&told), told.notes.len()), (vec!["SYSTEMD_EXEC_PID=2".to_owned()], 2));
        assert!(all.iter().all(|(name, _)| sets(name.as_ref())) && !sets("HOME".as_ref()));
    }

    #[test]
    fn what_is_said_to_another_process_is_not_said_to_this_one() {
        let others =
            [("LISTEN_FDS", "1"), ("LISTEN_PID", "8"), ("WATCHDOG_USEC", "1"), ("WATCHDOG_PID", "8")];
        let manager_of_others = manager(&others);
        assert_eq!(manager_of_others, Manager { main: true, ..Manager::default() });
        assert!(!manager(&[("SYSTEMD_EXEC_PID", "8")]).main);
        for socket in ["", "/", "vsock:2:1", "x/y"] {
            assert_eq!(manager(&[("NOTIFY_SOCKET", socket)]).socket, None, "{socket}");
        }
        for count in ["0", "-1", "65536", "x"] {
            let sockets = manager(&[("LISTEN_FDS", count), ("LISTEN_PID", "7")]);
            assert!(sockets.descriptors().is_empty(), "{count}");
        }
    }
}
