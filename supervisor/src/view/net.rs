//! `/proc/PID/net` (proc_pid_net(5)).
//!
//! What it tells of interfaces, addresses and routes is that of the host's network only where the profile
//! shows interfaces ([`rxbox_policy::Policy::shows_interfaces`]), else that of the empty network in which the
//! emulator children are; if the host gives none, nothing stands behind the heading. Of sockets there are
//! those that a descriptor of a guest stands for, found by their inode numbers: those that are not accepted
//! yet, and those that close without a descriptor, have none. Addresses of the kernel are 0.

use super::procfs::errno;
use crate::caller::Caller;
use crate::state::fd::Kind;
use crate::state::process::Process;
use nix::errno::Errno;
use nix::sys::stat::fstat;
use std::collections::HashSet;

/// What a file below `net` is about.
#[derive(Clone, Copy, Debug)]
pub enum Net {
    /// Interfaces and what is known of ways through them; so many lines are a heading.
    Interfaces {
        /// Lines of the heading.
        head: usize,
    },
    /// Sockets, one a line below one line of heading.
    Sockets {
        /// The word in which the inode number stands.
        inode: usize,
        /// Whether lines begin with their number.
        numbered: bool,
    },
    /// Unix sockets.
    Unix,
}

impl Net {
    /// The text of the file `name` (`net/tcp`).
    pub(super) fn text(self, caller: &Caller<'_>, process: &Process, name: &str) -> Result<Vec<u8>, Errno> {
        let own = || std::fs::read(format!("/proc/thread-self/{name}")).map_err(errno);
        let apart = || {
            let read = |pid| std::fs::read(format!("/proc/{pid}/{name}")).map_err(errno);
            caller.sandbox.is_network_apart().then(|| process.handle.look(read))
        };
        let (inode, numbered) = match self {
            Net::Interfaces { .. } if caller.sandbox.policy.shows_interfaces() => return own(),
            Net::Interfaces { head } => {
                return apart().unwrap_or_else(|| {
                    let lines = |text: Vec<u8>| {
                        text.split_inclusive(|b| *b == b'\n').take(head).flatten().copied().collect()
                    };
                    own().map(lines)
                });
            }
            Net::Sockets { inode, numbered } => (inode, numbered),
            Net::Unix => (UNIX_INODE, false),
        };
        let inodes = inodes(caller);
        let apart = apart().and_then(Result::ok).unwrap_or_default();
        let text = own()?;
        let mut lines = text.split_inclusive(|&b| b == b'\n');
        let mut shown = lines.next().unwrap_or_default().to_vec();
        let more = apart.split_inclusive(|&b| b == b'\n').skip(1);
        let belongs = |line: &&[u8]| {
            word(line, inode).and_then(|n| n.parse().ok()).is_some_and(|n| inodes.contains(&n))
        };
        for (n, line) in lines.chain(more).filter(belongs).enumerate() {
            shown.extend(match self {
                Net::Unix => unix(caller, line),
                _ if numbered => renumbered(line, n),
                _ => unaddressed(line),
            });
        }
        Ok(shown)
    }
}

/// Where `unix` has the inode number.
const UNIX_INODE: usize = 6;

/// The inode numbers of the sandbox's sockets.
fn inodes(caller: &Caller<'_>) -> HashSet<u64> {
    let mut inodes = HashSet::new();
    for process in caller.sandbox.processes.all() {
        let sockets = process.fds.iter().into_iter().filter(|(_, file, _)| file.kind == Kind::Socket);
        inodes.extend(sockets.filter_map(|(_, file, _)| fstat(&file.host).ok()).map(|stat| stat.st_ino));
    }
    inodes
}

fn word(line: &[u8], number: usize) -> Option<&str> {
    std::str::from_utf8(line).ok().or_else(|| printable(line))?.split_ascii_whitespace().nth(number)
}

/// What stands before the first byte that is no text: a name comes last in its line.
fn printable(line: &[u8]) -> Option<&str> {
    let end = std::str::from_utf8(line).err()?.valid_up_to();
    std::str::from_utf8(&line[..end]).ok()
}

/// A line as the `n`th: the number counts the host's lines.
fn renumbered(line: &[u8], n: usize) -> Vec<u8> {
    let Some(colon) = line.iter().position(|&b| b == b':') else { return Vec::new() };
    let mut own = format!("{n:>colon$}").into_bytes();
    own.extend(zeroed(&line[colon..]));
    own
}

/// A line that begins with an address of the kernel's.
fn unaddressed(line: &[u8]) -> Vec<u8> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    [vec![b'0'; digits].as_slice(), &line[digits..]].concat()
}

/// A line with zeros for the address of the socket in the kernel: the one word of 16 digits behind those that
/// tell of addresses, which have colons.
fn zeroed(line: &[u8]) -> Vec<u8> {
    let is_address = |word: &[u8]| word.len() == 16 && word.iter().all(u8::is_ascii_hexdigit);
    let words = line.split(|&b| b == b' ').map(|word| if is_address(word) { &[b'0'; 16] } else { word });
    words.collect::<Vec<_>>().join(&b' ')
}

/// A line of `unix`, with the name by which guests know it.
fn unix(caller: &Caller<'_>, line: &[u8]) -> Vec<u8> {
    let line = unaddressed(line);
    let Some(start) = line.iter().position(|&b| b == b'/') else { return line };
    let end = line.len() - usize::from(line.ends_with(b"\n"));
    let address = [&(libc::AF_UNIX as u16).to_le_bytes()[..], &line[start..end]].concat();
    let shown = caller.sandbox.anchors.shown(&address);
    let name = shown[2..].split(|&b| b == 0).next().unwrap_or_default();
    [&line[..start], name, b"\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_count_what_is_shown_and_hide_where_the_kernel_has_it() {
        let line = b"  12: 0100007F:07E8 00000000:0000 0A 00000000:00000000 00:00000000 00000000     \
            0        0 46 1 00000000815784e6 100 0 0 10 0\n";
        let shown = String::from_utf8(renumbered(line, 3)).unwrap();
        assert!(
            shown.starts_with("   3: 0100007F:07E8 ") && shown.contains(" 46 1 0000000000000000 100 "),
            "{shown}"
        );
        assert_eq!(shown.len(), line.len());
        assert_eq!(unaddressed(b"000000002bcf8dfa: 00000003 x\n"), b"0000000000000000: 00000003 x\n");
        assert_eq!(word(b"a b 7 /\xff\xfe 9", 2), Some("7"));
    }
}
