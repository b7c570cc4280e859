//! Frames: what an honest child sends passes, what it cannot have sent does not, and nothing makes the checks
//! panic.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail like the tests themselves"
)]

use rxbox_tests::random::Random;
use rxbox_wire::frame::{
    Checked, Given, Length, MessageHeader, Reply, Request, Violation, check_data, count, cut, length, null,
};
use rxbox_wire::kind::{Arg, Kind, Presence};
use rxbox_wire::sizes::{ABSENT, ALIGN, BULK_MAX, DATA_SIZE, FAULT};
use rxbox_wire::table;

/// A register as programs and attackers fill them: small, around a power of two, or anything.
fn register(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => random.below(64),
        1 => random.below(5000),
        2 => (1u64 << random.below(64)).wrapping_add(random.below(3)).wrapping_sub(1),
        _ => random.next(),
    }
}

/// Every row of calls and of the runtime's requests, and for a multiplexer every command: number and
/// registers.
fn shapes(random: &mut Random) -> Vec<(u32, [u64; 6])> {
    let mut shapes = Vec::new();
    for row in table::SYSCALLS.iter().chain(table::INTERNAL) {
        shapes.push((row.nr, std::array::from_fn(|_| register(random))));
    }
    for (call, commands) in table::multiplexers() {
        let at = call.args.iter().position(|a| matches!(a.kind, Kind::Command(_) | Kind::Level(_))).unwrap();
        for row in commands.rows {
            let mut args: [u64; 6] = std::array::from_fn(|_| register(random));
            match call.args[at].kind {
                Kind::Level(_) => [args[at], args[at + 1]] = [row.value >> 32, row.value & 0xffff_ffff],
                _ => args[at] = row.value,
            }
            shapes.push((call.nr, args));
        }
    }
    shapes
}

/// What an honest child sends for these registers; `None` if it answers the call itself.
fn marshal(nr: u32, args: &[u64; 6], random: &mut Random) -> Option<Request> {
    let (kinds, _) = table::kinds(table::row(nr)?, args);
    let args = cut(&kinds, args);
    let mut len = [ABSENT; 6];
    for (i, len) in len.iter_mut().enumerate() {
        match length(&kinds, i, &args) {
            None => {}
            Some(Length::TooMany { .. }) => return None,
            Some(_) if random.below(16) == 0 => *len = FAULT,
            Some(_) if random.below(8) == 0 && kinds[i].kind.presence() == Some(Presence::Optional) => {}
            Some(Length::Exactly(n)) => *len = u32::try_from(n).unwrap(),
            Some(Length::AtMost(n)) => *len = u32::try_from(random.below(n.min(2048) + 1)).unwrap(),
        }
    }
    Some(Request { nr, flags: 0, args, len })
}

#[test]
fn what_an_honest_child_sends_passes_and_every_changed_length_is_refused() {
    let mut random = Random::new(1);
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..40 {
        for (nr, args) in shapes(&mut random) {
            let Some(request) = marshal(nr, &args, &mut random) else { continue };
            let checked = request.check().unwrap_or_else(|e| panic!("{e}: {request:?}"));
            passed += 1;
            for i in 0..6 {
                for forged in forgeries(&checked, &request, i) {
                    let mut forged_request = request;
                    forged_request.len[i] = forged;
                    assert!(
                        forged_request.check().is_err(),
                        "argument {i} with {forged} bytes in {request:?}"
                    );
                    refused += 1;
                }
            }
        }
    }
    assert!(passed > 10_000 && refused > 100_000, "{passed} {refused}");
}

/// Lengths of argument `i` that the table forbids.
fn forgeries(checked: &Checked, request: &Request, i: usize) -> Vec<u32> {
    match length(&checked.kinds, i, &request.args) {
        None => vec![0, 1, 4096, FAULT, FAULT - 1],
        Some(Length::Exactly(n)) => {
            let n = n as u32;
            [n.wrapping_sub(1), n + 1, n + 16, FAULT - 1].into_iter().filter(|&l| l < FAULT).collect()
        }
        Some(Length::AtMost(n)) => vec![n as u32 + 1, FAULT - 1],
        Some(Length::TooMany { .. }) => vec![0, 1, FAULT - 1],
    }
}

