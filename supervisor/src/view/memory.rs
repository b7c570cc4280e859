//! What a guest process has of memory: `smaps`, and the sizes in `status`, `stat` and `statm`.
//!
//! The host tells it of the emulator child, whose memory is the guest's and the runtime's. Only mappings in
//! the guest's windows count ([`rxbox_wire::space`]). The lines of `smaps` are those of the guest's own map,
//! which the child has sent; the host's mappings can be cut otherwise (a page that holds translated code is
//! read-only there; neighbours that differ only in execution are one), so each line gets of the host's
//! figures as much as it has of the host's mapping.

use super::procfs::errno;
use crate::state::process::Process;
use nix::errno::Errno;
use rxbox_wire::sizes::PAGE;
use rxbox_wire::space::is_guests;
use std::fmt::Write;

/// A mapping of the host's.
#[derive(Debug)]
struct Mapping {
    start: u64,
    end: u64,
    writable: bool,
    shared: bool,
    /// Sizes by name, in kB, in the order of the text.
    sizes: Vec<(String, u64)>,
}

impl Mapping {
    fn size(&self, name: &str) -> u64 {
        self.sizes.iter().find(|(n, _)| n == name).map_or(0, |(_, kb)| *kb)
    }
}

/// `start-end perms` at the beginning of a line of a map.
pub(super) fn range(line: &str) -> Option<(u64, u64, &str)> {
    let (range, rest) = line.split_once(' ')?;
    let (start, end) = range.split_once('-')?;
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    Some((number(start)?, number(end)?, rest.split(' ').next()?))
}

/// The mappings in the guest's windows, out of a text of `smaps`.
fn guests(smaps: &str) -> Vec<Mapping> {
    let mut all: Vec<Mapping> = Vec::new();
    let mut inside = false;
    for line in smaps.lines() {
        if let Some((start, end, permissions)) = range(line) {
            inside = is_guests(start, end);
            if inside {
                let has = |at: usize, flag: u8| permissions.as_bytes().get(at) == Some(&flag);
                let (writable, shared) = (has(1, b'w'), has(3, b's'));
                all.push(Mapping { start, end, writable, shared, sizes: Vec::new() });
            }
        } else if let (true, Some(mapping), Some((name, value))) =
            (inside, all.last_mut(), line.split_once(':'))
            && let Some(kb) = value.trim().strip_suffix(" kB").and_then(|kb| kb.parse().ok())
        {
            mapping.sizes.push((name.to_owned(), kb));
        }
    }
    all
}

/// What the host tells of the guest's memory in an emulator child.
#[derive(Debug)]
pub struct Memory(Vec<Mapping>);

impl Memory {
    /// Of a process's child.
    pub(super) fn of(process: &Process) -> Result<Memory, Errno> {
        let read = |pid| std::fs::read(format!("/proc/{pid}/smaps")).map_err(errno);
        let text = process.handle.look(read)?;
        Ok(Memory(guests(&String::from_utf8_lossy(&text))))
    }

    fn sum(&self, of: impl Fn(&Mapping) -> u64) -> u64 {
        self.0.iter().map(of).sum()
    }

    /// Bytes of all mappings.
    pub(super) fn total(&self) -> u64 {
        self.sum(|m| m.end - m.start)
    }

    /// Bytes that are in memory.
    pub(super) fn resident(&self) -> u64 {
        self.sum(|m| m.size("Rss")) * 1024
    }

    fn anonymous(&self) -> u64 {
        self.sum(|m| m.size("Anonymous")) * 1024
    }

    /// Bytes of shared memory without a file in memory: what is mapped shared and belongs to no file system
    /// is told apart by nothing but its mapping.
    fn shared(&self) -> u64 {
        self.sum(|m| if m.shared { m.size("Rss") - m.size("Anonymous").min(m.size("Rss")) } else { 0 }) * 1024
    }

    /// Bytes of private writable mappings.
    fn data(&self) -> u64 {
        self.sum(|m| if m.writable && !m.shared { m.end - m.start } else { 0 })
    }

    /// A line of `status`, if this knows it; `Some(None)` for one that could only speak of the emulator.
    pub(super) fn status_line(&self, key: &str) -> Option<Option<String>> {
        let file = self.resident().saturating_sub(self.anonymous() + self.shared());
        let bytes = match key {
            "VmPeak" | "VmSize" => self.total(),
            "VmHWM" | "VmRSS" => self.resident(),
            "RssAnon" => self.anonymous(),
            "RssFile" => file,
            "RssShmem" => self.shared(),
            "VmData" => self.data(),
            "VmLck" => self.sum(|m| m.size("Locked")) * 1024,
            "VmSwap" => self.sum(|m| m.size("Swap")) * 1024,
            "VmStk" | "VmExe" | "VmLib" | "VmPTE" => return Some(None),
            _ => return None,
        };
        Some(Some(format!("{key}:\t{:8} kB", bytes / 1024)))
    }

    /// `statm` (proc_pid_statm(5)).
    pub(super) fn statm(&self) -> String {
        let shared = self.resident().saturating_sub(self.anonymous());
        let [total, resident, shared, data] =
            [self.total(), self.resident(), shared, self.data()].map(|bytes| bytes / PAGE);
        format!("{total} {resident} {shared} 0 0 {data} 0\n")
    }

    /// Resident pages, for `stat`.
    pub(super) fn resident_pages(&self) -> u64 {
        self.resident() / PAGE
    }

