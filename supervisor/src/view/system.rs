//! The files of `/proc` that are about the whole system, read from the host.
//!
//! Only what is listed here exists. The list holds what programs ask to fit themselves to the machine,
//! nothing that is about processes, their connections or the kernel's secrets, and nothing can be written to.

use super::procfs::{errno, proc_directory};
use crate::host::dirent::entries;
use crate::host::lookup;
use crate::host::name::{getdents64, reopen};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use nix::sys::stat::{FileStat, fstat};
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

/// Files and, with a slash at the end, whole trees, relative to `/proc`, with what they are; by name.
pub(super) const OFFERED: &[(&str, &str)] = &[
    ("cgroups", "controllers of the kernel"),
    ("cmdline", "of the kernel"),
    ("config.gz", "of the kernel"),
    ("consoles", "of the machine"),
    ("cpuinfo", "with the features that cpuid shows to a guest"),
    ("crypto", "algorithms of the kernel"),
    ("devices", "major numbers of the kernel"),
    ("diskstats", "of the machine"),
    ("execdomains", "of the kernel"),
    ("filesystems", "of the kernel"),
    ("loadavg", "of the machine"),
    ("meminfo", "of the machine"),
    ("misc", "minor numbers of the kernel"),
    ("partitions", "of the machine"),
    ("pressure/", "of the machine"),
    ("softirqs", "of the machine"),
    ("stat", "of the machine"),
    ("swaps", "of the machine"),
    ("sys/abi/", "settings of the kernel"),
    ("sys/fs/", "settings of the kernel"),
    ("sys/kernel/", "settings of the kernel"),
    ("sys/net/core/", "settings of the kernel"),
    ("sys/net/ipv4/conf/all/", "settings of the kernel; those of one interface are not there"),
    ("sys/net/ipv4/conf/default/", "settings of the kernel"),
    ("sys/net/ipv4/icmp_echo_ignore_all", "settings of the kernel"),
    ("sys/net/ipv4/ip_default_ttl", "settings of the kernel"),
    ("sys/net/ipv4/ip_forward", "settings of the kernel"),
    ("sys/net/ipv4/ip_local_port_range", "settings of the kernel"),
    ("sys/net/ipv4/ip_local_reserved_ports", "settings of the kernel"),
    ("sys/net/ipv4/ip_nonlocal_bind", "settings of the kernel"),
    ("sys/net/ipv4/ip_unprivileged_port_start", "settings of the kernel"),
    ("sys/net/ipv4/ping_group_range", "settings of the kernel"),
    ("sys/net/ipv4/tcp_available_congestion_control", "settings of the kernel"),
    ("sys/net/ipv4/tcp_congestion_control", "settings of the kernel"),
    ("sys/net/ipv4/tcp_fastopen", "settings of the kernel"),
    ("sys/net/ipv4/tcp_fin_timeout", "settings of the kernel"),
    ("sys/net/ipv4/tcp_keepalive_intvl", "settings of the kernel"),
    ("sys/net/ipv4/tcp_keepalive_probes", "settings of the kernel"),
    ("sys/net/ipv4/tcp_keepalive_time", "settings of the kernel"),
    ("sys/net/ipv4/tcp_max_syn_backlog", "settings of the kernel"),
    ("sys/net/ipv4/tcp_mem", "settings of the kernel"),
    ("sys/net/ipv4/tcp_rmem", "settings of the kernel"),
    ("sys/net/ipv4/tcp_sack", "settings of the kernel"),
    ("sys/net/ipv4/tcp_syncookies", "settings of the kernel"),
    ("sys/net/ipv4/tcp_timestamps", "settings of the kernel"),
    ("sys/net/ipv4/tcp_tw_reuse", "settings of the kernel"),
    ("sys/net/ipv4/tcp_window_scaling", "settings of the kernel"),
    ("sys/net/ipv4/tcp_wmem", "settings of the kernel"),
    ("sys/net/ipv4/udp_mem", "settings of the kernel"),
    ("sys/net/ipv6/bindv6only", "settings of the kernel"),
    ("sys/net/ipv6/conf/all/", "settings of the kernel; those of one interface are not there"),
    ("sys/net/ipv6/conf/default/", "settings of the kernel"),
    ("sys/net/unix/", "settings of the kernel"),
    ("sys/user/", "settings of the kernel"),
    ("sys/vm/", "settings of the kernel"),
    ("tty/drivers", "major numbers of the kernel"),
    ("uptime", "of the machine"),
    ("version", "of the kernel"),
    ("vmstat", "of the machine"),
];

