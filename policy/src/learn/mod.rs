//! From what a program did to a profile for it.
//!
//! The same is done with what was denied: the lines that would have allowed it all ([`Learned::lines`]).
//!
//! A program is run under a profile with [`bounds`], which allow more than the profile; what the profile
//! alone would have denied is noted ([`Learned::note`]). At the end [`Learned::profile`] writes a profile
//! that extends the first one and allows this, and little more:
//! * a path gets the key that grants least of what was done with it ([`Grant`]);
//! * the working directory and the home become variables, names by chance become wildcards ([`paths`]);
//! * where many names of a directory were used the entry is the directory, but never one of those that hold
//!   everybody's or all of a user's files.

pub mod bounds;
mod merge;
mod paths;
mod text;
mod used;

use crate::decision::Access;
use crate::hint::{
    BIND, CALLS, CONNECT, DeniedWhat, FAMILIES, VARIABLES, address_entry, group_entry, host_entry,
};
use crate::pattern::entry::Done;
use crate::pattern::variables::{Variables, toml_path, toml_string};
use crate::rules::grant::Grant;
use crate::rules::network::{AF_INET, AF_INET6};
use crate::rules::tree::AccessSet;
use crate::vocabulary;
pub use merge::MergeError;
use paths::{Entries, Withheld};
use std::collections::BTreeMap;
pub use text::Terms;
use text::Text;
use used::Use;

/// The most different things that are noted: a program chooses how many there are.
const MOST: usize = 50_000;
/// Bytes of their names, at most.
const BYTES: usize = 8 << 20;

/// What a program did that a profile does not allow.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// By path: the accesses, and by whom.
    paths: BTreeMap<Vec<u8>, (AccessSet, Use)>,
    /// What no list of paths grants, by list and entry.
    others: BTreeMap<(&'static str, String), Use>,
    /// What a profile allows already that is to be written anew.
    earlier: BTreeMap<Grant, Entries>,
    bytes: usize,
    /// How much was not noted.
    lost: u64,
}

impl Learned {
    /// Notes what a program did beyond the profile, or was denied by no rule.
    pub fn note(&mut self, what: &DeniedWhat<'_>, program: &[u8]) {
        match *what {
            DeniedWhat::Path(Access::Connect, path) => {
                self.other(CONNECT, Some(toml_path("unix:", path)), program);
            }
            DeniedWhat::Path(Access::Bind, path) => {
                self.other(BIND, Some(toml_path("unix:", path)), program);
                self.path(Access::Create, path, program);
            }
            DeniedWhat::Path(access, path) => self.path(access, path, program),
            DeniedWhat::Program(path, _) => self.path(Access::Execute, path, program),
            DeniedWhat::Make(_, path) => self.path(Access::Create, path, program),
            DeniedWhat::Rename(from, to) => {
                self.path(Access::Remove, from, program);
                self.path(Access::Create, to, program);
            }
            DeniedWhat::Connect(endpoint) => self.other(CONNECT, address_entry(&endpoint), program),
            // What it then connects to says more.
            DeniedWhat::Resolve(name) => self.other(CONNECT, Some(host_entry(name)), program),
            DeniedWhat::Bind(endpoint) => self.other(BIND, address_entry(&endpoint), program),
            DeniedWhat::Join(group) => self.other(CONNECT, Some(group_entry(group)), program),
            DeniedWhat::Route | DeniedWhat::Socket { domain: AF_INET | AF_INET6, .. } => {
                self.other(CONNECT, Some("\"ip:*\"".to_owned()), program);
            }
            DeniedWhat::Socket { domain, .. } => {
                let family = vocabulary::family_name(domain).map(|name| toml_string(&name));
                self.other(FAMILIES, family, program);
            }
            DeniedWhat::Call(number, _) => {
                self.other(CALLS, Some(toml_string(&vocabulary::call_name(number))), program);
            }
            DeniedWhat::Variable(name) => self.other(VARIABLES, Some(toml_string(name)), program),
        }
    }

    fn path(&mut self, access: Access, path: &[u8], program: &[u8]) {
        let used = Use::once(program);
        let access = AccessSet::of(&[access]);
        if let Some((accesses, known)) = self.paths.get_mut(path) {
            *accesses = accesses.with(access);
            known.again(used);
        } else if self.has_room(path.len()) {
            self.paths.insert(path.to_vec(), (access, used));
        }
    }

    fn other(&mut self, list: &'static str, entry: Option<String>, program: &[u8]) {
        let Some(entry) = entry else { return };
        let used = Use::once(program);
        let length = entry.len();
        let key = (list, entry);
        if let Some(known) = self.others.get_mut(&key) {
            known.again(used);
        } else if self.has_room(length) {
            self.others.insert(key, used);
        }
    }

    /// Whether one more thing of so long a name is noted.
    fn has_room(&mut self, length: usize) -> bool {
        let room = self.paths.len() + self.others.len() < MOST && self.bytes < BYTES;
        if room {
            self.bytes += length;
        } else {
            self.lost += 1;
        }
        room
    }

    /// How often something was noted.
    pub fn times(&self) -> u64 {
        let of_paths = self.paths.values().map(|(_, used)| used.times);
        of_paths.chain(self.others.values().map(|used| used.times)).sum::<u64>() + self.lost
    }

