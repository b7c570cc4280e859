//! `fdinfo/N` (proc_pid_fdinfo(5)).
//!
//! The host's text about the supervisor's descriptor, line by line: flags, descriptors and processes are as
//! the guest numbers them, a line that is not known here is left out.

use super::procfs::errno;
use crate::state::fd::{File, Kind};
use crate::state::process::Process;
use nix::errno::Errno;
use nix::sys::stat::fstat;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The text about descriptor `n` of a process.
pub(super) fn text(process: &Process, n: i32) -> Result<Vec<u8>, Errno> {
    let file = process.fds.get(n).map_err(|_| Errno::ENOENT)?;
    let host =
        std::fs::read(format!("/proc/self/fdinfo/{}", file.host.as_fd().as_raw_fd())).map_err(errno)?;
    let cloexec = process.fds.cloexec(n).unwrap_or(false);
    let mut text = String::new();
    for line in String::from_utf8_lossy(&host).lines() {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let shown = match (key, file.kind) {
            ("flags", _) => {
                let flags = if file.kind == Kind::View { file.status_flags()? } else { octal(value) };
                let own = if cloexec { libc::O_CLOEXEC } else { 0 };
                Some(format!("flags:\t0{:o}", flags & !libc::O_CLOEXEC | own))
            }
            ("pos", Kind::View) => Some(format!("pos:\t{}", file.seek_view(0, libc::SEEK_CUR).unwrap_or(0))),
            ("eventfd-count", Kind::Signals) => {
                Some(format!("sigmask:\t{:016x}", file.signal_set()?.load(Ordering::Relaxed)))
            }
            ("eventfd-count" | "eventfd-id" | "eventfd-semaphore", Kind::Event)
            | ("clockid" | "ticks" | "settime flags" | "it_value" | "it_interval", Kind::Timer)
            | ("pos" | "mnt_id" | "ino", _) => Some(line.to_owned()),
            ("tfd", Kind::Epoll) => target(process, line),
            ("Pid" | "NSpid", _) => Some(format!("{key}:\t{}", pid(process, value.trim()))),
            _ if line.starts_with("inotify wd:") && file.kind == Kind::Event => Some(line.to_owned()),
            _ => None,
        };
        if let Some(shown) = shown {
            text += &shown;
            text.push('\n');
        }
    }
    Ok(text.into())
}

fn octal(value: &str) -> i32 {
    i32::from_str_radix(value.trim(), 8).unwrap_or(0)
}

/// A process of a descriptor (pidfd_open(2)): -1 once it is gone, 0 for one that is not in the sandbox's
/// namespace.
fn pid(process: &Process, host: &str) -> i32 {
    match host.parse() {
        Ok(host) if host > 0 => process.handle.numbered(host).unwrap_or(0),
        _ => -1,
    }
}

/// A file that an epoll waits for, by the process's own descriptor of it. In a process that has inherited the
/// epoll it is another of the same file. None if it has none any more.
fn target(process: &Process, line: &str) -> Option<String> {
    let mut words = line.split_ascii_whitespace();
    let number: i32 = words.by_ref().nth(1)?.parse().ok()?;
    let inode = words.find_map(|word| u64::from_str_radix(word.strip_prefix("ino:")?, 16).ok())?;
    let open = process.fds.iter();
    let is_it = |file: &Arc<File>| file.host.as_raw_fd() == number;
    let is_same = |file: &Arc<File>| fstat(&file.host).is_ok_and(|stat| stat.st_ino == inode);
    let find = |is: &dyn Fn(&Arc<File>) -> bool| open.iter().find(|(_, file, _)| is(file)).map(|(n, ..)| *n);
    let own = find(&is_it).or_else(|| find(&is_same))?;
    let (_, rest) = line.split_once(" events:")?;
    Some(format!("tfd: {own:8} events:{rest}"))
}
