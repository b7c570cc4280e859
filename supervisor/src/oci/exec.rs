//! A further process in a container: whoever asks for it stands for it.
//!
//! The supervisor starts it and says how it ends. The engine wants a process of its own to wait for and to
//! signal: that is one forked here, which passes signals on and ends as the process in the container does. If
//! it is killed its connection ends, and with that the process.

use super::context::{Context, in_words_of_engines};
use super::create::write_pid;
use super::state::{Home, State, Status};
use super::{bundle, console, create, identity, limits};
use crate::cli::oci::Exec;
use crate::host::spawn;
use crate::monitor::message::{Further, Reply, Request, hear, tell, tell_with};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, socketpair};
use nix::sys::stat::Mode;
use oci_spec::runtime::Process;
use serde_json::{Value, json};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// Starts it; its exit status if it is waited for.
///
/// # Errors
/// It cannot be started.
pub(super) fn exec(context: &Context, asked: &Exec) -> Result<i32, String> {
    let home = Home::of(&context.root, &asked.id)?;
    let state = home.read()?;
    if state.status() != Status::Running {
        return Err(format!("cannot exec in a container that is {}", state.status().name()));
    }
    if asked.preserve_fds > 0 {
        return Err("--preserve-fds is not offered".to_owned());
    }
    let value = process(asked, &state)?;
    let mut warnings = Vec::new();
    bundle::check_process(&value, &mut warnings)?;
    warnings.iter().for_each(|warning| context.log.warn(warning));
    let process: Process = serde_json::from_value(value).map_err(|e| format!("--process: {e}"))?;
    let terminal = process.terminal().unwrap_or(false);
    let console = match &asked.console_socket {
        Some(path) if terminal => Some(console::engine(path)?),
        Some(_) => return Err("--console-socket is for a process with a terminal".to_owned()),
        None if terminal && asked.detach => return Err("a terminal needs --console-socket".to_owned()),
        None => None,
    };
    let host = |e: Errno| format!("exec: {}", e.desc());
    let slave = console.map(|engine| slave(&state, &process, &engine)).transpose()?;
    let line = home.connect().map_err(|e| format!("container {} does not answer: {}", asked.id, e.desc()))?;
    let pair = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC);
    let (ours, theirs) = pair.map_err(host)?;
    let further = further(&process);
    let own_end = ours.as_raw_fd();
    let stand_for = || {
        let begun = nix::unistd::close(own_end).map_err(host);
        begun.and_then(|()| stand_for(&line, further, slave.as_ref(), &theirs)).unwrap_or(255)
    };
    let pid = spawn::fork(stand_for).map_err(host)?;
    drop((line, theirs));
    let ended = || match spawn::wait_for(pid) {
        Ok(spawn::Ended::Exited(status)) => status,
        Ok(spawn::Ended::Signaled(signal)) => 128 + signal,
        Err(_) => 255,
    };
    // What is sent to this process is for the other, if this one waits for it.
    let signals = SigSet::all();
    match hear(ours.as_fd(), MsgFlags::empty()).map_err(host)? {
        Some(Reply::Done) => {}
        Some(Reply::Refused { why }) => {
            let _ = ended();
            return Err(in_words_of_engines(why));
        }
        _ => return Err(format!("container {} does not answer", asked.id)),
    }
    if let Some(file) = &asked.pid_file {
        write_pid(file, pid.as_raw())?;
    }
    if asked.detach {
        return Ok(0);
    }
    signals.thread_block().map_err(host)?;
    create::follow(pid.as_raw(), &signals).map_err(host)
}

/// What is to be started: what `--process` says, or the first process with the options and words.
fn process(asked: &Exec, state: &State) -> Result<Value, String> {
    if let Some(path) = &asked.process {
        let text = std::fs::read(path).map_err(|e| format!("--process {}: {e}", path.display()))?;
        return serde_json::from_slice(&text).map_err(|e| format!("--process {}: {e}", path.display()));
    }
    let mut process = state.process.clone();
    process["args"] = json!(asked.words);
    process["terminal"] = json!(asked.tty);
    if let Some(cwd) = &asked.cwd {
        process["cwd"] = json!(cwd);
    }
    if let Some(env) = process["env"].as_array_mut() {
        env.extend(asked.env.iter().map(|variable| json!(variable)));
    }
    if let Some(user) = &asked.user {
        let (user, group) = user.split_once(':').unwrap_or((user, "0"));
        let number = |text: &str| text.parse::<u32>().map_err(|_| format!("--user: {text} is no number"));
        process["user"] = json!({ "uid": number(user)?, "gid": number(group)? });
    }
    if !asked.additional_gids.is_empty() {
        process["user"]["additionalGids"] = json!(asked.additional_gids);
    }
    Ok(process)
}

