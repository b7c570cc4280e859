//! From rules to classic BPF, and what a program answers.

use crate::rule::{Action, Rule, Test};
use libc::*;
use seccompiler::sock_filter;
use std::collections::BTreeMap;

/// `AUDIT_ARCH_X86_64`.
pub const X86_64: u32 = 0xc000_003e;
/// `AUDIT_ARCH_I386`.
pub const I386: u32 = 0x4000_0003;

/// Offsets in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u32 = BPF_LD | BPF_W | BPF_ABS;
const AND: u32 = BPF_ALU | BPF_AND | BPF_K;
const JUMP: u32 = BPF_JMP | BPF_JA;
const IF_EQUAL: u32 = BPF_JMP | BPF_JEQ | BPF_K;
const IF_MORE: u32 = BPF_JMP | BPF_JGT | BPF_K;
const IF_NOT_LESS: u32 = BPF_JMP | BPF_JGE | BPF_K;
const RETURN: u32 = BPF_RET | BPF_K;

/// Why a list is no filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// A call that no kernel has.
    #[error("{0} is no number of a call")]
    Number(c_long),
    /// A call has six arguments.
    #[error("a condition on argument {0}")]
    Argument(u8),
    /// The kernel takes 4096 instructions.
    #[error("the filter is too long")]
    TooLong,
}

/// A filter. Calls of other architectures end the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program(Vec<sock_filter>);

/// What the kernel shows a filter (`struct seccomp_data`).
#[derive(Clone, Copy, Debug)]
pub struct Data {
    /// The call's number.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Its arguments.
    pub args: [u64; 6],
}

/// Conditions on arguments, all of which are to hold, and the answer then.
type Case<'a> = (&'a [(u8, Test)], u32);

/// The answer to calls of some number, and of all after it until the next.
#[derive(Debug, PartialEq)]
enum Answer<'a> {
    Always(u32),
    By(Vec<Case<'a>>),
}

/// The filter that answers as the first rule of a call which holds, and `otherwise` where none does.
///
/// # Errors
/// See [`CompileError`].
pub fn compile<'a>(
    rules: impl IntoIterator<Item = Rule<'a>>,
    otherwise: Action,
) -> Result<Program, CompileError> {
    const LONGEST: usize = 4096;
    let otherwise = otherwise.answer();
    let mut calls: BTreeMap<u32, Vec<Case<'_>>> = BTreeMap::new();
    for rule in rules {
        let number = i32::try_from(rule.call).ok().and_then(|number| u32::try_from(number).ok());
        let number = number.ok_or(CompileError::Number(rule.call))?;
        if let Some((argument, _)) = rule.when.iter().find(|(argument, _)| *argument > 5) {
            return Err(CompileError::Argument(*argument));
        }
        calls.entry(number).or_default().push((rule.when, rule.action.answer()));
    }
    let mut answers = vec![(0, Answer::Always(otherwise))];
    for (number, cases) in calls {
        let answer = match cases[..] {
            [([], answer)] => Answer::Always(answer),
            _ => Answer::By(cases),
        };
        // What the call before has put here is about the numbers in between.
        answers.pop_if(|(from, _)| *from == number);
        answers.push((number, answer));
        answers.push((number + 1, Answer::Always(otherwise)));
    }
    answers.dedup_by(|next, before| next.1 == before.1);
    let mut code = vec![
        load(ARCHITECTURE),
        jump_if(IF_EQUAL, X86_64, 1, 0),
        answer(SECCOMP_RET_KILL_PROCESS),
        load(NUMBER),
    ];
    code.extend(search(&answers, otherwise));
    if code.len() > LONGEST { Err(CompileError::TooLong) } else { Ok(Program(code)) }
}

