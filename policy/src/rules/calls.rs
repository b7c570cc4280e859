//! Rules about raw system calls.
//!
//! Several rules may speak of one call; the severest that applies decides, so no order of writing can weaken
//! a denial: kill, then errno, then log, then allow, then the default. A rule about an argument applies when
//! its comparison holds, over exactly those bits of the register that the kernel looks at.

use std::collections::HashMap;

use crate::report::ledger::{Item, RuleId};
use crate::vocabulary;

/// What a rule does, in ascending severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Allow,
    Log,
    Errno(i32),
    Kill,
}

/// A comparison of one argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Comparison {
    /// Which argument, from 0.
    pub(crate) argument: usize,
    /// The bits that are compared.
    pub(crate) mask: u64,
    pub(crate) test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    /// The masked value is one of these.
    OneOf(Vec<u64>),
    /// The masked value is none of these.
    NoneOf(Vec<u64>),
    /// The masked value is not zero.
    AnyBit,
}

/// A rule about one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CallRule {
    pub(crate) call: u32,
    /// `None`: whatever the arguments.
    pub(crate) comparison: Option<Comparison>,
    pub(crate) action: Action,
}

/// Numbers below this have a bit in the set of calls that need no judging.
const FAST: u32 = 512;

/// The compiled rules.
#[derive(Debug)]
pub(crate) struct Calls {
    rules: HashMap<u32, Vec<Item<CallRule>>>,
    default: Item<Action>,
    always: [u64; FAST as usize / 64],
}

impl Comparison {
    fn holds(&self, args: &[u64; 6]) -> bool {
        let value = args[self.argument.min(5)] & self.mask;
        match &self.test {
            Test::OneOf(values) => values.contains(&value),
            Test::NoneOf(values) => !values.contains(&value),
            Test::AnyBit => value != 0,
        }
    }
}

impl CallRule {
    fn applies(&self, args: &[u64; 6]) -> bool {
        self.comparison.as_ref().is_none_or(|c| c.holds(args))
    }
}

impl Calls {
    pub(crate) fn new(rules: Vec<Item<CallRule>>, default: Item<Action>) -> Self {
        let mut by_call: HashMap<u32, Vec<Item<CallRule>>> = HashMap::new();
        for rule in rules {
            by_call.entry(rule.value.call).or_default().push(rule);
        }
        let mut calls = Self { rules: by_call, default, always: [0; FAST as usize / 64] };
        for call in vocabulary::rows().iter().map(|c| c.nr).filter(|nr| *nr < FAST) {
            if calls.quiet(call) {
                calls.always[call as usize / 64] |= 1 << (call % 64);
            }
        }
        calls
    }

    /// Whether the call is allowed without a record whatever its arguments.
    fn quiet(&self, call: u32) -> bool {
        let rules = self.rules.get(&call).map_or(&[][..], Vec::as_slice);
        let unconditional = rules.iter().any(|r| r.value.comparison.is_none());
        rules.iter().all(|r| r.value.action == Action::Allow)
            && (unconditional || self.default.value == Action::Allow)
    }

    /// See [`crate::Policy::call_always_allowed`].
    pub(crate) fn always_allowed(&self, call: u32) -> bool {
        call < FAST && self.always[call as usize / 64] & (1 << (call % 64)) != 0
    }

    /// The action for a call and the rule that takes it.
    pub(crate) fn judge(&self, call: u32, args: &[u64; 6]) -> (Action, RuleId) {
        let rules = self.rules.get(&call).map_or(&[][..], Vec::as_slice);
        let mut severest: Option<&Item<CallRule>> = None;
        for rule in rules.iter().filter(|r| r.value.applies(args)) {
            if severest.is_none_or(|s| rule.value.action.rank() > s.value.action.rank()) {
                severest = Some(rule);
            }
        }
        match severest {
            Some(rule) => (rule.value.action, rule.rule),
            None => (self.default.value, self.default.rule),
        }
    }
}

impl Action {
    /// Severity; two errnos are equally severe, so the one written first stays.
    fn rank(self) -> u8 {
        match self {
            Self::Allow => 0,
            Self::Log => 1,
            Self::Errno(_) => 2,
            Self::Kill => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALL: u32 = 41;

    fn rule(action: Action, comparison: Option<(u64, Test)>) -> Item<CallRule> {
        let comparison = comparison.map(|(mask, test)| Comparison { argument: 0, mask, test });
        Item { value: CallRule { call: CALL, comparison, action }, rule: RuleId::NONE }
    }

    fn judge(rules: &[Item<CallRule>], first: u64) -> Action {
        let default = Item { value: Action::Allow, rule: RuleId::NONE };
        Calls::new(rules.to_vec(), default).judge(CALL, &[first, 0, 0, 0, 0, 0]).0
    }

    #[test]
    fn the_severest_rule_decides_in_either_order() {
        let actions = [Action::Allow, Action::Log, Action::Errno(1), Action::Kill];
        for a in actions {
            for b in actions {
                assert_eq!(judge(&[rule(a, None), rule(b, None)], 0), a.max(b));
            }
        }
    }

    #[test]
    fn comparisons_look_at_the_masked_bits_only() {
        let low = u64::from(u32::MAX);
        let of = |mask, test| [rule(Action::Kill, Some((mask, test)))];
        assert_eq!(judge(&of(low, Test::OneOf(vec![16])), 0xdead_0000_0010), Action::Kill);
        assert_eq!(judge(&of(low, Test::OneOf(vec![16])), 17), Action::Allow);
        assert_eq!(judge(&of(low, Test::NoneOf(vec![1, 2])), 3), Action::Kill);
        assert_eq!(judge(&of(low, Test::NoneOf(vec![1, 2])), 2), Action::Allow);
        assert_eq!(judge(&of(0x40, Test::AnyBit), 0x41), Action::Kill);
        assert_eq!(judge(&of(0x40, Test::AnyBit), 0x01), Action::Allow);
    }

    #[test]
    fn only_calls_without_any_reservation_are_always_allowed() {
        let default = |value| Item { value, rule: RuleId::NONE };
        let quiet =
            |rules: &[Item<CallRule>], action| Calls::new(rules.to_vec(), default(action)).quiet(CALL);
        let sometimes = Some((1, Test::AnyBit));
        assert!(quiet(&[], Action::Allow));
        assert!(!quiet(&[], Action::Errno(1)));
        assert!(quiet(&[rule(Action::Allow, None)], Action::Errno(1)));
        assert!(!quiet(&[rule(Action::Allow, sometimes.clone())], Action::Errno(1)));
        assert!(!quiet(&[rule(Action::Kill, sometimes)], Action::Allow));
        assert!(!quiet(&[rule(Action::Log, None)], Action::Allow));
    }
}
