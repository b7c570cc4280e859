//! Bounded runs of the fuzz targets, with stable Rust and as part of the tests.
//!
//! A target is a function that takes any bytes and panics if something does not hold. Each crate has its
//! targets in modules under `cfg(any(test, fuzzing))`; libFuzzer runs them for hours (`tests/fuzz`), and this
//! driver runs them on the same seeds, `tests/fuzz/seeds/TARGET`, and on random changes of these.
//!
//! * `RXBOX_SEED=n` makes other changes, `RXBOX_FUZZ_MINUTES=n` goes on for that long;
//! * an input that fails is kept, and `RXBOX_FUZZ_INPUT=FILE` runs it alone.

use crate::random::Random;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest input that changes of a seed come to.
const MOST: usize = 8192;

/// Runs a target on its seeds, and on so many inputs made of them.
///
/// # Panics
/// As the target does, once its input is kept; or if there are no seeds.
pub fn run(target: &str, rounds: u32, body: fn(&[u8])) {
    if let Some(input) = std::env::var_os("RXBOX_FUZZ_INPUT") {
        return body(&std::fs::read(input).expect("the input can be read"));
    }
    let seeds = seeds(target);
    let minutes = std::env::var("RXBOX_FUZZ_MINUTES").ok().and_then(|minutes| minutes.parse().ok());
    let end = minutes.map(|minutes: u64| Instant::now() + Duration::from_secs(60 * minutes));
    let goes_on = |round| end.map_or(round < rounds, |end| Instant::now() < end);
    let mut random = Random::new(target.bytes().fold(0, |n, byte| n * 31 + u64::from(byte)));
    seeds.iter().for_each(|seed| attempt(target, body, seed));
    let mut round = 0;
    while goes_on(round) {
        attempt(target, body, &changed(&mut random, &seeds));
        round += 1;
    }
    println!("{target}: {} seeds, {round} changes", seeds.len());
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "no seeds in {}", folder.display());
    paths.iter().map(|path| std::fs::read(path).expect("a seed")).collect()
}

fn attempt(target: &str, body: fn(&[u8]), input: &[u8]) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| body(input))) else { return };
    let kept = std::env::temp_dir().join(format!("rxbox-fuzz-{target}"));
    match std::fs::write(&kept, input) {
        Ok(()) => println!("RXBOX_FUZZ_INPUT={} repeats it", kept.display()),
        Err(e) => println!("{}: {e}; the input: {input:?}", kept.display()),
    }
    resume_unwind(panic);
}

/// A seed with some of its bytes changed, doubled, cut away or replaced by those of another; now and then
/// bytes of pure chance.
fn changed(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    if random.one_in(16) {
        return (0..random.below(256)).map(|_| random.byte()).collect();
    }
    let seed = &seeds[random.index(seeds.len())];
    let mut bytes = seed[..seed.len().min(MOST)].to_vec();
    // A few changes mostly, many now and then.
    let changes = if random.one_in(4) { 32 } else { 4 };
    for _ in 0..=random.below(changes) {
        let at = random.index(bytes.len() + 1);
        let end = (at + 1 + random.index(40)).min(bytes.len());
        match random.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            1 if at < bytes.len() => bytes[at] = random.byte(),
            2 if at < bytes.len() => bytes[at] = random.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                let to = random.index(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            5 => {
                let other = &seeds[random.index(seeds.len())];
                let from = random.index(other.len() + 1);
                let part = &other[from..(from + 1 + random.index(40)).min(other.len())];
                // In front of what is there, or in its place.
                let until = if random.one_in(2) { at } else { (at + part.len()).min(bytes.len()) };
                bytes.splice(at..until, part.iter().copied());
            }
            6 if random.one_in(8) => bytes.truncate(at),
            _ => bytes.insert(at, random.byte()),
        }
    }
    bytes.truncate(MOST);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_the_same_for_a_seed_and_differ_from_each_other() {
        let seeds = [b"one seed of some length".to_vec(), Vec::new(), vec![7; 3 * MOST]];
        let inputs = || {
            let mut random = Random::new(9);
            (0..1000).map(|_| changed(&mut random, &seeds)).collect::<Vec<_>>()
        };
        assert_eq!(inputs(), inputs());
        assert!(inputs().iter().all(|input| input.len() <= MOST));
        let distinct: std::collections::BTreeSet<_> = inputs().into_iter().collect();
        assert!(distinct.len() > 700, "{}", distinct.len());
    }

    /// What libFuzzer runs the tests run too.
    #[test]
    fn every_target_has_seeds_and_a_bounded_run() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let sources = |file: &str| std::fs::read_to_string(root.join(file)).unwrap();
        let folders = [
            "policy/src",
            "emulator-core/src/loader",
            "emulator-core/translate/src",
            "supervisor/src/path",
            "supervisor/src/worker",
        ];
        let texts: String = folders.iter().map(|folder| sources(&format!("{folder}/fuzz.rs"))).collect();
        let targets = std::fs::read_dir(root.join("tests/fuzz/fuzz_targets")).unwrap();
        let mut names: Vec<String> =
            targets.map(|t| t.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned()).collect();
        names.sort();
        assert_eq!(names.len(), texts.matches("fuzz::run(").count(), "{names:?}");
        for name in names {
            assert!(!seeds(&name).is_empty(), "{name}");
            assert!(texts.contains(&format!("fuzz::run(\"{name}\"")), "{name} has no bounded run");
        }
    }

    #[test]
    #[should_panic(expected = "too long")]
    fn an_input_that_fails_fails_the_run() {
        attempt("itself", |input| assert!(input.len() < 3, "too long"), b"1234");
    }
}
