//! System calls, area by area: the programs `guests/calls_*.c` print what each call gives, natively and in
//! rxbox the same, and leave the same files.

use rxbox_tests::calls::compare::compare;
use rxbox_tests::{guest_is_the_same, rxbox};
use std::path::Path;
use std::thread;

/// Runs a guest under `permissive`.
fn as_natively(name: &str) {
    guest_is_the_same(name, &["permissive"]);
}

/// Runs a guest under `permissive`, and under `untrusted` with a folder to write.
fn as_natively_even_untrusted(name: &str) {
    guest_is_the_same(name, &["permissive", "untrusted"]);
}

#[test]
fn files_and_their_metadata() {
    as_natively_even_untrusted("calls_files");
}

#[test]
fn descriptors_of_objects_that_a_call_cannot_use() {
    as_natively("calls_objects");
}

#[test]
fn names_folders_and_listings() {
    as_natively_even_untrusted("calls_folders");
}

#[test]
fn pointers_that_are_null_or_lead_nowhere() {
    as_natively("calls_pointers");
}

#[test]
fn transfers_that_are_whole_or_an_error() {
    as_natively("calls_transfers");
}

#[test]
fn what_runs_is_not_written_to_and_what_is_written_to_does_not_run() {
    as_natively("busy_text");
}

#[test]
fn borders_of_what_calls_take() {
    as_natively("calls_corners");
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
fn several_wrong_arguments() {
    as_natively("calls_order");
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

/// Random sequences of calls (`calls compare SEED 1` repeats one); a failing test prints their seeds.
#[test]
fn random_sequences_of_calls_give_what_they_give_natively() {
    const CALLS: usize = 100;
    let compared = |seeds: std::ops::Range<u64>| {
        let performer = Path::new(env!("CARGO_BIN_EXE_calls"));
        let compare_one = |seed| (seed, compare(rxbox(), performer, seed, CALLS).expect("a run"));
        seeds.map(compare_one).filter(|(_, differences)| !differences.is_empty()).collect::<Vec<_>>()
    };
    let differing: Vec<_> = thread::scope(|scope| {
        let halves = [1..31, 31..60].map(|seeds| scope.spawn(|| compared(seeds)));
        halves.into_iter().flat_map(|half| half.join().expect("a thread")).collect()
    });
    let lines = differing.iter().flat_map(|(seed, all)| {
        all.iter().map(move |[natively, boxed]| format!("seed {seed}\n  {natively}\n  {boxed}\n"))
    });
    assert!(differing.is_empty(), "{}", lines.collect::<String>());
}
