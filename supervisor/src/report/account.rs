//! The account of what came up in a run: nothing is lost of it, however much there is.
//!
//! * How often each **rule** decided is always exact; rules are as many as the profile has.
//! * Each different **thing** is kept with its count, up to bounds that no sensible program reaches; the rest
//!   is counted.
//! * What could not be told at once is told at the end. If that is much, things that have few others of their
//!   folder come first: a flood of names in one place hides nothing that was tried in another.

use std::collections::{BTreeMap, HashMap};

/// Different things that are kept, at most.
pub const THINGS: usize = 1 << 15;
/// Bytes of their texts, at most.
const BYTES: usize = 8 << 20;

/// What came up.
#[derive(Debug, Default)]
pub struct Account {
    rules: BTreeMap<String, u64>,
    things: HashMap<String, Thing>,
    bytes: usize,
    /// Events about things that are not kept.
    others: u64,
}

/// A thing that came up.
#[derive(Clone, Debug)]
pub struct Thing {
    /// How often.
    pub count: u64,
    /// When it came up first, by order.
    pub number: usize,
    /// What tells it.
    pub told_as: Telling,
    /// To which streams that was told.
    told: Vec<bool>,
}

impl Thing {
    /// Whether it was told to stream `n`.
    pub fn is_told(&self, n: usize) -> bool {
        self.told.get(n) == Some(&true)
    }
}

/// How a thing is told in each form.
#[derive(Clone, Debug, Default)]
pub struct Telling {
    /// For people.
    pub line: String,
    /// As a record; empty if nobody wants records.
    pub record: String,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Came {
    /// It is about a thing that has not come up before.
    First,
    /// It is counted.
    Again,
}

impl Account {
    /// Enters an event: the rule that decided it, if one did, the thing that it is about, and how it is told.
    pub fn enter(&mut self, rule: Option<&str>, thing: &str, tell: impl FnOnce() -> Telling) -> Came {
        if let Some(rule) = rule {
            self.count(rule);
        }
        if let Some(known) = self.things.get_mut(thing) {
            known.count += 1;
            return Came::Again;
        }
        if self.things.len() >= THINGS || self.bytes >= BYTES {
            self.others += 1;
            return Came::Again;
        }
        let (number, told_as) = (self.things.len(), tell());
        self.bytes += thing.len() + told_as.line.len() + told_as.record.len();
        self.things.insert(thing.to_owned(), Thing { count: 1, number, told_as, told: Vec::new() });
        Came::First
    }

    /// Counts an event for the rule that decided it.
    pub fn count(&mut self, rule: &str) {
        match self.rules.get_mut(rule) {
            Some(count) => *count += 1,
            None => drop(self.rules.insert(rule.to_owned(), 1)),
        }
    }

    /// The thing.
    pub fn get(&self, thing: &str) -> Option<&Thing> {
        self.things.get(thing)
    }

    /// Takes note to which streams a thing is told.
    pub fn set_told(&mut self, thing: &str, told: Vec<bool>) {
        if let Some(thing) = self.things.get_mut(thing) {
            thing.told = told;
        }
    }

    /// The things, in the order in which they came up.
    pub fn things(&self) -> Vec<(&str, &Thing)> {
        let mut things: Vec<_> = self.things.iter().map(|(text, thing)| (&**text, thing)).collect();
        things.sort_by_key(|(_, thing)| thing.number);
        things
    }

    /// The things that were not told to stream `n`: first those that share their folder with the fewest
    /// others.
    pub fn untold(&self, n: usize) -> Vec<(&str, &Thing)> {
        let mut things: Vec<_> = self.things().into_iter().filter(|(_, thing)| !thing.is_told(n)).collect();
        let mut sizes: HashMap<&str, usize> = HashMap::new();
        things.iter().for_each(|(text, _)| *sizes.entry(folder(text)).or_default() += 1);
        things.sort_by_key(|(text, _)| sizes.get(folder(text)).copied());
        things
    }

    /// How often each rule decided.
    pub fn rules(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rules.iter().map(|(rule, count)| (&**rule, *count))
    }

    /// Events about things that are not kept.
    pub fn others(&self) -> u64 {
        self.others
    }
}

/// The text up to the last component of a name in it.
fn folder(text: &str) -> &str {
    text.rfind('/').map_or(text, |end| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_whatever_else_is_kept() {
        let mut account = Account::default();
        for n in 0..THINGS + 50 {
            let came = account.enter(Some("p.toml:1"), &format!("read /junk/{n}"), Telling::default);
            assert_eq!(came, if n < THINGS { Came::First } else { Came::Again });
        }
        assert_eq!(account.enter(Some("p.toml:2"), "read /junk/7", Telling::default), Came::Again);
        assert_eq!(account.get("read /junk/7").map(|t| t.count), Some(2));
        assert_eq!(account.rules().collect::<Vec<_>>(), [("p.toml:1", THINGS as u64 + 50), ("p.toml:2", 1)]);
        assert_eq!(account.others(), 50);
    }

    #[test]
    fn long_texts_are_bounded_too() {
        let mut account = Account::default();
        for n in 0..100 {
            account.enter(None, &format!("{n}{}", "x".repeat(1 << 20)), Telling::default);
        }
        assert!(account.things().len() < 10 && account.others() > 90);
    }

    #[test]
    fn what_a_flood_stands_before_is_told_first() {
        let mut account = Account::default();
        for n in 0..2000 {
            account.enter(None, &format!("read /tmp/{n} (openat)"), Telling::default);
        }
        account.enter(None, "read /etc/shadow (openat)", Telling::default);
        account.enter(None, "call ptrace", Telling::default);
        account.set_told("read /tmp/0 (openat)", vec![true]);
        let untold = account.untold(0);
        assert_eq!((untold[0].0, untold[1].0), ("read /etc/shadow (openat)", "call ptrace"));
        assert_eq!((untold[2].0, untold.len()), ("read /tmp/1 (openat)", 2001));
    }
}