    /// The sizes of a range, in the order of the host's text: of each mapping the part that the range has of
    /// it.
    fn sizes(&self, start: u64, end: u64) -> Vec<(&str, u64)> {
        let mut sizes: Vec<(&str, u64)> = Vec::new();
        // The host lists them by address. A guest can have tens of thousands: none is to be looked at for
        // every line.
        let first = self.0.partition_point(|mapping| mapping.end <= start);
        for mapping in self.0[first..].iter().take_while(|mapping| mapping.start < end) {
            let common = mapping.end.min(end).saturating_sub(mapping.start.max(start));
            let whole = mapping.end - mapping.start;
            for (name, kb) in mapping.sizes.iter().filter(|(name, _)| !FIXED.contains(&name.as_str())) {
                let part = (u128::from(*kb) * u128::from(common) / u128::from(whole)) as u64;
                match sizes.iter_mut().find(|(n, _)| n == name) {
                    Some((_, sum)) => *sum += part,
                    None => sizes.push((name, part)),
                }
            }
        }
        sizes
    }

    /// `smaps` (proc_pid_smaps(5)) for the guest's own `maps`.
    pub(super) fn smaps(&self, maps: &[u8]) -> Vec<u8> {
        let mut text = String::new();
        for line in String::from_utf8_lossy(maps).lines() {
            let Some((start, end, permissions)) = range(line) else { continue };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{line}");
            let size = (end - start) / 1024;
            for (name, kb) in [("Size", size), ("KernelPageSize", PAGE / 1024), ("MMUPageSize", PAGE / 1024)]
            {
                let _ = line_of(&mut text, name, kb);
            }
            for (name, kb) in self.sizes(start, end) {
                let _ = line_of(&mut text, name, kb);
            }
            let _ = writeln!(text, "THPeligible:           0\nVmFlags: {}", flags(permissions));
        }
        text.into()
    }

    /// `smaps_rollup` (proc_pid_smaps_rollup(5)).
    pub(super) fn rollup(&self) -> Vec<u8> {
        let (start, end) = (self.0.first().map_or(0, |m| m.start), self.0.last().map_or(0, |m| m.end));
        let mut text = format!("{start:x}-{end:x} ---p 00000000 00:00 0{:>34}\n", "[rollup]");
        for (name, kb) in self.sizes(0, u64::MAX) {
            let _ = line_of(&mut text, name, kb);
        }
        text.into()
    }
}

/// Sizes that are the same for every mapping, or follow from its bounds.
const FIXED: [&str; 3] = ["Size", "KernelPageSize", "MMUPageSize"];

fn line_of(text: &mut String, name: &str, kb: u64) -> std::fmt::Result {
    writeln!(text, "{:<16}{kb:>8} kB", format!("{name}:"))
}

/// `VmFlags` that follow from the permissions.
fn flags(permissions: &str) -> String {
    let set = permissions.chars().filter_map(|c| match c {
        'r' => Some("rd "),
        'w' => Some("wr "),
        'x' => Some("ex "),
        's' => Some("sh "),
        _ => None,
    });
    set.chain(["mr ", "mw ", "me "]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "\
00400000-00404000 r--p 00000000 fe:00 7      /bin/guest
Size:                 16 kB
Rss:                  16 kB
Anonymous:             0 kB
VmFlags: rd mr
70000000-70001000 rw-p 00000000 00:00 0
Size:                  4 kB
Rss:                   4 kB
90000000-90002000 rw-p 00000000 00:00 0
Size:                  8 kB
Rss:                   4 kB
Anonymous:             4 kB
7f0000000000-7f0000001000 rw-p 00000000 00:00 0
Rss:                   4 kB
";

    #[test]
    fn only_what_lies_in_the_windows_counts() {
        let memory = Memory(guests(HOST));
        assert_eq!((memory.total(), memory.resident()), (24 * 1024, 20 * 1024));
        assert_eq!(memory.statm(), "6 5 4 0 0 2 0\n");
        assert_eq!(memory.status_line("VmRSS"), Some(Some("VmRSS:\t      20 kB".into())));
        assert_eq!((memory.status_line("VmExe"), memory.status_line("Name")), (Some(None), None));
    }

    #[test]
    fn a_line_of_the_guests_map_has_its_part_of_the_hosts_mapping() {
        let memory = Memory(guests(HOST));
        let maps = b"00400000-00401000 r--p 00000000 fe:00 7   /bin/guest\n00401000-00404000 r-xp 00001000 \
            fe:00 7   /bin/guest\n";
        let text = String::from_utf8(memory.smaps(maps)).unwrap();
        let sizes: Vec<&str> = text.lines().filter(|l| l.starts_with("Rss:")).map(str::trim).collect();
        assert_eq!(sizes, ["Rss:                   4 kB", "Rss:                  12 kB"]);
        assert!(text.contains("VmFlags: rd ex mr mw me"), "{text}");
        let rollup = String::from_utf8(memory.rollup()).unwrap();
        assert!(rollup.starts_with("400000-90002000 ---p") && rollup.contains("Rss:                  20 kB"));
    }

    /// As many mappings as a process can have: if each line of the one map looked at all of the other, this
    /// would take hours.
    #[test]
    fn the_largest_map_is_told_like_any_other() {
        const MAPPINGS: u64 = 65530;
        let line =
            |n: u64| format!("{:x}-{:x} rw-p 00000000 00:00 0\n", (2 * n + 16) * PAGE, (2 * n + 17) * PAGE);
        let maps: String = (0..MAPPINGS).map(line).collect();
        let host: String = (0..MAPPINGS).map(|n| line(n) + "Rss: 4 kB\n").collect();
        let memory = Memory(guests(&host));
        let text = String::from_utf8(memory.smaps(maps.as_bytes())).unwrap();
        assert_eq!(text.matches("Rss:                   4 kB").count() as u64, MAPPINGS);
        assert_eq!(memory.resident(), MAPPINGS * PAGE);
    }
}
