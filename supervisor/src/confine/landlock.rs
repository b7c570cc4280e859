//! Landlock (landlock(7)): the supervisor reaches no file, port, process or abstract socket outside of what
//! the profile allows.
//!
//! A ruleset can only allow, by trees of files, and knows no names that are not there yet. So it is coarser
//! than the profile: a rule with wildcards grants the tree above the first of them, one for a name that is
//! not there the nearest directory above that is, but not the root: what other hands make there while the run
//! lasts is not reached. What the profile denies inside of what it allows, only the handlers deny. Looking up
//! names, stat(2), `O_PATH` and connecting to a socket by its path are nothing that Landlock (ABI 7) knows.
//!
//! What the supervisor needs for itself comes on top: its own program and libraries, which the emulator child
//! executes, and `/proc`, from which it learns about the processes of the guest.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, AddRuleError, AddRulesError, BitFlags, CompatLevel, Compatible,
    NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus,
    Scope, make_bitflags,
};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The newest version of the interface whose rights are handled.
const NEWEST: ABI = ABI::V6;

/// What the ruleset grants.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    /// Trees of files with the rights there.
    pub trees: Vec<(PathBuf, Rights)>,
    /// Trees that lie in none of the others, whatever their names.
    pub detached: Vec<(PathBuf, Rights)>,
    /// Names of the files that this program and those that it starts of itself execute, where they are not
    /// found by the names that they were mapped by.
    pub own: Vec<PathBuf>,
    /// TCP ports to connect to; `None` for all.
    pub connect: Option<Vec<u16>>,
    /// TCP ports to bind to; `None` for all.
    pub bind: Option<Vec<u16>>,
    /// Whether abstract unix sockets outside of the sandbox may be reached.
    pub abstract_sockets: bool,
}

/// Rights in a tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights {
    /// Files can be read, directories listed.
    pub read: bool,
    /// Files that are there can be changed.
    pub modify: bool,
    /// Names can be made and removed.
    pub names: bool,
    /// Files can be executed.
    pub execute: bool,
    /// Sockets can be made.
    pub sockets: bool,
}

impl Rights {
    /// All of them.
    pub const ALL: Rights = Rights { read: true, modify: true, names: true, execute: true, sockets: true };

    fn access(self) -> BitFlags<AccessFs> {
        let mut access = BitFlags::empty();
        let mut add = |holds: bool, rights: BitFlags<AccessFs>| {
            if holds {
                access |= rights;
            }
        };
        add(self.read, make_bitflags!(AccessFs::{ReadFile | ReadDir | IoctlDev}));
        add(self.modify, make_bitflags!(AccessFs::{WriteFile | Truncate | IoctlDev}));
        add(
            self.names,
            AccessFs::from_write(NEWEST) & !make_bitflags!(AccessFs::{WriteFile | Truncate | IoctlDev}),
        );
        add(self.execute, make_bitflags!(AccessFs::{Execute}));
        add(self.sockets, make_bitflags!(AccessFs::{MakeSock | RemoveFile}));
        access
    }
}

/// How much of the ruleset the kernel enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforced {
    /// All of it.
    Fully,
    /// An older kernel: what it knows.
    Partly,
    /// A kernel without Landlock, or one started without it.
    Not,
}

/// Why the ruleset cannot be put in force.
#[derive(Debug, thiserror::Error)]
#[error("cannot restrict the supervisor with Landlock: {0}")]
pub struct Refused(#[from] RulesetError);

/// Restricts this thread and everything that it starts.
///
/// # Errors
/// The kernel has Landlock but refuses the ruleset.
pub fn restrict(grants: &Grants) -> Result<Enforced, Refused> {
    let mut ruleset = Ruleset::default().set_compatibility(CompatLevel::BestEffort);
    ruleset = ruleset.handle_access(AccessFs::from_all(NEWEST))?;
    for (ports, access) in [(&grants.connect, AccessNet::ConnectTcp), (&grants.bind, AccessNet::BindTcp)] {
        if ports.is_some() {
            ruleset = ruleset.handle_access(access)?;
        }
    }
    ruleset = ruleset.scope(Scope::Signal)?;
    if !grants.abstract_sockets {
        ruleset = ruleset.scope(Scope::AbstractUnixSocket)?;
    }
    let mut ruleset = ruleset.create()?;
    let needs = own_needs(grants.own.is_empty());
    let trees = needed(grants.trees.iter().cloned().chain(needs).collect());
    // These lie in no tree that their names speak of.
    let own = grants.own.iter().cloned().map(|file| (file, EXECUTE));
    for (tree, rights) in trees.into_iter().chain(grants.detached.iter().cloned()).chain(own) {
        let Some(rule) = rule(&tree, rights) else { continue };
        match (&mut ruleset).add_rule(rule) {
            Ok(_) => {}
            Err(e) if needs_no_rule(&e) => {}
            Err(e) => return Err(e.into()),
        }
    }
    for (ports, access) in [(&grants.connect, AccessNet::ConnectTcp), (&grants.bind, AccessNet::BindTcp)] {
        for port in ports.iter().flatten() {
            ruleset = ruleset.add_rule(NetPort::new(*port, access))?;
        }
    }
    Ok(match ruleset.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Enforced::Fully,
        RulesetStatus::PartiallyEnforced => Enforced::Partly,
        RulesetStatus::NotEnforced => Enforced::Not,
    })
}

