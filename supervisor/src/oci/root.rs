//! The root of a container, in a mount namespace of its own.
//!
//! Two roots are made, one in the other:
//!
//! ```text
//! /            a small tmpfs: root of the mount namespace, the job process, the maker and the children
//!   proc
//!   usr/lib/…  rxbox's own loader and libraries, bound from the host
//!   root/      the container's files with its mounts: the root of the supervisor, and so of the guest
//! ```
//!
//! The supervisor sees the container's files as its own root, so whatever it looks up for a guest lies in
//! there, and the kernel's names for files are the guest's. But it starts children by executing itself, and
//! the loader and the libraries for that must be the host's: those of an image are what rxbox protects from.
//! So children begin in the outer root, where nothing else is, and leave it for an empty one. A process whose
//! root is not its mount namespace's makes no user namespace (user_namespaces(7)): so does the maker.

use super::bundle::Bundle;
use super::mounts::{self, Kind, find, place_for};
use crate::confine::landlock::mapped_files;
use crate::host::mount::{self, Attributes};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount as mount_old};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstat, makedev, mkdirat, mknodat};
use nix::unistd::{Gid, Uid, fchownat, symlinkat};
use oci_spec::runtime::LinuxDeviceType;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The two roots.
#[derive(Debug)]
pub(super) struct Roots {
    /// Where children begin.
    pub(super) outer: OwnedFd,
    /// The container's.
    pub(super) inner: OwnedFd,
    /// The files of rxbox's own that children execute.
    pub(super) own: Vec<OwnedFd>,
}

/// Devices that every container has: name, major and minor number.
const DEVICES: [(&str, u64, u64); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// Links that every container has.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];

const HOLD: OFlag = OFlag::O_PATH.union(OFlag::O_CLOEXEC);

fn failed(what: impl std::fmt::Display) -> impl FnOnce(Errno) -> String {
    let what = what.to_string();
    move |e| format!("{what}: {}", e.desc())
}

impl Roots {
    /// Makes both in this process's mount namespace, which must be its own; what was left out.
    ///
    /// # Errors
    /// What cannot be done.
    pub(super) fn make(bundle: &Bundle) -> Result<(Roots, Vec<String>), String> {
        const NONE: Option<&str> = None;
        // What the host mounts later is seen, nothing that is mounted here is seen there.
        mount_old(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)
            .map_err(failed("cannot make mounts one's own"))?;
        let mut files = mapped_files();
        // The program has a name of its own, too, if it has any.
        files.retain(|file| !file.starts_with("/proc"));
        let own = files.iter().map(|file| open(file, HOLD, Mode::empty()));
        let own = own.collect::<Result<Vec<_>, _>>().map_err(failed("rxbox's own files"))?;
        let program = open("/proc/self/exe", HOLD, Mode::empty()).map_err(failed("rxbox's own files"))?;
        let own: Vec<OwnedFd> = own.into_iter().chain([program]).collect();
        let rootfs = open(&bundle.rootfs, HOLD | OFlag::O_DIRECTORY, Mode::empty());
        let rootfs = rootfs.map_err(failed(bundle.rootfs.display()))?;
        let inner = mount::copy(rootfs.as_fd(), true).map_err(failed("cannot bind the root"))?;
        let alone = Attributes { propagation: libc::MS_PRIVATE, ..Attributes::default() };
        mount::change(inner.as_fd(), alone, true).map_err(failed("cannot bind the root"))?;
        // Only devices that config.json names can be opened.
        let no_devices = Attributes { set: libc::MOUNT_ATTR_NODEV, ..Attributes::default() };
        mount::change(inner.as_fd(), no_devices, false).map_err(failed("cannot bind the root"))?;
        let outer = outer(&rootfs, &inner, &files, &own).map_err(failed("cannot make the outer root"))?;
        let roots = Roots { outer, inner, own };
        let mut left = Vec::new();
        for mount in bundle.spec.mounts().iter().flatten() {
            match mount.typ().as_deref() {
                // The kernel's own view of it says nothing that is right in here.
                Some("cgroup" | "cgroup2") => {
                    left.push(format!("mounts: {}: cgroups are not shown", mount.destination().display()));
                }
                _ => left.extend(mounts::make(roots.inner.as_fd(), mount)?),
            }
        }
        roots.provide_proc()?;
        roots.devices(bundle)?;
        Ok((roots, left))
    }

    /// The supervisor itself needs `/proc`.
    fn provide_proc(&self) -> Result<(), String> {
        use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};
        let at =
            place_for(self.inner.as_fd(), Path::new("/proc"), Kind::Directory).map_err(failed("/proc"))?;
        if fstatfs(&at).is_ok_and(|found| found.filesystem_type() == PROC_SUPER_MAGIC) {
            return Ok(());
        }
        attach_proc(at.as_fd()).map_err(failed("/proc"))
    }

    /// Makes device files and links.
    fn devices(&self, bundle: &Bundle) -> Result<(), String> {
        let inner = self.inner.as_fd();
        place_for(inner, Path::new("/dev"), Kind::Directory).map_err(failed("/dev"))?;
        if bundle.spec.mounts().iter().flatten().any(|mount| {
            mount.destination() == Path::new("/dev")
                && mount.typ().as_deref().is_none_or(|kind| kind == "bind")
        }) {
            return Ok(());
        }
        let named = bundle.spec.linux().as_ref().and_then(|linux| linux.devices().as_ref());
        for (name, major, minor) in DEVICES {
            let path = Path::new("/dev").join(name);
            if named.is_some_and(|named| named.iter().any(|device| *device.path() == path)) {
                continue;
            }
            self.device(&path, SFlag::S_IFCHR, (major, minor), 0o666, (0, 0))
                .map_err(failed(path.display()))?;
        }
        for device in named.into_iter().flatten() {
            let kind = match device.typ() {
                LinuxDeviceType::B => SFlag::S_IFBLK,
                LinuxDeviceType::C | LinuxDeviceType::U => SFlag::S_IFCHR,
                LinuxDeviceType::P => SFlag::S_IFIFO,
                LinuxDeviceType::A => {
                    return Err(format!("linux.devices: {}: type", device.path().display()));
                }
            };
            let number = (device.major().cast_unsigned(), device.minor().cast_unsigned());
            let owner = (device.uid().unwrap_or(0), device.gid().unwrap_or(0));
            let mode = device.file_mode().unwrap_or(0o666) & 0o7777;
            self.device(device.path(), kind, number, mode, owner).map_err(failed(device.path().display()))?;
        }
        for (target, path) in LINKS {
            match symlinkat(target, find(inner, Path::new("/dev"), HOLD).map_err(failed("/dev"))?, &path[5..])
            {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(e) => return Err(failed(path)(e)),
            }
        }
        Ok(())
    }

    /// Makes one, or shows the host's where none can be made or would be one that cannot be opened.
    fn device(
        &self,
        path: &Path,
        kind: SFlag,
        (major, minor): (u64, u64),
        mode: u32,
        (user, group): (u32, u32),
    ) -> Result<(), Errno> {
        let inner = self.inner.as_fd();
        let (Some(above), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::EINVAL) };
        let above = place_for(inner, above, Kind::Directory)?;
        let on_root = fstat(&above)?.st_dev == fstat(&self.inner)?.st_dev;
        let number = makedev(major, minor);
        if !on_root || kind == SFlag::S_IFIFO {
            match mknodat(&above, name, kind, Mode::from_bits_truncate(mode), number) {
                Ok(()) => {
                    let mode = Mode::from_bits_truncate(mode);
                    fchmodat(&above, name, mode, FchmodatFlags::FollowSymlink)?;
                    let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
                    return fchownat(
                        &above,
                        name,
                        Some(user),
                        Some(group),
                        nix::fcntl::AtFlags::AT_SYMLINK_NOFOLLOW,
                    );
                }
                Err(Errno::EEXIST) => return Ok(()),
                Err(Errno::EPERM) => {}
                Err(e) => return Err(e),
            }
        }
        let host = open(path, HOLD, Mode::empty())?;
        if fstat(&host)?.st_rdev != number {
            return Err(Errno::EPERM);
        }
        let at = place_for(inner, path, Kind::File)?;
        mount::attach(mount::copy(host.as_fd(), false)?.as_fd(), at.as_fd())
    }

    /// Makes the root read-only, if it is to be.
    ///
    /// # Errors
    /// As mount_setattr(2).
    pub(super) fn close(&self, read_only: bool) -> Result<(), String> {
        let set = if read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
        let attributes = Attributes { set, ..Attributes::default() };
        mount::change(self.inner.as_fd(), attributes, false).map_err(failed("cannot close the root"))
    }
}