/// What else kernels have, with why it is not there.
#[cfg(test)]
pub(super) const REFUSED: &[(&str, &str)] = &[
    ("NUMBER", "processes outside of the sandbox"),
    ("acpi", "the machine's devices, which can be changed there"),
    ("allocinfo", "the kernel's memory"),
    ("asound", "the machine's devices"),
    ("bootconfig", "the machine's configuration"),
    ("buddyinfo", "the kernel's memory"),
    ("bus", "the machine's devices, with their registers"),
    ("dma", "the machine's devices"),
    ("driver", "the machine's devices"),
    ("dynamic_debug", "the kernel's messages"),
    ("fb", "the machine's devices"),
    ("fs", "the host's file systems"),
    ("interrupts", "the machine's devices"),
    ("iomem", "addresses of the machine"),
    ("ioports", "addresses of the machine"),
    ("irq", "the machine's devices"),
    ("kallsyms", "addresses of the kernel"),
    ("kcore", "the machine's memory"),
    ("key-users", "keys of the host's users"),
    ("keys", "keys of the host's users"),
    ("kmsg", "the kernel's messages"),
    ("kpagecgroup", "the machine's memory"),
    ("kpagecount", "the machine's memory"),
    ("kpageflags", "the machine's memory"),
    ("latency_stats", "processes outside of the sandbox"),
    ("locks", "processes outside of the sandbox"),
    ("mdstat", "the machine's devices"),
    ("modules", "addresses of the kernel"),
    ("mtd", "the machine's devices"),
    ("mtrr", "addresses of the machine"),
    ("pagetypeinfo", "the kernel's memory"),
    ("sched_debug", "processes outside of the sandbox"),
    ("schedstat", "processes outside of the sandbox"),
    ("scsi", "the machine's devices, which can be changed there"),
    ("slabinfo", "the kernel's memory"),
    ("sys/crypto", "settings of the kernel's administration"),
    ("sys/debug", "settings of the kernel's administration"),
    ("sys/dev", "the machine's devices"),
    ("sysrq-trigger", "orders to the machine"),
    ("sysvipc", "objects outside of the sandbox; ipcs(1) asks by calls"),
    ("timer_list", "processes outside of the sandbox"),
    ("vmallocinfo", "addresses of the kernel"),
    ("xen", "the machine's devices"),
    ("zoneinfo", "the kernel's memory"),
];

/// What `cpuinfo` calls features of the processor that `cpuid` does not show to a guest, because the
/// translator does not carry them or they are an operating system's own; with a star what begins so. A
/// program must not find here what it then lacks.
const WITHHELD: &[&str] = &[
    "3dnow",
    "3dnowext",
    "aeskle",
    "amx_*",
    "avx10*",
    "avx512_4fmaps",
    "avx512_4vnniw",
    "avx512er",
    "avx512pf",
    "cmpccxadd",
    "enqcmd",
    "fma4",
    "fred",
    "hle",
    "hreset",
    "hypervisor",
    "ibt",
    "invpcid",
    "kl",
    "lam",
    "lwp",
    "monitor",
    "monitorx",
    "mpx",
    "ospke",
    "pconfig",
    "pku",
    "ptwrite",
    "rtm",
    "sep",
    "sgx*",
    "shstk",
    "smx",
    "svm",
    "tbm",
    "tsxldtrk",
    "uintr",
    "user_shstk",
    "vmx",
    "waitpkg",
    "widekl",
    "xfd",
    "xop",
    "xsaves",
];

/// Whether a flag of `cpuinfo` is shown.
fn shown(flag: &str) -> bool {
    !WITHHELD.iter().any(|name| match name.strip_suffix('*') {
        Some(start) => flag.starts_with(start),
        None => flag == *name,
    })
}

/// `cpuinfo` (proc_cpuinfo(5)) with the flags that `cpuid` shows.
fn processors(host: &str) -> String {
    let line = |line: &str| match line.split_once(": ") {
        Some((key, flags)) if key.trim_end() == "flags" => {
            let flags: Vec<&str> = flags.split(' ').filter(|flag| shown(flag)).collect();
            format!("{key}: {}\n", flags.join(" "))
        }
        _ => format!("{line}\n"),
    };
    host.lines().map(line).collect()
}

/// One of those files or a directory that leads to one.
#[derive(Clone, Debug)]
pub struct System {
    /// Relative to `/proc`.
    path: String,
    /// Holds the host's file (`O_PATH`).
    fd: Arc<OwnedFd>,
    /// Its status.
    pub(super) stat: FileStat,
}

/// Whether a name is offered: a listed file, within a listed tree, or a directory on the way to either.
fn offered(path: &str) -> bool {
    OFFERED.iter().any(|(entry, _)| match entry.strip_suffix('/') {
        Some(tree) => within(path, tree) || within(tree, path),
        None => within(entry, path),
    })
}

