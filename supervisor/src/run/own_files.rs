//! Files that rxbox itself writes: the log, the audit and the report.
//!
//! The guest changes neither ([`rxbox_policy::Variables::own`]). But an earlier run may have put a link where
//! the log is to be, before there was one: so a link is followed only where the guest could not have made it.

use crate::cli::{AuditTarget, Reports};
use crate::files::followed;
use crate::state::names::name_of;
use rxbox_policy::{Access, Policy};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// The files of a run by name. What is no regular file, like a terminal or `/dev/null`, is not rxbox's alone.
pub(super) fn of(reports: &Reports) -> Vec<PathBuf> {
    let audit = match &reports.audit {
        Some(AuditTarget::File(path)) => (Some(path), None),
        Some(AuditTarget::Descriptor(number)) => (None, Some(*number)),
        Some(AuditTarget::Journal) | None => (None, None),
    };
    let named = reports.log_file.as_ref().into_iter().chain(audit.0);
    let named = named.filter_map(|path| followed(path).ok()).map(|(path, _)| path);
    let given = reports.status_fd.into_iter().chain(audit.1).filter_map(|number| {
        let file = File::open(format!("/proc/self/fd/{number}")).ok()?;
        file.metadata().ok()?.is_file().then_some(())?;
        name_of(file.as_fd()).ok().map(|name| PathBuf::from(std::ffi::OsStr::from_bytes(&name)))
    });
    let own = |path: &PathBuf| path.metadata().map_or(true, |file| file.is_file());
    named.filter(own).chain(given).collect()
}

/// Makes a file that was not there.
///
/// # Errors
/// It is there; the host does not let it be made.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Opens the log or the audit, to append to it.
///
/// # Errors
/// A link on the way could be the guest's; the host does not let it be opened.
pub(super) fn open_log(path: &Path, policy: &Policy) -> io::Result<File> {
    let (path, links) = followed(path)?;
    // A link to one of rxbox's own descriptors leads nowhere else, whoever made it.
    let harmless = path.starts_with("/proc/self/fd");
    let of_guest = |link: &&PathBuf| policy.path(Access::Remove, link.as_os_str().as_bytes()).allowed();
    if let Some(link) = links.iter().find(of_guest).filter(|_| !harmless) {
        let what = format!("{} is a link that the program can make; name the file itself", link.display());
        return Err(io::Error::other(what));
    }
    // The names of rxbox's own descriptors are links that only the kernel can follow.
    let nofollow = if path.starts_with("/proc") { 0 } else { libc::O_NOFOLLOW };
    OpenOptions::new().append(true).create(true).mode(0o600).custom_flags(nofollow).open(path)
}
