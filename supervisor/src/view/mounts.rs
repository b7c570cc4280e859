//! What `mountinfo`, `mounts` and `mountstats` of a process show (proc_pid_mountinfo(5), proc_pid_mounts(5)):
//! mounts on what is hidden are not there, and neither is what is mounted on them. The same holds for what a
//! private place or an overlay covers, but that is a mount itself.

use crate::host::name::{statx, without_escapes};
use crate::state::mounts::places;
use crate::state::names::root;
use nix::errno::Errno;

/// The text without the lines of mounts that are on hidden names.
pub(super) fn without_hidden(text: &[u8], file: &str, hides: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    // The words before the name of the mount point.
    let before = match file {
        "mountinfo" => 4,
        "mounts" => 1,
        // `device NAME mounted on NAME with fstype ...`; other lines go with the one in front.
        _ => 4,
    };
    let mut shown = true;
    let kept = text.split_inclusive(|&b| b == b'\n').filter(|line| {
        if file != "mountstats" || line.starts_with(b"device ") {
            let point = line.split(|&b| b == b' ').nth(before).unwrap_or_default();
            shown = !hides(&without_escapes(point));
        }
        shown
    });
    kept.flatten().copied().collect()
}

/// The lines of the private places and overlays that are file systems of their own.
pub(super) fn of_folders(file: &str) -> Result<Vec<u8>, Errno> {
    let mut lines = Vec::new();
    for place in places().filter(|place| place.own_file_system) {
        let (name, folder) = (escaped(place.name), place.folder);
        let kind = if place.overlay { "overlay" } else { "tmpfs" };
        lines.extend_from_slice(&match file {
            "mountinfo" => {
                let of = statx(folder, 0, libc::STATX_MNT_ID)?;
                let above = statx(root()?, 0, libc::STATX_MNT_ID)?.stx_mnt_id;
                let (id, major, minor) = (of.stx_mnt_id, of.stx_dev_major, of.stx_dev_minor);
                let before = format!("{id} {above} {major}:{minor} / ");
                let after = format!(" rw,nosuid,nodev - {kind} {kind} rw\n");
                [before.as_bytes(), &name, after.as_bytes()].concat()
            }
            "mounts" => {
                let (before, after) = (format!("{kind} "), format!(" {kind} rw,nosuid,nodev 0 0\n"));
                [before.as_bytes(), &name, after.as_bytes()].concat()
            }
            _ => {
                let (before, after) =
                    (format!("device {kind} mounted on "), format!(" with fstype {kind}\n"));
                [before.as_bytes(), &name, after.as_bytes()].concat()
            }
        });
    }
    Ok(lines)
}

/// A name as the kernel writes it, so that it is one word.
fn escaped(name: &[u8]) -> Vec<u8> {
    let byte = |byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' => format!("\\{byte:03o}").into_bytes(),
        byte => vec![*byte],
    };
    name.iter().flat_map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_on_hidden_names_are_not_there() {
        let hides = |path: &[u8]| path.starts_with(b"/home/my vault");
        let info =
            b"21 1 8:1 / / rw - ext4 /dev/sda rw\n22 21 0:5 / /home/my\\040vault rw - tmpfs secret rw\n";
        let mounts = b"/dev/sda / ext4 rw 0 0\nsecret /home/my\\040vault/x tmpfs rw 0 0\n";
        let stats = b"device /dev/sda mounted on / with fstype ext4\n\
            device server:/x mounted on /home/my\\040vault with fstype nfs statvers=1.1\n\
            \topts: rw\ndevice none mounted on /tmp with fstype tmpfs\n";
        let kept = |text: &[u8], file| String::from_utf8(without_hidden(text, file, hides)).unwrap();
        assert_eq!(kept(info, "mountinfo"), "21 1 8:1 / / rw - ext4 /dev/sda rw\n");
        assert_eq!(kept(mounts, "mounts"), "/dev/sda / ext4 rw 0 0\n");
        assert_eq!(
            kept(stats, "mountstats"),
            "device /dev/sda mounted on / with fstype ext4\ndevice none mounted on /tmp with fstype tmpfs\n"
        );
        assert_eq!(without_escapes(b"a\\134b\\0\\09"), b"a\\b\\0\\09");
        assert_eq!(escaped(b"a\\ b"), b"a\\134\\040b");
    }
}