/// Finds the answer among those by halves. The call's number is loaded.
fn search(answers: &[(u32, Answer<'_>)], otherwise: u32) -> Vec<sock_filter> {
    if let [(_, only)] = answers {
        return match only {
            Answer::Always(number) => vec![answer(*number)],
            Answer::By(cases) => conditions(cases, otherwise),
        };
    }
    let (low, high) = answers.split_at(answers.len() / 2);
    let (from, low) = (high[0].0, search(low, otherwise));
    let mut code = match u8::try_from(low.len()) {
        Ok(skip) => vec![jump_if(IF_NOT_LESS, from, skip, 0)],
        Err(_) => vec![jump_if(IF_NOT_LESS, from, 0, 1), instruction(JUMP, low.len() as u32)],
    };
    code.extend(low);
    code.extend(search(high, otherwise));
    code
}

/// The answer of the first case whose conditions hold.
fn conditions(cases: &[Case<'_>], otherwise: u32) -> Vec<sock_filter> {
    let mut code = Vec::new();
    // The offset of what is loaded, where that is known when a case fails.
    let mut loaded = None;
    for (tests, then) in cases {
        let mut steps: Vec<Step> =
            tests.iter().flat_map(|(argument, test)| steps(*argument, *test)).collect();
        let first = steps.first().map(|step| step.k);
        if loaded.is_some() && loaded == first {
            steps.remove(0);
        }
        loaded = match &steps[..] {
            [Step { code: LOAD, .. }, Step { code: IF_EQUAL, .. }] | [Step { code: IF_EQUAL, .. }] => first,
            _ => None,
        };
        let count = steps.len();
        code.extend(steps.iter().enumerate().map(|(at, step)| {
            let (wanted, fail) = (step.wanted, (count - at) as u8);
            match step.code {
                LOAD | AND => instruction(step.code, step.k),
                test if wanted => jump_if(test, step.k, 0, fail),
                test => jump_if(test, step.k, fail, 0),
            }
        }));
        code.push(answer(*then));
    }
    code.push(answer(otherwise));
    code
}

/// An instruction of a condition: a load, an `and`, or a comparison with its wanted outcome.
struct Step {
    code: u32,
    k: u32,
    wanted: bool,
}

fn steps(argument: u8, test: Test) -> Vec<Step> {
    let (low, high) = (ARGUMENTS + 8 * u32::from(argument), ARGUMENTS + 8 * u32::from(argument) + 4);
    let step = |code, k| Step { code, k, wanted: true };
    let masked = |offset, mask: u32, bits: u32| match (mask, bits) {
        (0, 0) => Vec::new(),
        (u32::MAX, _) => vec![step(LOAD, offset), step(IF_EQUAL, bits)],
        _ => vec![step(LOAD, offset), step(AND, mask), step(IF_EQUAL, bits)],
    };
    let both = |mask: u64, bits: u64| {
        let mut steps = masked(high, (mask >> 32) as u32, (bits >> 32) as u32);
        steps.extend(masked(low, mask as u32, bits as u32));
        steps
    };
    match test {
        Test::Int(n) => masked(low, u32::MAX, n),
        Test::NotInt(n) => vec![step(LOAD, low), Step { code: IF_EQUAL, k: n, wanted: false }],
        Test::AtMost(n) => vec![step(LOAD, low), Step { code: IF_MORE, k: n, wanted: false }],
        Test::IntMasked(mask, bits) => masked(low, mask, bits),
        Test::Long(n) => both(u64::MAX, n),
        Test::Within(bits) => both(!bits, 0),
        Test::Masked(mask, bits) => both(mask, bits),
    }
}

fn instruction(code: u32, k: u32) -> sock_filter {
    sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn load(offset: u32) -> sock_filter {
    instruction(LOAD, offset)
}

fn answer(number: u32) -> sock_filter {
    instruction(RETURN, number)
}

/// Skips so many instructions if the test holds, and so many if not.
fn jump_if(test: u32, k: u32, holds: u8, fails: u8) -> sock_filter {
    sock_filter { code: test as u16, jt: holds, jf: fails, k }
}

impl Program {
    /// Puts it in force for good, for the calling thread and what that starts. Sets `no_new_privs`.
    ///
    /// # Errors
    /// As seccomp(2).
    pub fn restrict_thread(&self) -> Result<(), seccompiler::Error> {
        seccompiler::apply_filter(&self.0)
    }

    /// Puts it in force for good, for all threads of the process. Sets `no_new_privs`.
    ///
    /// # Errors
    /// As seccomp(2); also if a thread has a filter that the calling one has not.
    pub fn restrict_process(&self) -> Result<(), seccompiler::Error> {
        seccompiler::apply_filter_all_threads(&self.0)
    }

    /// What it answers (seccomp(2), "Filter return values").
    ///
    /// # Panics
    /// It is not a program of this module.
    #[expect(clippy::panic, reason = "for tests of lists; no program comes from elsewhere")]
    pub fn answer(&self, data: &Data) -> u32 {
        let word = |offset: u32| match offset {
            NUMBER => data.nr,
            ARCHITECTURE => data.arch,
            _ => {
                let at = offset - ARGUMENTS;
                (data.args[at as usize / 8] >> (8 * (at % 8))) as u32
            }
        };
        let (mut a, mut at) = (0u32, 0);
        loop {
            let &sock_filter { code, jt, jf, k } = &self.0[at];
            at += 1;
            let mut skip = |holds: bool| at += usize::from(if holds { jt } else { jf });
            match code.into() {
                LOAD => a = word(k),
                AND => a &= k,
                JUMP => at += k as usize,
                IF_EQUAL => skip(a == k),
                IF_MORE => skip(a > k),
                IF_NOT_LESS => skip(a >= k),
                RETURN => return k,
                code => panic!("instruction {code:#x}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rxbox_tests::random::Random;

    /// What the rules say, read one after the other.
    fn expected(rules: &[Rule<'_>], otherwise: Action, data: &Data) -> u32 {
        let holds = |rule: &&Rule<'_>| {
            rule.call == c_long::from(data.nr)
                && rule.when.iter().all(|(argument, test)| test.holds(data.args[usize::from(*argument)]))
        };
        rules.iter().find(holds).map_or(otherwise, |rule| rule.action).answer()
    }

    fn some_test(random: &mut Random, value: u64) -> Test {
        let mask = random.next();
        match random.below(7) {
            0 => Test::Int(value as u32),
            1 => Test::NotInt(value as u32),
            2 => Test::AtMost(value as u32),
            3 => Test::IntMasked(mask as u32, value as u32 & mask as u32),
            4 => Test::Long(value),
            5 => Test::Within(value | mask),
            _ => Test::Masked(mask, value & mask),
        }
    }

    /// Values that differ in few bits and in either half.
    fn some_value(random: &mut Random) -> u64 {
        let values = [0, 1, 2, 3, 0x80, 0x81, u32::MAX.into(), 1 << 32, 1 << 32 | 1, u64::MAX];
        random.pick(&values)
    }

    #[test]
    fn a_program_answers_as_its_rules_read_one_after_the_other() {
        let mut random = Random::new(1);
        for _ in 0..200 {
            let actions = [Action::Allow, Action::Errno(1), Action::Errno(38), Action::KillProcess];
            let count = random.below(300);
            let tests: Vec<_> = (0..count)
                .map(|_| {
                    let tests: Vec<_> = (0..random.below(3))
                        .map(|_| {
                            let value = some_value(&mut random);
                            (random.below(2) as u8, some_test(&mut random, value))
                        })
                        .collect();
                    (random.below(200) as c_long, tests, random.pick(&actions))
                })
                .collect();
            let rules: Vec<Rule<'_>> = tests
                .iter()
                .map(|(call, when, action)| Rule { call: *call, when, action: *action })
                .collect();
            let otherwise = random.pick(&actions);
            let program = compile(rules.iter().copied(), otherwise).unwrap();
            for nr in (0..=201).chain([0x4000_0000, u32::MAX]) {
                for _ in 0..10 {
                    let args = std::array::from_fn(|_| some_value(&mut random));
                    let data = Data { nr, arch: X86_64, args };
                    assert_eq!(program.answer(&data), expected(&rules, otherwise, &data), "{data:x?}");
                    let other = Data { arch: I386, ..data };
                    assert_eq!(program.answer(&other), SECCOMP_RET_KILL_PROCESS);
                }
            }
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let rule = |call, when| Rule { call, when, action: Action::Allow };
        assert_eq!(compile([rule(-1, &[])], Action::Allow), Err(CompileError::Number(-1)));
        let sixth: &[_] = &[(6, Test::Int(0))];
        assert_eq!(compile([rule(0, sixth)], Action::Allow), Err(CompileError::Argument(6)));
        let many = (0..5000).map(|n| rule(2 * n, &[]));
        assert_eq!(compile(many, Action::KillProcess), Err(CompileError::TooLong));
    }
}
