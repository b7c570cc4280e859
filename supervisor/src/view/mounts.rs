//! What `mountinfo`, `mounts` and `mountstats` of a process show (proc_pid_mountinfo(5), proc_pid_mounts(5)):
//! mounts on what is hidden are not there, and neither is what is mounted on them.

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
            shown = !hides(&plain(point));
        }
        shown
    });
    kept.flatten().copied().collect()
}

/// A name without its escapes: the kernel writes white space and backslashes as three octal digits.
fn plain(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = name;
    while let Some((&first, more)) = rest.split_first() {
        let octal = more.get(..3).filter(|d| first == b'\\' && d.iter().all(|b| (b'0'..b'8').contains(b)));
        match octal {
            Some(digits) => {
                out.push(digits.iter().fold(0u8, |n, d| n.wrapping_mul(8).wrapping_add(d - b'0')));
                rest = &more[3..];
            }
            None => {
                out.push(first);
                rest = more;
            }
        }
    }
    out
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
        assert_eq!(plain(b"a\\134b\\0\\09"), b"a\\b\\0\\09");
    }
}
