//! What a policy answers: the verdict, and the rule that gave it.

use std::fmt;

use crate::errno;

/// What is about to be done to a path. The path is always the one that the kernel would act on: absolute,
/// with every symbolic link resolved that the call follows.
///
/// A call that does several things asks several times: `open(O_CREAT | O_RDWR)` is `Create`, `Read` and
/// `Write`. For calls that make and move names there are [`crate::Policy::make`], [`crate::Policy::rename`]
/// and [`crate::Policy::link`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Read a file's contents or its extended attributes.
    Read,
    /// Change a file's contents or length.
    Write,
    /// Change its mode, owner, times or extended attributes.
    Attributes,
    /// Make a new name: file, directory, link, device, FIFO.
    Create,
    /// Take a name away.
    Remove,
    /// Run a file as a program.
    Execute,
    /// Read a directory's entries.
    List,
    /// Learn that it exists: `stat`, `readlink`, `chdir`, `O_PATH`.
    Metadata,
    /// Connect or send to the unix socket of this name.
    Connect,
    /// Bind a unix socket to this name, which makes it.
    Bind,
}

impl Access {
    /// Every access, in the order of declaration.
    pub const ALL: [Self; 10] = [
        Self::Read,
        Self::Write,
        Self::Attributes,
        Self::Create,
        Self::Remove,
        Self::Execute,
        Self::List,
        Self::Metadata,
        Self::Connect,
        Self::Bind,
    ];

    /// The lower-case word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Attributes => "attributes",
            Self::Create => "create",
            Self::Remove => "remove",
            Self::Execute => "execute",
            Self::List => "list",
            Self::Metadata => "metadata",
            Self::Connect => "connect",
            Self::Bind => "bind",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is to have a name that is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// A new directory, with nothing in it.
    Directory,
    /// A file, FIFO or socket.
    File,
    /// A symbolic link.
    Link,
}

/// What to do with the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go ahead.
    Allow,
    /// Answer with this errno (positive).
    Deny {
        /// The errno.
        errno: i32,
    },
    /// Answer as if the path did not exist (`ENOENT`), and leave it out of listings.
    Hide,
    /// End the sandbox.
    Kill,
}

impl Verdict {
    /// The errno (positive) that the guest gets; none if the call goes ahead or the sandbox ends.
    pub fn errno(self) -> Option<i32> {
        match self {
            Self::Deny { errno } => Some(errno),
            Self::Hide => Some(errno::ENOENT),
            Self::Allow | Self::Kill => None,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Allow => f.write_str("allow"),
            Self::Deny { errno } => match errno::name(errno) {
                Some(name) => write!(f, "deny {name}"),
                None => write!(f, "deny {errno}"),
            },
            Self::Hide => f.write_str("hide"),
            Self::Kill => f.write_str("kill"),
        }
    }
}

/// The rule that took a decision. Displays as `untrusted.toml:14`, as the option's name for a rule from the
/// command line, or as `default` where no rule spoke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule<'a> {
    /// The profile's path, or the option's name; empty for the default.
    pub file: &'a str,
    /// Line in the file from 1; 0 where there is none.
    pub line: u32,
    /// The rule as it is written, after its section and key: `filesystem.deny "/etc/shadow"`; or `default`.
    pub text: &'a str,
}

impl Rule<'_> {
    /// The rule that holds where no other speaks.
    pub const DEFAULT: Rule<'static> = Rule { file: "", line: 0, text: "default" };

    /// Whether no rule of any profile spoke.
    pub fn is_default(&self) -> bool {
        self.file.is_empty()
    }
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.file.rsplit('/').next().unwrap_or(self.file);
        match (self.is_default(), self.line) {
            (true, _) => f.write_str(self.text),
            (false, 0) => f.write_str(name),
            (false, line) => write!(f, "{name}:{line}"),
        }
    }
}

/// A verdict with its reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// What to do.
    pub verdict: Verdict,
    /// Why.
    pub rule: Rule<'a>,
    /// Whether the profile wants a record of it: denials unless `[audit] denials = "none"`, and what a `log`
    /// rule names.
    pub log: bool,
}

impl Decision<'_> {
    /// Whether it is denied since no rule speaks of it: then an entry that allows it does.
    pub fn is_lack(&self) -> bool {
        !self.allowed() && self.rule.is_default()
    }

    /// Whether the request goes ahead.
    pub fn allowed(&self) -> bool {
        self.verdict == Verdict::Allow
    }
}

impl fmt::Display for Decision<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verdict, self.rule)
    }
}