/// Whether `path` is `tree` or below it.
fn within(path: &str, tree: &str) -> bool {
    path.strip_prefix(tree).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl System {
    fn find(path: String) -> Result<System, Errno> {
        if !offered(&path) {
            return Err(Errno::ENOENT);
        }
        let name = CString::new(path.as_str()).map_err(|_| Errno::ENOENT)?;
        let fd = lookup::find(proc_directory()?, &name, false, ResolveFlag::RESOLVE_BENEATH)?;
        let stat = fstat(&fd)?;
        match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG | libc::S_IFDIR => Ok(System { path, fd: Arc::new(fd), stat }),
            _ => Err(Errno::ENOENT),
        }
    }

    /// The entry `name` of `/proc`.
    pub(super) fn top(name: &[u8]) -> Result<System, Errno> {
        System::find(String::from_utf8(name.to_vec()).map_err(|_| Errno::ENOENT)?)
    }

    /// The entries of `/proc` that exist on this host.
    pub(super) fn tops() -> impl Iterator<Item = (Vec<u8>, u8)> {
        let mut names: Vec<&str> = OFFERED.iter().filter_map(|(entry, _)| entry.split('/').next()).collect();
        names.dedup();
        names
            .into_iter()
            .filter_map(|name| Some((name.as_bytes().to_vec(), System::find(name.to_owned()).ok()?.kind())))
    }

    pub(super) fn child(&self, name: &[u8]) -> Result<System, Errno> {
        if !self.is_dir() {
            return Err(Errno::ENOTDIR);
        }
        let name = std::str::from_utf8(name).map_err(|_| Errno::ENOENT)?;
        if matches!(name, "." | "..") {
            return Err(Errno::ENOENT);
        }
        System::find(format!("{}/{name}", self.path))
    }

    pub(super) fn parent(&self) -> Option<System> {
        System::find(self.path.rsplit_once('/')?.0.to_owned()).ok()
    }

    pub(super) fn entries(&self) -> Result<Vec<(Vec<u8>, u8)>, Errno> {
        let fd = reopen(self.fd.as_fd(), (OFlag::O_RDONLY | OFlag::O_DIRECTORY).bits())?;
        let mut list = Vec::new();
        loop {
            let buffer = getdents64(fd.as_fd(), 1 << 15)?;
            if buffer.is_empty() {
                return Ok(list);
            }
            list.extend(
                entries(&buffer)
                    .filter_map(|entry| Some((entry.name.to_vec(), self.child(entry.name).ok()?.kind()))),
            );
        }
    }

    fn kind(&self) -> u8 {
        if self.is_dir() { libc::DT_DIR } else { libc::DT_REG }
    }

    pub(super) fn is_dir(&self) -> bool {
        self.stat.st_mode & libc::S_IFMT == libc::S_IFDIR
    }

    pub(super) fn path(&self) -> Vec<u8> {
        [b"/proc/", self.path.as_bytes()].concat()
    }

    /// The text, where it is not that of the host's file.
    pub(super) fn text(&self) -> Option<Result<Vec<u8>, Errno>> {
        let read = || std::fs::read_to_string("/proc/cpuinfo").map_err(errno);
        (self.path == "cpuinfo").then(|| read().map(|host| processors(&host).into()))
    }

    /// Opens the host's file to read.
    pub fn open(&self, flags: OFlag) -> Result<OwnedFd, Errno> {
        reopen(self.fd.as_fd(), ((flags & OFlag::O_NONBLOCK) | OFlag::O_RDONLY).bits())
    }
}

impl AsFd for System {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_left_out_that_cpuid_does_not_show() {
        let host = "processor\t: 0\nflags\t\t: fpu sep avx2 rtm amx_tile pku\nvmx flags\t: vnmi\n\n";
        assert_eq!(processors(host), "processor\t: 0\nflags\t\t: fpu avx2\nvmx flags\t: vnmi\n\n");
    }

    /// A kernel that has more than this knows fails here: what a guest is to get of it must be said.
    #[test]
    fn every_name_of_this_kernel_is_offered_or_refused() {
        // Links of the view itself.
        const LINKS: [&str; 4] = ["mounts", "net", "self", "thread-self"];
        let names = std::fs::read_dir("/proc").unwrap().flatten();
        let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let known = |name: &String| {
            offered(name)
                || LINKS.contains(&name.as_str())
                || REFUSED.iter().any(|(refused, _)| refused == name)
                || name.bytes().all(|b| b.is_ascii_digit())
        };
        let missing: Vec<_> = names.filter(|name| !known(name)).collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(OFFERED.is_sorted() && REFUSED.is_sorted());
    }

    #[test]
    fn only_listed_names_and_the_way_to_them_are_offered() {
        for name in
            ["cpuinfo", "sys", "sys/kernel", "sys/kernel/osrelease", "sys/net", "sys/net/core/somaxconn"]
        {
            assert!(offered(name), "{name}");
        }
        for name in
            ["", "kcore", "kallsyms", "net", "cpuinfo2", "sys/net/ipv4/conf/lo", "sysrq-trigger", "1", "self"]
        {
            assert!(!offered(name), "{name}");
        }
    }
}