fn further(process: &Process) -> Further {
    let credentials = identity::credentials(process);
    let has = credentials.capabilities;
    let limits = process
        .rlimits()
        .iter()
        .flatten()
        .map(|limit| (limits::resource(limit.typ()) as u32, limit.soft(), limit.hard()));
    Further {
        words: process.args().clone().unwrap_or_default(),
        environment: process.env().clone().unwrap_or_default(),
        cwd: process.cwd().to_string_lossy().into_owned(),
        umask: process.user().umask().unwrap_or(0o022),
        user: [credentials.user.real, credentials.group.real],
        groups: credentials.groups,
        capabilities: [has.permitted, has.inheritable, has.bounding, has.ambient],
        limits: limits.collect(),
    }
}

/// A terminal of the container's, whose other end the engine gets.
fn slave(state: &State, process: &Process, engine: &OwnedFd) -> Result<OwnedFd, String> {
    let failed = |e: Errno| format!("the terminal: {}", e.desc());
    // The container's files, below the root of its process ([`super::root`]).
    let root = format!("/proc/{}/root/root", state.pid);
    let root = open(Path::new(&root), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty());
    let root = root.map_err(failed)?;
    if state.process().is_none() {
        return Err("the container has ended".to_owned());
    }
    let small = |size: u64| u16::try_from(size).unwrap_or(u16::MAX);
    let size = process.console_size().as_ref().map(|size| (small(size.height()), small(size.width())));
    let slave = console::make(root.as_fd(), engine.as_fd(), size).map_err(failed)?;
    nix::unistd::fchown(&slave, Some(process.user().uid().into()), None).map_err(failed)?;
    Ok(slave)
}

/// The life of the process that stands for the other: its exit status.
fn stand_for(
    line: &OwnedFd,
    process: Further,
    slave: Option<&OwnedFd>,
    maker: &OwnedFd,
) -> Result<i32, String> {
    let host = |e: Errno| e.desc().to_owned();
    let signals = SigSet::all();
    signals.thread_block().map_err(host)?;
    let signals =
        SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map_err(host)?;
    let standard = |number: i32| crate::host::start::standard(number).ok_or(Errno::EBADF);
    let streams = match slave {
        Some(slave) => [slave.as_fd(); 4].to_vec(),
        None => {
            [standard(0), standard(1), standard(2)].into_iter().collect::<Result<_, _>>().map_err(host)?
        }
    };
    let request = Request::Exec { process: Box::new(process) };
    tell_with(line.as_fd(), &request, &streams).map_err(host)?;
    // Whoever waits for the end of the streams, or of what rxbox was given, must not wait for this process.
    spawn::close_all_from(0, &[line.as_fd(), signals.as_fd(), maker.as_fd()]).map_err(host)?;
    loop {
        let mut events = [line.as_fd(), signals.as_fd()].map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut events, PollTimeout::NONE) {
            Err(Errno::EINTR) => continue,
            done => drop(done.map_err(host)?),
        }
        while let Some(signal) = signals.read_signal().map_err(host)? {
            let number = signal.ssi_signo as i32;
            if number != libc::SIGCHLD {
                // One that is gone has ended everything.
                let _ = tell(line.as_fd(), &Request::Signal { number }, MsgFlags::MSG_DONTWAIT);
            }
        }
        if !events[0].any().unwrap_or(true) {
            continue;
        }
        match hear(line.as_fd(), MsgFlags::MSG_DONTWAIT) {
            Ok(Some(reply @ (Reply::Done | Reply::Refused { .. }))) => {
                let refused = matches!(reply, Reply::Refused { .. });
                // Whoever has asked for it may be gone.
                let _ = tell(maker.as_fd(), &reply, MsgFlags::MSG_DONTWAIT);
                if refused {
                    return Ok(255);
                }
            }
            Ok(Some(Reply::Ended { status, signal })) => {
                let _ = tell(maker.as_fd(), &Reply::Done, MsgFlags::MSG_DONTWAIT);
                return Ok(status.unwrap_or(128 + signal.unwrap_or(0)));
            }
            Ok(Some(Reply::Status(_))) | Err(Errno::EAGAIN | Errno::EINTR) => {}
            // The container has ended, and everything in it by SIGKILL.
            Ok(None) | Err(_) => return Ok(128 + libc::SIGKILL),
        }
    }
}
