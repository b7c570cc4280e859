//! Effects of commands: one question for each.
//!
//! Which effects a socket option, a control message, an ioctl(2) request or another command has, its row
//! says ([`rxbox_wire::effect`]). What each effect means under a policy stands here and nowhere else, so that
//! a new row is judged by what it declares.

use super::socket::address::{implicit, may_bind, may_join, may_route};
use super::{interface, terminal};
use crate::caller::Caller;
use crate::context::Call;
use crate::state::fd::{File, Kind};
use nix::errno::Errno;
use rxbox_policy::Access;
use rxbox_wire::effect::{Choice, Effect, HARMLESS, Place};
use rxbox_wire::kind::Kind as Arg;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Judges the command of a call, if it is one of a multiplexer.
///
/// # Errors
/// The descriptor is not open, or an effect is denied.
pub fn judge_command(call: &mut Call<'_>) -> Result<(), Errno> {
    match call.checked.command {
        // The table sees to it that commands of other objects have no effects to ask about.
        Some(row) if row.effects != HARMLESS && call.checked.kinds[0].kind == Arg::Fd => {
            let file = call.file(0)?;
            if matches!(call.checked.kinds[1].kind, Arg::Level(_)) {
                super::socket::option::has_level(call)?;
            }
            // What leads nowhere has no value, and no effect: the handler comes to the bad address.
            let given = |i| call.bytes(i).ok().flatten();
            let value = (1..6).find_map(given).unwrap_or_default().to_vec();
            if (1..6).any(|i| call.checked.kinds[i].kind.is_read() && call.reach(i).is_err()) {
                return Ok(());
            }
            judge(call, &file, row.effects, &value)
        }
        _ => Ok(()),
    }
}

/// Judges effects on an open file, with the value that says what exactly is done.
///
/// # Errors
/// An effect is denied; EINVAL if the value is too short for it.
pub(super) fn judge(call: &mut Call<'_>, file: &File, effects: &[Effect], value: &[u8]) -> Result<(), Errno> {
    effects.iter().try_for_each(|effect| ask(call, file, *effect, value))
}

/// The question of each effect. What is no socket, or no terminal, has no effects of such: the kernel
/// refuses.
fn ask(call: &mut Call<'_>, file: &File, effect: Effect, value: &[u8]) -> Result<(), Errno> {
    let socket = file.kind == Kind::Socket;
    let nothing = value.iter().all(|byte| *byte == 0);
    match effect {
        // Nobody's business.
        Effect::Harmless => Ok(()),
        // The handler's, which then waits interruptibly.
        Effect::Block => Ok(()),
        // The kernel's, which bounds it for every process alike.
        Effect::KernelMemory => Ok(()),
        // The kernel's: of those who ask it nobody has a capability that the profile does not keep.
        Effect::Privilege => Ok(()),
        Effect::Route(Choice::Way) if socket && !nothing => may_route(call),
        Effect::Route(Choice::Source(place, device)) if socket => {
            may_choose_source(call, file, place, device, value)
        }
        Effect::Emit(place) if socket => may_join(call, address(place, value)?),
        Effect::Bind if socket && !nothing => may_bind(call, file, implicit(file)?),
        Effect::Interface(named) if socket && !call.sandbox.policy.shows_interfaces() => {
            interface::is_loopback(file, named, value)
        }
        Effect::Route(_) | Effect::Emit(_) | Effect::Bind | Effect::Interface(_) => Ok(()),
        // The handler lists those that the guest may see.
        Effect::Interfaces => Ok(()),
        Effect::Terminal if file.kind == Kind::Terminal => terminal::may_change(call, file),
        Effect::Terminal => Ok(()),
        Effect::Attributes => Caller::of(call).check_open(Access::Attributes, file),
    }
}

/// A source alone is chosen by whoever may bind to it.
fn may_choose_source(
    call: &Call<'_>,
    socket: &File,
    place: Place,
    device: u8,
    value: &[u8],
) -> Result<(), Errno> {
    let source = address(place, value)?;
    let device = u32::from_ne_bytes(bytes(value, device)?);
    match (device, source.is_unspecified()) {
        (0, true) => Ok(()),
        (0, false) if !call.sandbox.policy.route().allowed() => may_bind(call, socket, (source, 0).into()),
        _ => may_route(call),
    }
}

/// The internet address at a place of a value.
fn address(place: Place, value: &[u8]) -> Result<IpAddr, Errno> {
    match place {
        Place::V4(at) => Ok(Ipv4Addr::from(bytes::<4>(value, at)?).into()),
        Place::V6(at) => Ok(Ipv6Addr::from(bytes::<16>(value, at)?).into()),
        Place::Sockaddr(at) => match u16::from_ne_bytes(bytes(value, at)?).into() {
            libc::AF_INET => address(Place::V4(at + 4), value),
            libc::AF_INET6 => address(Place::V6(at + 8), value),
            _ => Err(Errno::EADDRNOTAVAIL),
        },
    }
}

/// So many bytes at an offset of a value; EINVAL if it is too short.
fn bytes<const N: usize>(value: &[u8], at: u8) -> Result<[u8; N], Errno> {
    value.get(at.into()..).and_then(|rest| rest.first_chunk().copied()).ok_or(Errno::EINVAL)
}