#[test]
fn no_frame_makes_the_check_panic_and_places_never_overlap_nor_leave_the_area() {
    let mut random = Random::new(7);
    let mut passed = 0;
    for round in 0..200_000u64 {
        let mut bytes = [0u8; Request::SIZE];
        bytes.fill_with(|| random.byte());
        let mut request = Request::decode(&bytes);
        if round % 8 != 0 {
            request.nr = table::SYSCALLS[random.below(table::SYSCALLS.len() as u64) as usize].nr;
            request.args = std::array::from_fn(|_| register(&mut random));
            request.len = std::array::from_fn(|i| match random.below(8) {
                0 => random.next() as u32,
                1 | 2 => request.args[random.below(6) as usize] as u32,
                3 => request.args[i] as u32,
                _ => ABSENT,
            });
        }
        if let Ok(checked) = request.check() {
            passed += 1;
            places_are_sound(&checked, &request);
        }
    }
    assert!(passed > 1000, "{passed}");
}

fn places_are_sound(checked: &Checked, request: &Request) {
    let mut end = 0;
    for (place, &len) in checked.place.iter().zip(&request.len) {
        let given = match len {
            ABSENT => Given::Nothing,
            FAULT => Given::Wrong(libc::EFAULT),
            _ => Given::Memory,
        };
        assert_eq!(place.given, given);
        if given == Given::Memory {
            assert_eq!(place.len, len as usize);
            assert!(place.start >= end && place.start % ALIGN == 0 && place.range().end <= DATA_SIZE);
            end = place.range().end;
        }
    }
}

#[test]
fn an_argument_that_cannot_be_null_is_never_missing() {
    let mut random = Random::new(9);
    let mut missing = 0;
    for (nr, args) in shapes(&mut random) {
        let row = table::row(nr).unwrap();
        let (kinds, _) = table::kinds(row, &args);
        let mut request = Request { nr, flags: 0, args: [0; 6], len: [ABSENT; 6] };
        request.args = args;
        for (i, len) in request.len.iter_mut().enumerate() {
            *len = if length(&kinds, i, &args).is_some() { FAULT } else { ABSENT };
        }
        let checked = request.check().unwrap();
        for i in (0..6).filter(|i| request.len[*i] == FAULT) {
            assert_eq!(checked.place[i].given, Given::Wrong(libc::EFAULT));
            let mut without = request;
            without.len[i] = ABSENT;
            let optional = kinds[i].kind.presence() == Some(Presence::Optional);
            let named = kinds.iter().any(|a| a.kind.presence() == Some(Presence::With { other: i as u8 }));
            let refused = matches!(without.check(), Err(Violation::Missing { .. }));
            assert!(refused != optional || named, "{} {}", row.name, kinds[i].name);
            missing += usize::from(refused);
        }
    }
    assert!(missing > 200, "{missing}");
}

#[test]
fn a_null_pointer_crosses_as_its_row_says() {
    let sent = |call: &str, at: usize, args: [u64; 6]| null(&kinds_of(call, &args), at, &args);
    assert_eq!(sent("fstat", 1, [0; 6]), Some(FAULT));
    assert_eq!(sent("utimensat", 2, [0; 6]), Some(ABSENT));
    assert_eq!(sent("setxattr", 2, [1, 1, 0, 0, 0, 0]), None, "no bytes, no look");
    assert_eq!(sent("setxattr", 2, [1, 1, 0, 1, 0, 0]), Some(FAULT));
    assert_eq!(sent("accept", 2, [0; 6]), Some(ABSENT));
    assert_eq!(sent("accept", 2, [0, 1, 0, 0, 0, 0]), Some(FAULT));
    assert_eq!(sent("writev", 1, [0; 6]), None);
    assert_eq!(sent("ioctl", 2, [0, libc::FIONBIO, 0, 0, 0, 0]), Some(FAULT));
    assert_eq!(sent("ioctl", 2, [0, 0xdead, 0, 0, 0, 0]), Some(ABSENT));
}

#[test]
fn a_number_without_a_row_is_a_violation() {
    let request = Request { nr: 9999, flags: 0, args: [0; 6], len: [ABSENT; 6] };
    assert_eq!(request.check().unwrap_err(), Violation::UnknownCall(9999));
}

#[test]
fn arguments_that_fit_one_by_one_but_not_together_are_a_violation() {
    let sendto = table::by_name("sendto").unwrap().nr;
    let mut request = Request {
        nr: sendto,
        flags: 0,
        args: [3, 1, BULK_MAX as u64, 0, 1, 128],
        len: [ABSENT, BULK_MAX as u32, ABSENT, ABSENT, 128, ABSENT],
    };
    assert!(request.check().is_ok(), "a full transfer leaves room for an address");
    request.args = [3, 0, 0, 0, 0, 0];
    request.nr = table::by_name("select").unwrap().nr;
    request.args[0] = 65536;
    request.len = [ABSENT, 8192, 8192, 8192, 16, ABSENT];
    assert!(request.check().is_ok());
    let sendmsg = table::by_name("sendmsg").unwrap().nr;
    let request = Request {
        nr: sendmsg,
        flags: 0,
        args: [3, 1, 0, 0, 0, 0],
        len: [ABSENT, DATA_SIZE as u32 + 1, ABSENT, ABSENT, ABSENT, ABSENT],
    };
    assert!(request.check().is_err());
}

