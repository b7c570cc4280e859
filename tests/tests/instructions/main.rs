//! Instructions and control flow against the processor: the same code natively and in rxbox must leave the
//! same state, in every register, flag and byte of memory, and raise the same signals.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod flow;
mod programs;

use rxbox_tests::instructions::encodings::{FORMS, Form, every_instruction};
use rxbox_tests::instructions::machine::{HIGH, LOW, Machine};
use rxbox_tests::instructions::{fuzz, sequences};
use rxbox_tests::random::Random;
use std::time::Duration;

#[test]
fn every_instruction_does_what_the_processor_does_in_low_code() {
    let random = &mut Random::new(1);
    let mut machine = Machine::new(LOW, random);
    let mnemonics = every_instruction(&mut machine, random, None, &FORMS, 300);
    println!("{} mnemonics", mnemonics.len());
    assert!(mnemonics.len() > 1150 && machine.len() > 20_000, "{} in {}", mnemonics.len(), machine.len());
    machine.compare(60);
}

#[test]
fn rip_relative_operands_out_of_reach_are_found_in_high_code() {
    let random = &mut Random::new(2);
    let mut machine = Machine::new(HIGH, random);
    every_instruction(&mut machine, random, None, &[Form::Rip], 100);
    machine.compare(60);
}

#[test]
fn segment_and_address_size_prefixes_do_what_the_processor_does() {
    let random = &mut Random::new(3);
    for placement in [LOW, HIGH] {
        let mut machine = Machine::new(placement, random);
        for prefix in [0x64, 0x65, 0x67] {
            every_instruction(&mut machine, random, Some(prefix), &FORMS, 60);
        }
        assert!(machine.len() > 10_000, "{}", machine.len());
        machine.compare(60);
    }
}

#[test]
fn lines_of_random_instructions_do_what_the_processor_does() {
    let random = &mut Random::new(4);
    for placement in [LOW, HIGH] {
        let mut machine = Machine::new(placement, random);
        for _ in 0..10_000 {
            let length = 2 + random.below(14) as usize;
            sequences::add(&mut machine, random, length);
        }
        machine.compare(40);
    }
}

#[test]
fn random_code_does_what_the_processor_does() {
    let seed: u64 = std::env::var("RXBOX_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(21);
    let report = fuzz::run(seed, Duration::from_secs(20));
    println!("{} cases from seed {seed}", report.cases);
    assert!(report.found.is_empty(), "seed {seed}:\n{}", report.found.join("\n"));
}

/// Runs the cases that `add` adds, in low and in high code.
fn in_both_places(stream: u64, add: fn(&mut Machine, &mut Random)) {
    let random = &mut Random::new(stream);
    for placement in [LOW, HIGH] {
        let mut machine = Machine::new(placement, random);
        add(&mut machine, random);
        machine.compare(0);
    }
}

#[test]
fn conditional_branches_go_both_ways() {
    in_both_places(5, flow::conditions);
}

#[test]
fn counting_branches_count_as_wide_as_their_prefix_says() {
    in_both_places(6, flow::counters);
}

#[test]
fn calls_push_the_return_address_and_returns_release_what_they_say() {
    in_both_places(7, flow::calls);
}

#[test]
fn indirect_branches_go_through_every_register_and_memory_operand() {
    in_both_places(8, flow::indirect);
}

#[test]
fn traps_find_the_exact_state_and_report_their_cause() {
    in_both_places(9, flow::traps);
}

#[test]
fn flags_go_through_the_stack() {
    in_both_places(10, flow::flags);
}

#[test]
fn segment_registers_hold_the_selectors_of_user_mode() {
    in_both_places(11, flow::segments);
}

#[test]
fn what_was_found_once_stays_mended() {
    in_both_places(13, flow::found);
}
