//! Random sequences of system calls, natively and in rxbox ([`rxbox_tests::calls`]).
//!
//! ```text
//! calls compare SEED SEQUENCES [CALLS]   compares so many sequences, from this seed on; rxbox lies beside it
//! calls perform SEED CALLS               makes the calls of one in the current folder, which must be empty
//! ```

use rxbox_tests::calls::{compare, perform};
use std::process::ExitCode;

const USAGE: &str = "usage: calls compare SEED SEQUENCES [CALLS] | calls perform SEED CALLS";
const CALLS: usize = 100;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize| words.get(at).and_then(|word| word.parse::<u64>().ok());
    match (words.first().map(String::as_str), number(1), number(2)) {
        (Some("perform"), Some(seed), Some(calls)) => {
            perform::perform(seed, calls as usize);
            ExitCode::SUCCESS
        }
        (Some("compare"), Some(seed), Some(sequences)) => {
            compared(seed, sequences, number(3).map_or(CALLS, |calls| calls as usize))
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn compared(seed: u64, sequences: u64, calls: usize) -> ExitCode {
    let performer = std::env::current_exe().expect("this program");
    let rxbox = performer.with_file_name("rxbox");
    let mut differing = 0;
    for seed in seed..seed + sequences {
        match compare::compare(&rxbox, &performer, seed, calls) {
            Ok(differences) => {
                differing += u64::from(!differences.is_empty());
                for [natively, boxed] in differences {
                    println!("seed {seed}\n  natively {natively}\n  in rxbox {boxed}");
                }
            }
            Err(e) => {
                eprintln!("calls: {e}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{sequences} sequences of {calls} calls, {differing} differ");
    ExitCode::from(u8::from(differing > 0))
}
