//! `rxbox oci`: the command line of container engines, which is runc's.

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The name by which rxbox is called in runc's place.
pub const RUNC: &str = "rxbox-runc";

/// The options of all commands, and the command.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Oci {
    /// Keep what is known of containers in DIR
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub root: Option<PathBuf>,
    /// Write errors and warnings to FILE as well
    #[arg(long = "log", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,
    /// The form of these
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Write to the log what is done, too
    #[arg(long)]
    pub debug: bool,
    /// Take paths of cgroups for SLICE:PREFIX:NAME
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Taken for runc's sake, and without a meaning
    #[arg(long, value_name = "WHETHER", hide = true)]
    pub rootless: Option<String>,
    /// Print the version
    #[arg(short = 'v', long)]
    pub version: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<OciCommand>,
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines of text.
    Text,
    /// Lines of JSON.
    Json,
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// A table.
    Table,
    /// JSON.
    Json,
}

/// How a container is made.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Create {
    /// The name of the container
    pub id: String,
    /// The directory with config.json
    #[arg(short, long, value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub bundle: PathBuf,
    /// Send the container's terminal to the socket PATH
    #[arg(long, value_name = "PATH")]
    pub console_socket: Option<PathBuf>,
    /// Write the number of the container's process to FILE
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Pass N descriptors from 3 on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
    /// Refused: rxbox cannot do without pivot_root
    #[arg(long, hide = true)]
    pub no_pivot: bool,
    /// Taken for runc's sake: rxbox makes no keyring
    #[arg(long, hide = true)]
    pub no_new_keyring: bool,
}

/// How another process is started in a container.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Exec {
    /// The container
    pub id: String,
    /// The program and its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
    /// Read what to start from FILE, a `process` of config.json
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub process: Option<PathBuf>,
    /// Send the terminal to the socket PATH
    #[arg(long, value_name = "PATH")]
    pub console_socket: Option<PathBuf>,
    /// Write the number of the process that stands for the new one to FILE
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Do not wait for its end
    #[arg(short, long)]
    pub detach: bool,
    /// Give it a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// Start it in DIR
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<PathBuf>,
    /// Set a variable
    #[arg(short, long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// Start it as this user
    #[arg(short, long, value_name = "UID[:GID]")]
    pub user: Option<String>,
    /// Start it with these groups besides
    #[arg(short = 'g', long, value_name = "GID")]
    pub additional_gids: Vec<u32>,
    /// Pass N descriptors from 3 on
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preserve_fds: u32,
}

/// What is done with containers.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum OciCommand {
    /// Make a container, whose program waits for `start`
    Create(Create),
    /// Start the program of a container
    Start {
        /// The container
        id: String,
    },
    /// Make a container, start it, and remove it at its end
    Run {
        /// Do not wait for its end
        #[arg(short, long)]
        detach: bool,
        /// Leave it there at its end
        #[arg(long)]
        keep: bool,
        /// The container.
        #[command(flatten)]
        create: Create,
    },
    /// Start another process in a container
    Exec(Exec),
    /// Print what is known of a container
    State {
        /// The container
        id: String,
    },
    /// List containers
    List {
        /// The form
        #[arg(short, long, value_enum, default_value_t = Form::Table)]
        format: Form,
        /// Print nothing but names
        #[arg(short, long)]
        quiet: bool,
    },
    /// Send a signal to the program of a container
    Kill {
        /// The container
        id: String,
        /// The signal, by name or number
        #[arg(default_value = "TERM")]
        signal: String,
        /// To all of its processes, which SIGKILL does anyway
        #[arg(short, long)]
        all: bool,
    },
    /// Remove what belongs to a container
    Delete {
        /// The container
        id: String,
        /// End it first if it runs
        #[arg(short, long)]
        force: bool,
    },
    /// List the processes of a container by their numbers on the host
    Ps {
        /// The container
        id: String,
        /// The form
        #[arg(short, long, value_enum, default_value_t = Form::Table)]
        format: Form,
        /// Options of ps(1), for the table
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<String>,
    },
    /// Stop all processes of a container where they are
    Pause {
        /// The container
        id: String,
    },
    /// Have them go on
    Resume {
        /// The container
        id: String,
    },
    /// Change the limits of a container
    Update(Update),
    /// Print what this runtime can do
    Features,
}

/// New limits.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct Update {
    /// The container
    pub id: String,
    /// Read the limits from FILE, `linux.resources` of config.json; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    pub resources: Option<PathBuf>,
    /// Bytes of memory
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory: Option<i64>,
    /// Bytes of memory and swap together
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_swap: Option<i64>,
    /// Bytes of memory that are left if memory is short
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory_reservation: Option<i64>,
    /// Processes and threads
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub pids_limit: Option<i64>,
    /// Share of processor time
    #[arg(long, value_name = "N", visible_alias = "cpu-share")]
    pub cpu_shares: Option<u64>,
    /// Microseconds of processor time in a period
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    pub cpu_quota: Option<i64>,
    /// The period
    #[arg(long, value_name = "MICROSECONDS")]
    pub cpu_period: Option<u64>,
    /// Processors
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<String>,
    /// Nodes of memory
    #[arg(long, value_name = "LIST")]
    pub cpuset_mems: Option<String>,
}

/// The arguments with the command in front if rxbox is called in runc's place.
pub(super) fn rewritten(own_name: Option<&OsStr>, mut arguments: Vec<OsString>) -> Vec<OsString> {
    let name = own_name.and_then(|name| Path::new(name).file_name());
    if name.is_some_and(|name| name == RUNC) {
        arguments.insert(0, "oci".into());
    }
    arguments
}
