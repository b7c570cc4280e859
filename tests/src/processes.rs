//! Who is whose child, as the kernel tells it.

use std::fs;

/// The parent of a process.
pub fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

/// The name that the kernel has of a process; empty if it has ended.
pub fn name(pid: i32) -> String {
    fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}

/// The ids of all processes below another, those that have ended and are not reaped among them. A parent
/// comes before its children.
///
/// # Panics
/// If there is no /proc.
pub fn below(top: i32) -> Vec<i32> {
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let all = fs::read_dir("/proc").expect("/proc").flatten().filter_map(number);
    let pairs: Vec<(i32, i32)> = all.filter_map(|pid| Some((pid, parent(pid)?))).collect();
    let (mut found, mut todo) = (Vec::new(), vec![top]);
    while let Some(above) = todo.pop() {
        let children = pairs.iter().filter(|(_, parent)| *parent == above).map(|(pid, _)| *pid);
        todo.extend(children.clone());
        found.extend(children);
    }
    found
}

/// Sends SIGKILL to all of them, one after the other; the first must be there. The end of one may be that of
/// the next.
///
/// # Panics
/// If there is no first.
pub fn kill(pids: &[i32]) {
    // SAFETY: takes numbers only.
    let sent: Vec<_> = pids.iter().map(|pid| unsafe { libc::kill(*pid, libc::SIGKILL) }).collect();
    assert_eq!(sent.first(), Some(&0), "{pids:?}");
}
