//! What the host tells of an emulator child or one of its threads: `/proc/PID/stat` and `/proc/PID/status`
//! (proc_pid_stat(5), proc_pid_status(5)). All numbers are the host's.

use nix::unistd::{Pid, getpgid, getsid};
use std::fs::File;
use std::io::Read;

/// Room for either file in nearly all cases, so that it comes with one read: stat has some 50 numbers, status
/// some 60 lines, but one of them names all groups.
const USUAL: usize = 4096;

/// The file below `/proc`.
fn read(name: &str) -> Option<Vec<u8>> {
    let mut text = Vec::with_capacity(USUAL);
    // Without `take` the library would ask for the size first, which is 0.
    File::open(format!("/proc/{name}")).ok()?.take(u64::MAX).read_to_end(&mut text).ok()?;
    Some(text)
}

/// The fields of a `stat` file behind the name, which stands in parentheses and may itself contain some.
#[derive(Debug)]
pub struct Stat(String);

impl Stat {
    /// The field that says how many threads there are.
    pub const THREADS: usize = 20;

    /// Of a process; `None` if there is none.
    pub fn of_process(pid: i32) -> Option<Stat> {
        Stat::parse(&read(&format!("{pid}/stat"))?)
    }

    /// Of a thread.
    pub fn of_thread(pid: i32, tid: i32) -> Option<Stat> {
        Stat::parse(&read(&format!("{pid}/task/{tid}/stat"))?)
    }

    fn parse(text: &[u8]) -> Option<Stat> {
        let end = text.iter().rposition(|&b| b == b')')?;
        let fields = std::str::from_utf8(&text[end + 1..]).ok()?;
        Some(Stat(fields.to_owned()))
    }

    /// The field with the number that the manual page gives it, from 3 on.
    fn word(&self, number: usize) -> Option<&str> {
        self.0.split_ascii_whitespace().nth(number.checked_sub(3)?)
    }

    /// The number in this field; 0 if there is none.
    pub fn field(&self, number: usize) -> u64 {
        self.word(number).and_then(|word| word.parse().ok()).unwrap_or(0)
    }

    /// The state: `R`, `S`, `T` for stopped, `Z` for a zombie, ...
    pub fn state(&self) -> Option<u8> {
        self.word(3)?.bytes().next()
    }

    /// The parent's process id.
    pub fn parent(&self) -> Option<i32> {
        self.word(4)?.parse().ok()
    }
}

/// The lines of a `status` file.
#[derive(Debug)]
pub struct Status(String);

impl Status {
    /// Of a process; `None` if there is none.
    pub fn of_process(pid: i32) -> Option<Status> {
        String::from_utf8(read(&format!("{pid}/status"))?).ok().map(Status)
    }

    /// Of a thread.
    pub fn of_thread(pid: i32, tid: i32) -> Option<Status> {
        String::from_utf8(read(&format!("{pid}/task/{tid}/status"))?).ok().map(Status)
    }

    /// What stands behind `key` and a colon; nothing if there is no such line.
    pub fn value(&self, key: &str) -> &str {
        let line = self.0.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.map(str::trim).unwrap_or_default()
    }

    /// The set of signals behind `key`, bit 0 for signal 1.
    pub fn signals(&self, key: &str) -> u64 {
        u64::from_str_radix(self.value(key), 16).unwrap_or(0)
    }
}

/// The parent on the host of a process.
pub fn parent_of(pid: i32) -> Option<i32> {
    Stat::of_process(pid)?.parent()
}

/// The group of a process; `None` once it is gone.
pub fn group_of(pid: i32) -> Option<i32> {
    getpgid(Some(Pid::from_raw(pid))).ok().map(Pid::as_raw)
}

/// The session of a process; `None` once it is gone.
pub fn session_of(pid: i32) -> Option<i32> {
    getsid(Some(Pid::from_raw(pid))).ok().map(Pid::as_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        let parent = |stat: &[u8]| Stat::parse(stat).and_then(|stat| stat.parent());
        assert_eq!(parent(b"70 (a) b) (c) S 69 70 70 0"), Some(69));
        assert_eq!(parent(b"70 (sh) R 1 2"), Some(1));
        assert_eq!(parent(b"70 sh R 1 2"), None);
        assert_eq!(parent(b"70 (sh)"), None);
        assert_eq!(parent_of(std::process::id() as i32), Some(nix::unistd::getppid().as_raw()));
        assert_eq!(parent_of(i32::MAX), None);
    }

    #[test]
    fn fields_have_the_numbers_of_the_manual_page() {
        let stat = Stat::parse(b"70 (sh) Z 69 71 x 5").unwrap();
        assert_eq!(stat.state(), Some(b'Z'));
        assert_eq!([3, 4, 5, 6, 7, 8, 2].map(|n| stat.field(n)), [0, 69, 71, 0, 5, 0, 0]);
    }

    #[test]
    fn values_are_found_by_their_whole_key() {
        let (pid, tid) = (std::process::id() as i32, nix::unistd::gettid().as_raw());
        let status = Status::of_thread(pid, tid).unwrap();
        assert_eq!((status.value("Tgid"), status.value("Pid")), (&*pid.to_string(), &*tid.to_string()));
        assert_eq!((status.value("Pi"), status.signals("Pi")), ("", 0));
        assert_eq!(Status("SigBlk:\t0000000000000201\n".into()).signals("SigBlk"), 0x201);
    }
}