#[test]
fn requests_and_replies_survive_their_bytes() {
    let mut random = Random::new(3);
    for _ in 0..1000 {
        let request = Request {
            nr: random.next() as u32,
            flags: random.next() as u32,
            args: std::array::from_fn(|_| random.next()),
            len: std::array::from_fn(|_| random.next() as u32),
        };
        assert_eq!(Request::decode(&request.encode()), request);
        let reply = Reply {
            ret: random.next() as i64,
            flags: random.next() as u32,
            out: std::array::from_fn(|_| random.next() as u32),
        };
        assert_eq!(Reply::decode(&reply.encode()), reply);
    }
}

fn kinds_of(call: &str, args: &[u64; 6]) -> [Arg; 6] {
    table::kinds(table::by_name(call).unwrap(), args).0
}

#[test]
fn the_high_half_of_a_32_bit_count_does_not_count() {
    let args = [3, 0x1000, 0xffff_ffff_0000_0040, 0, 0, 0];
    assert_eq!(length(&kinds_of("getdents64", &args), 1, &args), Some(Length::Exactly(64)));
    assert_eq!(cut(&kinds_of("getdents64", &args), &args), args);
    assert!(count(&kinds_of("read", &args), 2, &args) > u32::MAX.into());
}

#[test]
fn a_negative_count_stands_for_no_bytes() {
    let args = [0x1000, 0x2000, u64::from(-1i32 as u32), 0, 0, 0];
    assert_eq!(length(&kinds_of("readlink", &args), 1, &args), Some(Length::Exactly(0)));
}

#[test]
fn transfers_are_cut_to_the_largest_count_that_crosses() {
    let args = [3, 0x1000, u64::MAX, 0, 0, 0];
    assert_eq!(cut(&kinds_of("read", &args), &args)[2], BULK_MAX as u64);
    let args = [3, 0x1000, 1 << 30, 0, 0, 0];
    assert_eq!(cut(&kinds_of("epoll_wait", &args), &args)[2], BULK_MAX as u64 / 12);
}

#[test]
fn a_count_that_may_not_be_cut_is_answered_as_the_kernel_does() {
    let too_many = |call: &str, at: usize, args: [u64; 6]| length(&kinds_of(call, &args), at, &args);
    let einval = Some(Length::TooMany { errno: libc::EINVAL });
    assert_eq!(too_many("poll", 0, [1, 1 << 20, 0, 0, 0, 0]), einval);
    assert_eq!(too_many("bind", 1, [3, 1, 129, 0, 0, 0]), einval);
    assert_eq!(
        too_many("setxattr", 2, [1, 1, 1, u64::MAX, 0, 0]),
        Some(Length::TooMany { errno: libc::E2BIG })
    );
}

#[test]
fn strings_end_in_their_only_nul() {
    let path = Arg { name: "path", kind: Kind::Path(Presence::Needed) };
    assert_eq!(check_data("open", &path, b"/etc\0"), Ok(()));
    for bad in [&b""[..], b"/etc", b"/etc\0/passwd\0", b"\0\0"] {
        assert!(check_data("open", &path, bad).is_err(), "{bad:?}");
    }
    let strings = Arg { name: "argv", kind: Kind::Strings };
    assert_eq!(check_data("execve", &strings, b"a\0\0b\0"), Ok(()));
    assert_eq!(check_data("execve", &strings, b""), Ok(()));
    assert!(check_data("execve", &strings, b"a\0b").is_err());
}

#[test]
fn the_parts_of_a_message_lie_in_it_and_do_not_overlap() {
    let mut random = Random::new(11);
    let mut sound = 0;
    for _ in 0..100_000 {
        let mut data = vec![0u8; random.below(600) as usize];
        for word in data.chunks_mut(4).take(4) {
            let value = if random.below(8) == 0 { random.next() as u32 } else { random.below(300) as u32 };
            word.copy_from_slice(&value.to_le_bytes()[..word.len()]);
        }
        if let Some(header) = MessageHeader::decode(&data) {
            sound += 1;
            let [name, control, bytes] = header.parts();
            assert!(
                MessageHeader::SIZE <= name.start && name.end <= control.start && control.end <= bytes.start
            );
            assert!(bytes.end <= data.len());
            assert_eq!(MessageHeader::decode(&[&header.encode()[..], &data[16..]].concat()), Some(header));
        }
    }
    assert!(sound > 1000, "{sound}");
}
