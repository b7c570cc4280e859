//! Containers for engines that drive runc: containerd, Docker, podman, Kubernetes.
//!
//! A container is a run of rxbox. Its process, which the engine waits for, is the job process of the run
//! ([`crate::run::job`]): it has the container's namespaces, gets its signals and ends as its program does.
//! The supervisor has the container's files as its root, and answers on a socket ([`state`]).
//!
//! * [`bundle`], [`devices`]: what config.json asks for, and whether that is offered. [`profile`],
//!   [`seccomp`], [`identity`]: the policy and the users that come of it.
//! * [`create`]: how a container is made and started; [`root`], [`mounts`], [`console`]: its files and its
//!   terminal; [`cgroup`], [`limits`]: what the kernel holds it to; [`hooks`].
//! * [`control`]: what is done with it afterwards; [`exec`]: further processes in it.

mod bundle;
mod cgroup;
mod console;
mod context;
mod control;
mod create;
mod devices;
mod exec;
mod hooks;
mod identity;
mod limits;
mod log;
mod mounts;
mod profile;
mod root;
mod seccomp;
mod state;

use crate::cli::oci::{Oci, OciCommand, RUNC};
use crate::confine::descriptors::Given;
use context::Context;
use log::Log;
use std::io::Write;

/// Exit status of a command that has failed.
const FAILED: i32 = 1;

/// Does what the command line says; the exit status.
pub fn main(oci: &Oci, given: Given) -> i32 {
    if oci.version {
        return print(&format!("{RUNC} version {}\nspec: {}\n", env!("CARGO_PKG_VERSION"), state::VERSION));
    }
    let log = match Log::open(oci) {
        Ok(log) => log,
        Err(why) => {
            crate::report::tell(&format!("rxbox: {why}"));
            return FAILED;
        }
    };
    let root = oci.root.clone().unwrap_or_else(state::default_root);
    let context = Context { root, systemd: oci.systemd_cgroup, log };
    carry_out(oci, &context, given).unwrap_or_else(|why| {
        context.log.error(&why);
        FAILED
    })
}

fn carry_out(oci: &Oci, context: &Context, given: Given) -> Result<i32, String> {
    let Some(command) = &oci.command else { return Err("a command is missing; see --help".to_owned()) };
    match command {
        OciCommand::Create(asked) => create::create(context, asked, given).map(|_| 0),
        OciCommand::Start { id } => create::start(context, id).map(|()| 0),
        OciCommand::Run { detach, keep, create } => create::run(context, create, given, *detach, *keep),
        OciCommand::Exec(asked) => exec::exec(context, asked),
        OciCommand::State { id } => control::state(context, id).map(|text| print(&text)),
        OciCommand::List { format, quiet } => {
            control::list(context, *format, *quiet).map(|text| print(&text))
        }
        OciCommand::Kill { id, signal, all } => control::kill(context, id, signal, *all).map(|()| 0),
        OciCommand::Delete { id, force } => control::delete(context, id, *force).map(|()| 0),
        OciCommand::Ps { id, format, options } => {
            control::ps(context, id, *format, options).map(|text| print(&text))
        }
        OciCommand::Pause { id } => control::freeze(context, id, true).map(|()| 0),
        OciCommand::Resume { id } => control::freeze(context, id, false).map(|()| 0),
        OciCommand::Update(asked) => control::update(context, asked).map(|()| 0),
        OciCommand::Features => Ok(print(&control::features())),
    }
}

/// Prints. A reader that has seen enough is no error.
fn print(text: &str) -> i32 {
    let _ = std::io::stdout().write_all(text.as_bytes());
    0
}
