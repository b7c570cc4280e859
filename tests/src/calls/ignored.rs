//! Differences that are known and stay, each with its reason.

use super::compare::Difference;

/// Calls or commands (a star stands for any beginning or end), what they answer natively and in rxbox (any
/// answer if empty), and why that is so.
type Ignored = (&'static [&'static str], &'static str, &'static str, &'static str);

/// All of them.
const IGNORED: &[Ignored] = &[
    (
        &["fchmod", "fchown", "fsetxattr", "fremovexattr", "utimensat", "futimesat"],
        "",
        "EACCES",
        "what has no name, and cannot be written by the descriptor, may be shared with processes outside",
    ),
    (
        &["membarrier"],
        "",
        "EINVAL",
        "commands for restartable sequences, which the kernel would restart in translated code",
    ),
    (&["membarrier"], "1023", "639", "the same: they are not among those that there are"),
    (
        &["getsockopt*", "setsockopt*"],
        "ENOPROTOOPT",
        "EFAULT",
        "of an option that the socket's protocol has not the value is looked at all the same",
    ),
    (&["getsockopt"], "EFAULT", "ENOPROTOOPT", "the value of an option without a row is not looked at"),
    (&["ioctl*"], "EINVAL", "ENOTTY", "so an epoll descriptor says that it does not know a request"),
    (&["ioctl*"], "EXDEV", "EBADF", "a pipe or socket shares no storage, whichever of two reasons is told"),
    (&["mremap"], "EFAULT", "EINVAL", "a length beyond the last page is none, wherever it begins"),
    (&["sendfile"], "EINVAL", "EOVERFLOW", "an offset beyond the end, of which the kernel's limit differs"),
    (&["splice"], "EBADF", "EINVAL", "between two that are no pipes, of which one cannot be written"),
    (&["fcntl F_NOTIFY"], "0", "EINVAL", "its signals would tell of descriptors by the host's numbers"),
    (&["madvise"], "EINVAL", "EPERM", "advice to poison pages, which kernels can be built without"),
    (
        &["*xattr"],
        "EACCES",
        "EOPNOTSUPP",
        "a name without a space is looked for nowhere, where the kernel asks first for access",
    ),
    (&["mmap"], "EEXIST", "ENODEV", "what is mapped already is known to the child, which is asked later"),
    (&["capget"], "EINVAL", "EFAULT", "half a header says that its version is wrong, or that it is half"),
    (&["fcntl F_SETSIG"], "0", "EINVAL", "its signals would tell of descriptors by the host's numbers"),
    (
        &["fcntl F_SET_RW_HINT"],
        "EPERM",
        "",
        "a hint that nothing acts on, of which the kernel asks first whose file it is",
    ),
    (&["poll"], "EFAULT", "0", "an array without entries is not looked at, wherever it is said to lie"),
    (&["prctl PR_SET_PTRACER"], "EINVAL", "0", "as in a kernel with Yama, which others are built without"),
    (&["pipe2"], "", "ENOPKG", "a pipe for notices of the kernel, which kernels can be built without"),
    (
        &["select", "pselect6"],
        "",
        "EFAULT",
        "of sets that are larger than the table of descriptors the kernel reads only so much",
    ),
];

/// Why a difference is ignored, if it is.
pub fn why([natively, boxed]: &Difference) -> Option<&'static str> {
    let ((call, natively), (_, boxed)) = (parts(natively)?, parts(boxed)?);
    let fits = |wanted: &str, answer: &str| wanted.is_empty() || wanted == answer;
    let is_one = |pattern: &&str| match (pattern.strip_suffix('*'), pattern.strip_prefix('*')) {
        (Some(begin), _) => call.starts_with(begin),
        (_, Some(end)) => call.ends_with(end),
        _ => call == *pattern,
    };
    let found = |(calls, one, other, _): &&Ignored| {
        calls.iter().any(is_one) && fits(one, natively) && fits(other, boxed)
    };
    IGNORED.iter().find(found).map(|(.., why)| *why)
}

/// The name of a line's call, and its answer.
fn parts(line: &str) -> Option<(&str, &str)> {
    let (call, outcome) = line.split_once(" = ")?;
    let (name, _) = call.split_once(' ')?.1.split_once('(')?;
    Some((name, outcome.split(' ').next().unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_ignored_by_its_call_and_both_answers() {
        let pair = |call: &str, one: &str, other: &str| {
            [one, other].map(|answer| format!("7 {call}(1, 2) = {answer} 00000000"))
        };
        assert!(why(&pair("madvise", "EINVAL", "EPERM")).is_some());
        assert!(why(&pair("madvise", "0", "EPERM")).is_none());
        assert!(why(&pair("mlock", "EINVAL", "EPERM")).is_none());
        assert!(why(&["(the end)".to_owned(), "7 madvise(1) = EPERM".to_owned()]).is_none());
    }
}
