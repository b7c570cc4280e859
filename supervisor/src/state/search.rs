//! The folders of `PATH` in which the guest may not look, as they were when the run began.
//!
//! Who looks for a program tries each folder of `PATH`, and goes on where it is denied. That is news only
//! where there is such a program. But a name that a guest has made up is not looked for where the guest may
//! not look, so that it reaches no file server. So these folders are listed before the guest runs.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// What lies in the folders.
#[derive(Debug, Default)]
pub struct Search {
    folders: BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>,
}

impl Search {
    /// Lists the folders of a `PATH`, but for those in which the guest `may_look`, and those that cannot be
    /// listed.
    pub fn along(path: &OsStr, may_look: impl Fn(&[u8]) -> bool) -> Search {
        let absolute = path.as_bytes().split(|b| *b == b':').filter(|folder| folder.starts_with(b"/"));
        let trimmed = absolute.map(|folder| folder.strip_suffix(b"/").unwrap_or(folder));
        let listed = trimmed.filter(|folder| !may_look(folder)).filter_map(|folder| {
            let names = match std::fs::read_dir(OsStr::from_bytes(folder)) {
                Ok(entries) => entries.flatten().map(|entry| entry.file_name().as_bytes().to_vec()).collect(),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeSet::new(),
                Err(_) => return None,
            };
            Some((folder.to_vec(), names))
        });
        Search { folders: listed.collect() }
    }

    /// Whether a name is one in such a folder, and was not there.
    pub fn lacks(&self, name: &[u8]) -> bool {
        let Some(end) = name.iter().rposition(|b| *b == b'/') else { return false };
        self.folders.get(&name[..end]).is_some_and(|names| !names.contains(&name[end + 1..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_folder_of_the_path_does_not_have_is_lacking() {
        let path = OsStr::new("/proc/self/:relative::/nonexistent:/usr/bin");
        let search = Search::along(path, |folder| folder == b"/usr/bin");
        for (name, lacks) in [
            ("/proc/self/status", false),
            ("/proc/self/program", true),
            ("/proc/self/task/1", false),
            ("/nonexistent/program", true),
            ("/usr/bin/program", false),
            ("relative/program", false),
            ("program", false),
        ] {
            assert_eq!(search.lacks(name.as_bytes()), lacks, "{name}");
        }
    }
}
