//! Programs that write code while they run: the guest `guests/changing_code.c` does it in one way after the
//! other and prints what the code that ran gave, natively and in rxbox the same.

use rxbox_tests::{Scratch, guest, same};

fn as_natively(way: &str) {
    let scratch = Scratch::new(way);
    let program = guest(&scratch, "changing_code").to_string_lossy().into_owned();
    same("permissive", &[], &[&program, way], |_| (), b"");
}

#[test]
fn a_store_into_the_running_block_takes_effect_on_the_next_instruction() {
    as_natively("next_instruction");
}

#[test]
fn a_function_that_is_rewritten_before_each_call_is_always_the_new_one() {
    as_natively("rewritten");
}

#[test]
fn a_loop_that_rewrites_itself_runs_what_it_wrote() {
    as_natively("loop_on_itself");
}

#[test]
fn code_runs_only_where_and_while_it_may() {
    as_natively("protections");
}

#[test]
fn other_code_at_the_same_place_replaces_what_was_there() {
    as_natively("other_code_at_the_same_place");
}

#[test]
fn code_beside_data_that_is_always_written_runs() {
    as_natively("beside_data");
}

#[test]
fn twenty_thousand_fresh_functions_run() {
    as_natively("fresh_functions");
}

#[test]
fn code_from_another_thread_is_what_it_wrote() {
    as_natively("from_another_thread");
}

#[test]
fn threads_run_on_beside_code_that_changes() {
    as_natively("under_running_threads");
}

#[test]
fn a_program_may_map_wherever_the_translator_has_its_code() {
    as_natively("where_the_translator_is");
}

#[test]
fn more_code_than_the_cache_holds_runs_beside_a_running_thread() {
    as_natively("more_than_the_cache");
}

#[test]
fn code_that_is_mapped_twice_can_be_written_at_the_other_address() {
    as_natively("two_addresses");
}
