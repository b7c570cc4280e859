//! The profile of a command line, with what its options add.

use crate::changes::store;
use crate::files::HostFiles;
use crate::monitor::registry;
use crate::translations;
use clap::builder::{StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, ValueHint};
use rxbox_policy::{Diagnostics, OVERRIDE_OPTIONS, Override, Overrides, Policy, ReadProfile, Variables};
use std::path::Path;

/// A profile with what the command line adds to it.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(next_help_heading = "Policy")]
pub struct Profile {
    /// Profile by name or, with a slash, by path
    ///
    /// Built in are untrusted, permissive and base, and for tools git, node, python, rust, go, java,
    /// desktop-cli and agent. Other names are looked up in ~/.config/rxbox, /etc/rxbox
    /// and /usr/share/rxbox/profiles.
    #[arg(long = "profile", value_name = "P", default_value = "untrusted", allow_hyphen_values = true)]
    #[arg(value_hint = ValueHint::FilePath, action = ArgAction::Append)]
    pub names: Vec<String>,
    /// The additions.
    #[command(flatten)]
    pub added: Added,
    /// Change nothing: keep apart what the program changes wherever it may write, to be shown and applied by
    /// `rxbox changes`
    ///
    /// Every place that the profile lets the program write is overlaid. Devices and the network act as ever.
    #[arg(long = "try")]
    pub tries: bool,
}

impl Profile {
    /// A profile without additions.
    pub fn named(name: &str) -> Profile {
        Profile { names: vec![name.to_owned()], added: Added::default(), tries: false }
    }

    /// Its name; a command line gives one.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }

    /// Reads it.
    pub fn read(&self) -> ReadProfile {
        ReadProfile::read(self.name(), &HostFiles::default())
    }

    /// Loads it, or what has been read of it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn load(&self, read: Option<ReadProfile>, variables: &Variables) -> Result<Policy, Diagnostics> {
        let read = read.unwrap_or_else(|| self.read());
        let added = || self.added.0.clone();
        let added = if self.tries { added().trying() } else { added() };
        read.compile(&HostFiles::default(), variables, &added)
    }
}

/// What [`OVERRIDE_OPTIONS`] add, each row of which becomes an option of clap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Added(pub Overrides);

impl Args for Added {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.args(OVERRIDE_OPTIONS.iter().map(|option| {
            let name = option.flag.trim_start_matches('-');
            Arg::new(option.flag)
                .long(name)
                .value_name(option.value)
                .help(option.help)
                .long_help(format!("{}. Adds to {} of the profile.", option.help, option.adds_to))
                .value_hint(if option.value == "PATH" { ValueHint::AnyPath } else { ValueHint::Other })
                .allow_hyphen_values(true)
                .action(ArgAction::Append)
                .value_parser(StringValueParser::new().try_map(|value| option.with(&value)))
        }))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Added {
    /// In the order of the command line, which decides between limits that are set twice.
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given: Vec<(usize, Override)> = Vec::new();
        for option in &OVERRIDE_OPTIONS {
            let places = matches.indices_of(option.flag).into_iter().flatten();
            let values = matches.get_many::<Override>(option.flag).into_iter().flatten();
            given.extend(places.zip(values.cloned()));
        }
        given.sort_by_key(|(place, _)| *place);
        Ok(Added(given.into_iter().map(|(_, value)| value).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The variables of profiles. Where nothing is run, rxbox itself stands for the program.
pub fn variables(program: Option<&Path>) -> Variables {
    let program = program.map(Path::to_path_buf).or_else(|| std::env::current_exe().ok());
    // Who is not listed, as a user that a service manager has made up, is at home where login(1) puts those
    // whose home is not there.
    let home = std::env::home_dir().or_else(|| Some("/".into()));
    let user = nix::unistd::User::from_uid(nix::unistd::getuid()).ok().flatten();
    let listed = user.as_ref().map(|user| user.dir.clone()).filter(|dir| dir.is_absolute());
    Variables {
        other_homes: listed.into_iter().filter(|dir| Some(dir) != home.as_ref()).collect(),
        home,
        cwd: std::env::current_dir().ok(),
        program,
        tmpdir: Some(std::env::temp_dir()),
        user: user.map(|u| u.name),
        uid: Some(nix::unistd::getuid().as_raw()),
        invoked: None,
        own: Vec::new(),
        unseen: vec![registry::directory(), store::directory(), translations::folder::path()],
    }
}