/// The outer root, with the inner one in it, mounted where the container's files are on the host: somewhere
/// it has to be.
fn outer(rootfs: &OwnedFd, inner: &OwnedFd, files: &[PathBuf], own: &[OwnedFd]) -> Result<OwnedFd, Errno> {
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;
    let size = [(c"size", Some(c"1m")), (c"mode", Some(c"0755"))];
    let outer = mount::make(c"tmpfs", c"rxbox", &size, attributes)?;
    mount::attach(outer.as_fd(), rootfs.as_fd())?;
    for name in ["root", "proc"] {
        mkdirat(&outer, name, Mode::from_bits_truncate(0o755))?;
    }
    let at = |name: &str| find(outer.as_fd(), Path::new(name), HOLD);
    mount::attach(inner.as_fd(), at("root")?.as_fd())?;
    attach_proc(at("proc")?.as_fd())?;
    for (path, file) in files.iter().zip(own) {
        let place = place_for(outer.as_fd(), path, Kind::File)?;
        mount::attach(mount::copy(file.as_fd(), false)?.as_fd(), place.as_fd())?;
        // The kernel looks for the loader by the name that the program has for it.
        let loader = path.file_name().filter(|name| name.to_string_lossy().starts_with("ld-"));
        for folder in ["/lib64", "/lib"] {
            let Some(loader) = loader else { continue };
            let folder = place_for(outer.as_fd(), Path::new(folder), Kind::Directory)?;
            match symlinkat(path.as_path(), &folder, loader) {
                Ok(()) | Err(Errno::EEXIST) => {}
                Err(e) => return Err(e),
            }
        }
    }
    let closed = Attributes { set: libc::MOUNT_ATTR_RDONLY, ..Attributes::default() };
    mount::change(outer.as_fd(), closed, false)?;
    Ok(outer)
}

fn attach_proc(at: BorrowedFd<'_>) -> Result<(), Errno> {
    let attributes = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV | libc::MOUNT_ATTR_NOEXEC;
    mount::attach(mount::make(c"proc", c"proc", &[], attributes)?.as_fd(), at)
}
