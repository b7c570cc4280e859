//! Which files the guest's names are of: the host's, those of a folder of the run's own, or those of an
//! overlay, through which the guest sees the host's files and changes its own copies.
//!
//! A private place covers what the host has below its name. What else the profile names below it is shown
//! there all the same, as by a bind mount: the most specific mount point counts. So every name is of the
//! files of one mount, and two names with different ones lie in different file systems.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::report::ledger::RuleId;

/// Whose files begin at a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder of the run's own: the one of this number.
    Private(usize),
    /// An overlay of what the host has there: the one of this number. No folder and overlay have the same.
    Overlay(usize),
    /// The host's, of the same name.
    Host,
}

/// The mount points in the guest's names.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    /// Absolute names without links and dots, never the root, each with what begins there.
    points: Vec<(PathBuf, Source)>,
    /// The rules of the private places and overlays, by number.
    rules: Vec<RuleId>,
}

impl Mounts {
    /// Puts a folder of the run's own in place of a directory.
    pub(crate) fn add_private(&mut self, path: PathBuf, rule: RuleId) {
        self.points.push((path, Source::Private(self.rules.len())));
        self.rules.push(rule);
    }

    /// Puts an overlay over a directory.
    pub(crate) fn add_overlay(&mut self, path: PathBuf, rule: RuleId) {
        self.points.push((path, Source::Overlay(self.rules.len())));
        self.rules.push(rule);
    }

    /// Has the host's file shown at a name that lies in an overlay.
    pub(crate) fn add_host(&mut self, path: PathBuf) {
        self.points.push((path, Source::Host));
    }

    /// Has the host's files shown at a name, if it lies in a private place; whether it does.
    pub(crate) fn show(&mut self, path: PathBuf) -> bool {
        let name = path.as_os_str().as_bytes();
        let shown = matches!(self.of(name), Source::Private(_)) && self.at(name).is_none();
        if shown {
            self.points.push((path, Source::Host));
        }
        shown
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Whose file a name is.
    pub fn of(&self, path: &[u8]) -> Source {
        let covering = self.points.iter().filter(|(point, _)| covers(point, path));
        covering.max_by_key(|(point, _)| point.as_os_str().len()).map_or(Source::Host, |(_, source)| *source)
    }

    /// Whose files begin at this very name.
    pub fn at(&self, path: &[u8]) -> Option<Source> {
        let there = |(point, _): &&(PathBuf, Source)| point.as_os_str().as_bytes() == path;
        self.points.iter().find(there).map(|(_, source)| *source)
    }

    /// Every mount point with what begins there.
    pub fn points(&self) -> impl Iterator<Item = (&Path, Source)> {
        self.points.iter().map(|(point, source)| (&**point, *source))
    }

    /// Whether a name is of a folder of the run's own.
    pub(crate) fn is_private(&self, path: &[u8]) -> bool {
        matches!(self.of(path), Source::Private(_))
    }

    /// The rule of the private place or overlay of a number.
    pub(crate) fn rule_of(&self, number: usize) -> RuleId {
        self.rules.get(number).copied().unwrap_or(RuleId::NONE)
    }

    /// The overlays, each with its number.
    pub fn overlays(&self) -> impl Iterator<Item = (&Path, usize)> {
        self.points().filter_map(|(point, source)| match source {
            Source::Overlay(number) => Some((point, number)),
            Source::Private(_) | Source::Host => None,
        })
    }

    /// The rule by which the files of a name are not simply the host's, if there is one.
    pub(crate) fn rule(&self, path: &[u8]) -> RuleId {
        match self.of(path) {
            Source::Private(number) | Source::Overlay(number) => self.rule_of(number),
            Source::Host => RuleId::NONE,
        }
    }
}

fn covers(point: &Path, path: &[u8]) -> bool {
    let rest = path.strip_prefix(point.as_os_str().as_bytes());
    rest.is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_mount_point_counts() {
        let mut mounts = Mounts::default();
        let rule = RuleId::from_number(1);
        mounts.add_private("/tmp".into(), rule);
        mounts.add_private("/home/u/.cache".into(), rule);
        assert!(mounts.show("/tmp/a/work".into()));
        assert!(!mounts.show("/tmp/a/work/below".into()), "it is shown already");
        assert!(!mounts.show("/usr".into()), "it lies in no private place");
        for (path, source) in [
            ("/", Source::Host),
            ("/tmpx", Source::Host),
            ("/tmp", Source::Private(0)),
            ("/tmp/a", Source::Private(0)),
            ("/tmp/a/workshop", Source::Private(0)),
            ("/tmp/a/work", Source::Host),
            ("/tmp/a/work/x", Source::Host),
            ("/home/u", Source::Host),
            ("/home/u/.cache/x", Source::Private(1)),
        ] {
            assert_eq!(mounts.of(path.as_bytes()), source, "{path}");
        }
        assert_eq!(mounts.at(b"/tmp/a/work"), Some(Source::Host));
        assert_eq!(mounts.at(b"/tmp/a"), None);
    }
}
