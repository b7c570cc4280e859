//! System calls, area by area: the programs `guests/calls_*.c` print what each call gives, natively and in rxbox the same, and
//! leave the same files.

use rxbox_tests::{Scratch, guest, same};

/// Runs a guest under `permissive`.
fn as_natively(name: &str) {
    compare(name, &["permissive"]);
}

/// Runs a guest under `permissive`, and under `untrusted` with a folder to write.
fn as_natively_even_untrusted(name: &str) {
    compare(name, &["permissive", "untrusted"]);
}

fn compare(name: &str, profiles: &[&str]) {
    let scratch = Scratch::new(name);
    let program = guest(&scratch, name).to_string_lossy().into_owned();
    for profile in profiles {
        // Some guests ask on purpose for what the policy denies as the file's mode does.
        let options = ["--quiet", "--allow-exec", &program, "--allow-write", "{D}"];
        same(profile, &options, &[&program], |_| (), b"");
    }
}

#[test]
fn files_and_their_metadata() {
    as_natively_even_untrusted("calls_files");
}

#[test]
fn names_folders_and_listings() {
    as_natively_even_untrusted("calls_folders");
}

#[test]
fn pipes_counters_timers_and_waiting_for_them() {
    as_natively_even_untrusted("calls_pipes");
}

#[test]
fn memory_and_mapped_files() {
    as_natively_even_untrusted("calls_memory");
}

#[test]
fn threads_and_futexes() {
    as_natively_even_untrusted("calls_threads");
}

#[test]
fn futexes_barriers_and_processors() {
    as_natively_even_untrusted("calls_futexes");
}

#[test]
fn locks_and_what_a_fork_shares() {
    as_natively_even_untrusted("calls_locks");
}

#[test]
fn timers_clocks_and_sleeping() {
    as_natively_even_untrusted("calls_timers");
}

/// Under `untrusted` there is no network.
#[test]
fn sockets_and_messages() {
    as_natively("calls_sockets");
}

/// Under `untrusted` there are limits.
#[test]
fn limits_clocks_identity_and_the_machine() {
    as_natively("calls_process");
}

#[test]
fn limits_on_the_address_space_that_a_process_sets() {
    as_natively_even_untrusted("limits_memory");
}
