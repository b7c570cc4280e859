//! Control messages that may be sent (cmsg(3), socket(7), ip(7), ipv6(7), udp(7), unix(7)) by level and type.
//!
//! One that no row names is refused: among them are pointers into the sender, source routes and routing
//! headers.

use crate::effect::{Choice, Effect, HARMLESS, Place};
use crate::kind::{Command, Restart, Wait};

/// Rows by level: `NAME effects`, the value from `libc` unless spelled out.
macro_rules! messages {
    ($($level:ident { $($name:ident $(= $value:literal)? $effects:expr),* $(,)? })*) => {
        [$($(Command {
            value: (libc::$level as u64) << 32 | crate::names::value!($name $(= $value)?),
            name: stringify!($name),
            args: &[],
            effects: $effects,
            route: None,
            wait: Wait::Never,
            restart: Restart::Never,
        }),*),*]
    };
}

/// `struct in_pktinfo`; its second address says nothing when it is sent.
const SOURCE: &[Effect] = &[Effect::Route(Choice::Source(Place::V4(4), 0))];
/// `struct in6_pktinfo`.
const SOURCE6: &[Effect] = &[Effect::Route(Choice::Source(Place::V6(0), 16))];

const ROWS: &[Command] = &messages! {
    SOL_SOCKET {
        SCM_RIGHTS HARMLESS, SCM_CREDENTIALS HARMLESS, SO_TIMESTAMPING HARMLESS, SO_TXTIME HARMLESS,
    }
    IPPROTO_IP { IP_PKTINFO SOURCE, IP_TTL HARMLESS, IP_TOS HARMLESS }
    IPPROTO_IPV6 {
        IPV6_PKTINFO SOURCE6, IPV6_HOPLIMIT HARMLESS, IPV6_TCLASS HARMLESS, IPV6_DONTFRAG HARMLESS,
    }
    IPPROTO_UDP { UDP_SEGMENT HARMLESS }
};

/// Control messages, ascending.
pub static CONTROL: &[Command] = &SORTED;
static SORTED: [Command; ROWS.len()] = super::row::sorted(ROWS);
const _: () = super::check::messages(&super::row::sorted::<{ ROWS.len() }>(ROWS));

/// The row of a control message.
pub fn control(level: i32, kind: i32) -> Option<&'static Command> {
    let value = u64::from(level as u32) << 32 | u64::from(kind as u32);
    CONTROL.binary_search_by_key(&value, |row| row.value).ok().map(|at| &CONTROL[at])
}
