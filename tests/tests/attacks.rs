//! Attacks from inside the sandbox that must fail. The guest, `guests/attacks.c`, prints what came of each
//! try.
//!
//! Each attack first has to work natively where that shows that the attack itself is sound: a test that could
//! not notice an escape would be worth nothing.

use rxbox_tests::{Program, Ran, Scratch, compile_guest};
use std::os::unix::net::UnixListener;

struct Field {
    scratch: Scratch,
    _listener: UnixListener,
}

/// A folder that the guest may write, and beside it a secret file and a listening socket.
fn field() -> Field {
    let scratch = Scratch::in_the_open("attack");
    scratch.file("secret", "top secret\n");
    scratch.file("readable", "to be read\n");
    std::fs::create_dir_all(scratch.path().join("w/sub")).unwrap();
    std::fs::create_dir_all(scratch.path().join("bin")).unwrap();
    compile_guest("attacks", &scratch.path().join("bin/attacks"), &[]);
    let listener = UnixListener::bind(scratch.path().join("socket")).unwrap();
    Field { scratch, _listener: listener }
}

impl Field {
    fn program(&self, attack: &str) -> Program {
        let at = |name: &str| self.scratch.path().join(name).to_string_lossy().into_owned();
        Program::new(&self.scratch.path().join("w"), &[&at("bin/attacks"), attack])
            .options(&["--allow-exec", &at("bin/attacks"), "--allow-write", &at("w")])
            .options(&[
                "--env",
                &format!("ALLOWED={}", at("w")),
                "--env",
                &format!("SECRET={}", at("secret")),
            ])
            .options(&["--env", &format!("SOCKET={}", at("socket"))])
            .env("ALLOWED", &at("w"))
            .env("SECRET", &at("secret"))
            .options(&["--env", &format!("READABLE={}", at("readable")), "--allow-read", &at("readable")])
            .env("READABLE", &at("readable"))
            .env("SOCKET", &at("socket"))
            .env("HOST_SECRET", "HOST_SECRET_VALUE")
    }

    fn boxed(&self, attack: &str) -> Ran {
        self.program(attack).boxed("untrusted")
    }
}

/// The attack works natively and is held in rxbox.
fn works_natively_only(attack: &str) {
    let field = field();
    let native = field.program(attack).native();
    assert!(
        native.out().contains("ESCAPED"),
        "{attack} shows nothing natively: {}{}",
        native.out(),
        native.err()
    );
    let field = self::field();
    is_held(&field, attack);
}

fn is_held(field: &Field, attack: &str) -> Ran {
    let ran = field.boxed(attack);
    assert!(!ran.out().contains("ESCAPED"), "{attack}: {}{}", ran.out(), ran.err());
    assert!(ran.out().contains("held"), "{attack} tried nothing: {}{}", ran.out(), ran.err());
    let secret = std::fs::read_to_string(field.scratch.path().join("secret")).unwrap();
    assert_eq!(secret, "top secret\n", "{attack} changed the secret");
    ran
}

#[test]
fn dot_dot_leads_nowhere() {
    works_natively_only("dotdot");
}

#[test]
fn symbolic_and_hard_links_do_not_carry_rights() {
    works_natively_only("links");
}

#[test]
fn a_link_that_changes_places_during_an_open_is_never_followed_to_the_secret() {
    works_natively_only("swap_links");
}

/// Each of the attack's tries succeeds natively, and none does in rxbox.
fn each_works_natively_only(attack: &str) {
    let native = field().program(attack).native();
    assert!(native.out().contains("ESCAPED") && !native.out().contains("held"), "natively: {}", native.out());
    let field = field();
    let ran = is_held(&field, attack);
    assert_eq!(ran.out().lines().count(), native.out().lines().count(), "{}", ran.out());
    let readable = field.scratch.path().join("readable");
    assert_eq!(std::fs::read_to_string(readable).unwrap(), "to be read\n", "{attack} changed a file");
}

#[test]
fn a_file_that_may_be_read_is_written_in_no_way() {
    each_works_natively_only("upgrade");
}

#[test]
fn what_a_program_has_written_is_run_in_no_way() {
    each_works_natively_only("code");
}

#[test]
fn a_path_that_is_rewritten_during_an_open_is_judged_as_it_is_opened() {
    let field = field();
    is_held(&field, "swap_strings");
}

#[test]
fn proc_shows_nothing_of_the_supervisor_or_of_others() {
    let field = field();
    is_held(&field, "proc");
}

#[test]
fn descriptor_numbers_that_were_never_given_are_not_open() {
    let field = field();
    let ran = is_held(&field, "descriptors");
    assert!(ran.out().contains("still here"), "closing everything must not end the guest");
}

#[test]
fn connections_that_the_profile_does_not_list_are_denied() {
    let field = field();
    is_held(&field, "network");
}

#[test]
fn calls_that_reach_beyond_the_sandbox_are_refused() {
    let field = field();
    is_held(&field, "calls");
}

#[test]
fn processes_outside_cannot_be_signalled() {
    let field = field();
    is_held(&field, "signals");
}

#[test]
fn processes_outside_cannot_be_traced() {
    let field = field();
    is_held(&field, "trace");
}

#[test]
fn the_runtime_memory_cannot_be_mapped_over_or_changed_by_calls() {
    let field = field();
    is_held(&field, "memory");
}

#[test]
fn the_32_bit_call_gate_ends_the_guest_by_a_signal() {
    let field = field();
    let ran = is_held(&field, "int80");
    assert_eq!(ran.status, 128 + libc::SIGSEGV, "{}", ran.err());
}

#[test]
fn a_denial_is_told_in_one_line_with_the_way_to_allow_it() {
    let field = field();
    let ran = Program::new(field.scratch.path(), &["/bin/cat", "/etc/shadow"]).boxed("untrusted");
    assert_eq!(ran.status, 1);
    let lines: Vec<_> =
        ran.err().lines().filter(|l| l.starts_with("rxbox: denied")).map(String::from).collect();
    assert_eq!(lines.len(), 1, "{}", ran.err());
    for part in ["read /etc/shadow", "openat", "untrusted.toml:"] {
        assert!(lines[0].contains(part), "{part} is missing in {}", lines[0]);
    }
}