/// The trees without those that lie in another that grants the same or more.
fn needed(trees: Vec<(PathBuf, Rights)>) -> Vec<(PathBuf, Rights)> {
    let mut granted: HashMap<&OsStr, BitFlags<AccessFs>> = HashMap::new();
    for (tree, rights) in &trees {
        *granted.entry(tree.as_os_str()).or_default() |= rights.access();
    }
    let above = |tree: &Path, rights: Rights| {
        let mut above = tree.ancestors().skip(1).filter_map(|above| granted.get(above.as_os_str()));
        above.any(|there| there.contains(rights.access()))
    };
    trees.iter().filter(|(tree, rights)| !above(tree, *rights)).cloned().collect()
}

/// The rule for a tree, or for the nearest directory above that is there; nothing if its rights mean nothing
/// there. To grant the root for a name that is missing there would grant everything.
fn rule(tree: &Path, rights: Rights) -> Option<PathBeneath<PathFd>> {
    let there = tree.ancestors().find_map(|path| Some((path, PathFd::new(path).ok()?)));
    let root = Path::new("/");
    let makes = rights.names || rights.sockets;
    let (path, fd) = there.filter(|(path, _)| *path != root || tree == root || makes)?;
    let mut access = rights.access();
    if !path.is_dir() {
        access &= AccessFs::from_file(NEWEST);
    }
    (!access.is_empty()).then(|| PathBeneath::new(fd, access))
}

/// Whether the file lies in no tree, like the pipe behind `/dev/stdin`. Landlock grants those to whoever can
/// name them.
fn needs_no_rule(error: &RulesetError) -> bool {
    let RulesetError::AddRules(AddRulesError::Fs(AddRuleError::AddRuleCall { source, .. })) = error else {
        return false;
    };
    source.raw_os_error() == Some(libc::EBADFD)
}

/// What it takes to execute a file.
const EXECUTE: Rights = Rights { read: true, modify: false, names: false, execute: true, sockets: false };

/// What the supervisor and the programs that it starts of itself need, with `files` those that are mapped.
fn own_needs(files: bool) -> Vec<(PathBuf, Rights)> {
    let read = Rights { read: true, ..Rights::default() };
    let mut needs = vec![(PathBuf::from("/proc"), read)];
    if files {
        needs.extend(mapped_files().into_iter().map(|file| (file, EXECUTE)));
    }
    needs
}

/// This program, its loader and its libraries: the files that are mapped executable.
pub fn mapped_files() -> Vec<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let libraries = maps.lines().filter_map(|line| mapped_file(line, &Path::exists));
    // The program is found by this even if it has no name any more.
    let mut files: Vec<PathBuf> = libraries.chain([PathBuf::from("/proc/self/exe")]).collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// The file of a line of `/proc/PID/maps`, if it is mapped executable. Where rxbox has left the mount
/// namespace that it was started in (`host/procfs.rs`), the names there begin with what is above the root
/// directory.
fn mapped_file(line: &str, is_there: &dyn Fn(&Path) -> bool) -> Option<PathBuf> {
    let (fields, name) = line.split_at(line.find('/')?);
    let executable = fields.split(' ').nth(1)?.contains('x');
    let names = name.match_indices('/').map(|(at, _)| PathBuf::from(&name[at..]));
    executable.then(|| names.into_iter().find(|name| is_there(name))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_in_the_root_does_not_grant_the_root() {
        let read = Rights { read: true, ..Rights::default() };
        let write = Rights { names: true, ..read };
        for (tree, rights, rule_made) in [
            ("/rxbox-missing", read, false),
            ("/rxbox-missing/x", read, false),
            ("/rxbox-missing", write, true),
            ("/proc/rxbox-missing", read, true),
            ("/", read, true),
        ] {
            assert_eq!(rule(Path::new(tree), rights).is_some(), rule_made, "{tree}");
        }
    }

    #[test]
    fn a_library_is_found_by_its_name_below_the_root_directory() {
        let is_there = |path: &Path| path == Path::new("/lib/libc.so.6");
        let found = |name: &str, rights: &str| {
            mapped_file(&format!("7f00-7f01 {rights} 00000000 fe:00 77    {name}"), &is_there)
        };
        let library = Some(PathBuf::from("/lib/libc.so.6"));
        assert_eq!(found("/lib/libc.so.6", "r-xp"), library);
        assert_eq!(found("/srv/root/lib/libc.so.6", "r-xp"), library);
        assert_eq!(found("/lib/libc.so.6", "r--p"), None);
        assert_eq!(found("/lib/libc.so.6 (deleted)", "r-xp"), None);
        assert_eq!(found("[vdso]", "r-xp"), None);
    }

    #[test]
    fn a_tree_in_another_with_the_same_rights_needs_no_rule_of_its_own() {
        let read = Rights { read: true, ..Rights::default() };
        let run = Rights { execute: true, ..read };
        let trees =
            |list: &[(&str, Rights)]| list.iter().map(|(p, r)| (PathBuf::from(p), *r)).collect::<Vec<_>>();
        let given = trees(&[("/usr", read), ("/usr/bin", run), ("/usr/lib", read), ("/usrlocal", read)]);
        assert_eq!(needed(given), trees(&[("/usr", read), ("/usr/bin", run), ("/usrlocal", read)]));
        // What two rules for one tree grant together counts.
        let given = trees(&[("/a", read), ("/a", run), ("/a/b", run)]);
        assert_eq!(needed(given), trees(&[("/a", read), ("/a", run)]));
    }
}
