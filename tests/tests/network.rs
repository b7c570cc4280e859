//! What sockets do beside what their calls name: sending by themselves, choosing other ways, binding without
//! being told. The guest, `guests/network_effects.c`, runs in a network of the test's own with one interface
//! beside loopback, where `guests/network_wire.c` listens to what leaves. Each try works natively.
//!
//! Where the host gives no such network, the guest's answers count alone.

use rxbox_tests::{Program, Ran, Scratch, guest, rxbox};
use std::path::PathBuf;

/// A profile like `untrusted` with these entries of `[network]`.
fn profile(scratch: &Scratch, network: &str) -> String {
    let text = format!("version = 1\nextends = [\"untrusted\"]\n[network]\n{network}\n");
    scratch.file("profile.toml", text).to_str().unwrap().to_owned()
}

/// The two programs, and a folder for a profile.
struct Field {
    scratch: Scratch,
    wire: PathBuf,
    effects: PathBuf,
}

/// How long after its end a program's packets are waited for: where some are expected the wait ends with the
/// first of them.
const EXPECTED: &str = "5000";
const NOT_EXPECTED: &str = "300";

impl Field {
    fn new() -> Field {
        let scratch = Scratch::new("network");
        let (wire, effects) = (guest(&scratch, "network_wire"), guest(&scratch, "network_effects"));
        Field { scratch, wire, effects }
    }

    /// Runs a command in the network of the test's own; in this one if there is none.
    fn run(&self, wait: &str, command: &[&str]) -> Ran {
        let on_wire = [&[self.wire.to_str().unwrap(), "KEY", wait], command].concat();
        let ran = Program::new(self.scratch.path(), &on_wire).native();
        if ran.status == NO_NETWORK { Program::new(self.scratch.path(), command).native() } else { ran }
    }

    fn native(&self, what: &str, leaves: bool) -> Ran {
        let wait = if leaves { EXPECTED } else { NOT_EXPECTED };
        self.run(wait, &[self.effects.to_str().unwrap(), what])
    }

    fn boxed(&self, profile: &str, what: &str) -> Ran {
        let effects = self.effects.to_str().unwrap();
        let rxbox = rxbox().to_str().unwrap();
        self.run(NOT_EXPECTED, &[rxbox, "--profile", profile, "--allow-exec", effects, "--", effects, what])
    }

    /// Each try works natively, and none does under any of these profiles, where nothing leaves either.
    fn only_natively(&self, what: &str, leaves: bool, networks: &[&str]) {
        let native = self.native(what, leaves);
        if on_wire(&native) {
            let worked = native.out().contains("ESCAPED") && !native.out().contains("held");
            assert!(worked && leaves == left(&native), "{what} natively: {}", native.out());
        }
        for network in networks {
            let ran = self.boxed(&profile(&self.scratch, network), what);
            let held = ran.out().contains("held") && !ran.out().contains("ESCAPED");
            assert!(held && !left(&ran), "{what} under {network}: {}{}", ran.out(), ran.err());
            assert!(ran.err().contains("rxbox: denied"), "{what} is not told: {}", ran.err());
        }
    }
}

/// The status by which `network_wire` says that it could not make its network.
const NO_NETWORK: i32 = 77;

fn on_wire(ran: &Ran) -> bool {
    ran.out().contains("left: ")
}

fn left(ran: &Ran) -> bool {
    ran.out().contains("left: yes")
}

fn reached(ran: &Ran) -> bool {
    ran.out().contains("reached: yes")
}

/// Profiles with no network, and with some that has nothing to do with what is tried.
const NONE: &str = "";
const SOME: &str = "allow = [\"udp:127.0.0.1:9998\", \"tcp:127.0.0.1:9999\"]";

#[test]
fn joining_a_group_that_the_profile_does_not_allow_sends_nothing() {
    Field::new().only_natively("groups", true, &[NONE, SOME]);
}

#[test]
fn what_is_allowed_for_loopback_is_not_led_to_another_device() {
    Field::new().only_natively("devices", true, &[SOME]);
}

#[test]
fn nothing_listens_or_hears_without_having_been_let_bind() {
    Field::new().only_natively("implicit", false, &[NONE, SOME]);
}

#[test]
fn a_service_of_the_host_is_not_reached_by_the_unspecified_address() {
    let field = Field::new();
    let but_the_host = "allow = [\"ip:*\"]\ndeny = [\"ip:192.0.2.2\"]";
    for (how, network) in [
        ("unspecified_by_device", but_the_host),
        ("unspecified_after_another", but_the_host),
        ("unspecified_by_message", "allow = [\"udp:127.0.0.1:9997\"]"),
    ] {
        let native = field.native(how, false);
        assert!(reached(&native) || !on_wire(&native), "{how} natively: {}", native.out());
        let ran = field.boxed(&profile(&field.scratch, network), how);
        assert!(!reached(&ran), "{how}: {}{}", ran.out(), ran.err());
    }
}

#[test]
fn the_supervisors_capabilities_are_not_the_guests() {
    let field = Field::new();
    for network in [NONE, SOME, "allow = [\"ip:*\"]"] {
        let ran = field.boxed(&profile(&field.scratch, network), "capabilities");
        assert!(ran.out().contains("held") && !ran.out().contains("ESCAPED"), "{network}: {}", ran.out());
    }
}

#[test]
fn what_concerns_nobody_else_is_set_by_everybody() {
    let field = Field::new();
    let native = field.native("harmless", false);
    assert!(native.out().starts_with("0 0 0 0 0 0 0 0 0 0\n"), "{}", native.out());
    for network in [NONE, SOME] {
        let ran = field.boxed(&profile(&field.scratch, network), "harmless");
        assert_eq!(ran.out(), native.out(), "{network}: {}", ran.err());
    }
}

#[test]
fn of_the_interfaces_only_loopback_is_told_unless_the_profile_shows_them() {
    let field = Field::new();
    let native = field.native("interfaces", false);
    for network in [NONE, SOME, "allow = [\"ip:*\"]"] {
        let ran = field.boxed(&profile(&field.scratch, network), "interfaces");
        let out = ran.out();
        let of_wire = |line: &&str| line.starts_with("left: ") || line.starts_with("reached: ");
        let told: Vec<&str> = out.lines().filter(|line| !of_wire(line)).collect();
        assert!(!told.is_empty() && told.iter().all(|line| line.ends_with(": lo")), "{network}: {told:?}");
    }
    let shown = field.boxed(&profile(&field.scratch, "families = [\"netlink\"]"), "interfaces");
    assert_eq!(shown.out(), native.out(), "{}", shown.err());
    assert_eq!(field.boxed("permissive", "interfaces").out(), native.out());
}
