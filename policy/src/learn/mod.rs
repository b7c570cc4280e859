//! From what a program did to a profile for it.
//!
//! A program is run under a profile with [`bounds`], which allow more than the profile; what the profile
//! alone would have denied is noted ([`Learned::note`]). At the end [`Learned::profile`] writes a profile
//! that extends the first one and allows this, and little more:
//! * a path gets the key that grants least of what was done with it ([`Key`]);
//! * the working directory and the home become variables, names by chance become wildcards ([`paths`]);
//! * where many names of a directory were used the entry is the directory, but never one of those that hold
//!   everybody's or all of a user's files.

pub mod bounds;
mod paths;
mod text;
mod used;

use crate::decision::Access;
use crate::hint::{DeniedWhat, address_entry, group_entry};
use crate::pattern::variables::{toml_path, toml_string};
use crate::vocabulary;
use paths::Done;
use std::collections::{BTreeMap, BTreeSet};
pub use text::Terms;
use text::Text;
use used::{Key, Use};

/// The most different things that are noted: a program chooses how many there are.
const MOST: usize = 50_000;

/// What a program did that a profile does not allow.
#[derive(Clone, Debug, Default)]
pub struct Learned {
    /// By path: the accesses, and by whom.
    paths: BTreeMap<Vec<u8>, (BTreeSet<u8>, Use)>,
    /// By key of `[network]` and entry.
    addresses: BTreeMap<(&'static str, String), Use>,
    /// How much was not noted.
    lost: u64,
}

impl Learned {
    /// Notes what a program was allowed to do beyond the profile.
    pub fn note(&mut self, what: &DeniedWhat<'_>, program: &[u8]) {
        match *what {
            DeniedWhat::Path(Access::Connect, path) => {
                self.address("allow", Some(toml_path("unix:", path)), program);
            }
            DeniedWhat::Path(Access::Bind, path) => {
                self.address("bind", Some(toml_path("unix:", path)), program);
                self.path(Access::Create, path, program);
            }
            DeniedWhat::Path(access, path) => self.path(access, path, program),
            DeniedWhat::Make(_, path) => self.path(Access::Create, path, program),
            DeniedWhat::Rename(from, to) => {
                self.path(Access::Remove, from, program);
                self.path(Access::Create, to, program);
            }
            DeniedWhat::Connect(endpoint) => self.address("allow", address_entry(&endpoint), program),
            DeniedWhat::Bind(endpoint) => self.address("bind", address_entry(&endpoint), program),
            DeniedWhat::Join(group) => self.address("allow", Some(group_entry(group)), program),
            DeniedWhat::Socket { domain, .. } => {
                let family = vocabulary::family_name(domain).map(|name| toml_string(&name));
                self.address("families", family, program);
            }
            DeniedWhat::Route => self.address("allow", Some("\"ip:*\"".to_owned()), program),
            DeniedWhat::Call(..) | DeniedWhat::Variable(_) => {}
        }
    }

    fn path(&mut self, access: Access, path: &[u8], program: &[u8]) {
        let used = Use::once(program);
        if let Some((accesses, known)) = self.paths.get_mut(path) {
            accesses.insert(access as u8);
            known.again(used);
        } else if self.paths.len() < MOST {
            self.paths.insert(path.to_vec(), (BTreeSet::from([access as u8]), used));
        } else {
            self.lost += 1;
        }
    }

    fn address(&mut self, key: &'static str, entry: Option<String>, program: &[u8]) {
        let Some(entry) = entry else { return };
        if self.addresses.len() < MOST {
            self.addresses.entry((key, entry)).or_default().join(&Use::once(program));
        } else {
            self.lost += 1;
        }
    }

    /// The profile.
    pub fn profile(&self, terms: &Terms<'_>) -> String {
        let used = self.paths.iter().flat_map(|(path, (accesses, used))| {
            let did = |access: Access| accesses.contains(&(access as u8));
            let done = Done { made: did(Access::Create), removed: did(Access::Remove) };
            Key::of(accesses).into_iter().map(move |key| (key, path.as_slice(), done, used))
        });
        let (entries, withheld) = paths::entries(used, terms.variables);
        Text { paths: &entries, withheld: &withheld, addresses: &self.addresses, lost: self.lost }
            .profile(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::variables::Variables;
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