    /// The entries that would allow it, as lines of a profile; what none should allow is a comment.
    pub fn lines(&self, variables: &Variables) -> Vec<String> {
        let (paths, withheld) = self.entries(variables);
        let text = Text { paths: &paths, withheld: &withheld, others: &self.others, lost: self.lost };
        let mut out = String::new();
        text.lists(&mut out);
        text.remarks(&mut out, &[]);
        out.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// The same as lists, as they are named, and entries as they stand there.
    pub fn lacking(&self, variables: &Variables) -> Vec<(&'static str, String)> {
        let (paths, _) = self.entries(variables);
        let of_paths = paths.iter().flat_map(|(grant, entries)| {
            entries.keys().map(|entry| (grant.key(), toml_string(&entry.text())))
        });
        of_paths.chain(self.others.keys().cloned()).collect()
    }

    fn entries(&self, variables: &Variables) -> (BTreeMap<Grant, Entries>, Withheld) {
        let used = self.paths.iter().flat_map(|(path, (accesses, used))| {
            let did = |access: Access| accesses.contains(access);
            let done = Done { made: did(Access::Create), removed: did(Access::Remove) };
            Grant::of(*accesses).into_iter().map(move |grant| (grant, path.as_slice(), done, used))
        });
        paths::entries(used, &self.earlier, variables)
    }

    /// The profile.
    pub fn profile(&self, terms: &Terms<'_>) -> String {
        let (paths, withheld) = self.entries(terms.variables);
        Text { paths: &paths, withheld: &withheld, others: &self.others, lost: self.lost }.profile(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::network::{Endpoint, Transport};

    fn learned(done: &[(Access, &str)]) -> Learned {
        let mut learned = Learned::default();
        done.iter()
            .for_each(|(access, path)| learned.note(&DeniedWhat::Path(*access, path.as_bytes()), b"prog"));
        learned
    }

    fn profile(learned: &Learned) -> String {
        let variables = Variables {
            home: Some("/home/u".into()),
            cwd: Some("/home/u/work".into()),
            ..Variables::default()
        };
        let denied = ["connect tcp:192.0.2.1:443".to_owned()];
        learned.profile(&Terms {
            base: "untrusted",
            command: "./prog x",
            variables: &variables,
            denied: &denied,
        })
    }

    #[test]
    fn a_profile_grants_each_path_the_least_that_was_done_with_it() {
        let mut learned = learned(&[
            (Access::Read, "/opt/tool/lib.so"),
            (Access::Metadata, "/opt/tool/lib.so"),
            (Access::Read, "/opt/tool/lib.so"),
            (Access::Execute, "/opt/tool/run"),
            (Access::List, "/srv/data"),
            (Access::Write, "/home/u/work/db"),
            (Access::Create, "/home/u/work/out.txt"),
            (Access::Write, "/home/u/work/out.txt"),
            (Access::Create, "/home/u/.config/autostart/x"),
            (Access::Create, "/tmp/tmpab12cd34/a"),
            (Access::Create, "/tmp/tmpzz99yy/b"),
            (Access::Read, "/tmp/given/input"),
            (Access::Create, "/home/u/work/lock"),
            (Access::Remove, "/home/u/work/lock"),
            (Access::List, "/tmp"),
        ]);
        let address = Endpoint::Inet { transport: Transport::Tcp, address: [127, 0, 0, 1].into(), port: 80 };
        learned.note(&DeniedWhat::Connect(address), b"a\x1bb");
        assert_eq!(
            profile(&learned),
            r#"# Written by `rxbox learn`: what this run did beyond "untrusted".
# Behind each entry stands who used it how often.
version = 1
description = "Learned from ./prog x"
extends = ["untrusted"]

[filesystem]
list = [
    "/srv/data?", # once by prog
]
read = [
    "/opt/tool/lib.so?", # 3 times by prog
    "/tmp/given/input?", # once by prog
]
execute = [
    "/opt/tool/run?", # once by prog
]
modify = [
    "${CWD}/db?", # once by prog
]
write = [
    "/tmp/tmp*", # twice by prog, 2 names
    "${CWD}/lock*", # twice by prog
    "${CWD}/out.txt?", # twice by prog
    # Takes effect outside of the sandbox:
    "${HOME}/.config/autostart/x?", # once by prog
]

[network]
allow = [
    "tcp:127.0.0.1:80", # once by ab
]

# Looked at, and not allowed: everybody's names are there.
#   list "/tmp?" once by prog

# Denied all the same, and not allowed by this profile:
#   connect tcp:192.0.2.1:443
"#
        );
    }

    #[test]
    fn many_names_become_their_directory_but_never_a_place_of_everybody() {
        let names = |folder: &str| (0..6).map(|n| format!("{folder}/n{n}")).collect::<Vec<_>>();
        let all: Vec<String> = ["/opt/data/deep", "/etc", "/home/u", "/home/u/.config", "/srv/a/b"]
            .iter()
            .flat_map(|f| names(f))
            .collect();
        let learned = learned(&all.iter().map(|path| (Access::Read, path.as_str())).collect::<Vec<_>>());
        let text = profile(&learned);
        let has = |entry: &str| text.contains(&format!("\n    \"{entry}\","));
        assert!(has("/opt/data/deep?") && has("/srv/a/b?"), "{text}");
        assert!(has("/etc/n5?") && has("${HOME}/n0?") && has("${HOME}/.config/n3?"), "{text}");
        assert!(!text.contains("\"/etc?\"") && !text.contains("\"${HOME}?\""), "{text}");
    }

    #[test]
    fn an_entry_below_one_that_grants_it_is_left_out() {
        let learned = learned(&[
            (Access::List, "/srv/data"),
            (Access::Read, "/srv/data"),
            (Access::Read, "/srv/data/a"),
            (Access::Execute, "/srv/data/b"),
        ]);
        let text = profile(&learned);
        assert!(text.contains("read = [\n    \"/srv/data?\", # 3 times by prog, 2 names\n]"), "{text}");
        assert!(text.contains("execute = [\n    \"/srv/data/b?\", # once by prog\n]"), "{text}");
    }
}
