//! Which names have led to which addresses, and for how long that counts.
//!
//! A guest may reach an address by a name for as long as the answer said that it holds, but within bounds:
//! programs keep an address longer than they should, and one that nobody asks for any more is not to stay
//! open for ever. How many there are is bounded as well; the one that would be forgotten first makes room.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The least and the most time for which an address counts.
const SHORTEST: Duration = Duration::from_secs(5 * 60);
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Addresses with a name each.
const MOST: usize = 4096;

/// By address: the names that led there, and until when that counts.
type ByAddress = HashMap<IpAddr, Vec<(Arc<str>, Instant)>>;

/// What is remembered.
#[derive(Debug, Default)]
pub(super) struct Leads(RwLock<ByAddress>);

impl Leads {
    /// A name has led to an address, by an answer that holds for so long.
    pub(super) fn add(&self, host: &Arc<str>, address: IpAddr, holds: Duration) {
        let now = Instant::now();
        let until = now + holds.clamp(SHORTEST, LONGEST);
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, known)) =
            all.get_mut(&address).and_then(|names| names.iter_mut().find(|(name, _)| name == host))
        {
            *known = until.max(*known);
            return;
        }
        if all.values().map(Vec::len).sum::<usize>() >= MOST {
            forget(&mut all, now);
        }
        all.entry(address).or_default().push((host.clone(), until));
    }

    /// The names that have led to an address.
    pub(super) fn names(&self, address: IpAddr) -> Vec<Arc<str>> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(names) = all.get(&address) else { return Vec::new() };
        let now = Instant::now();
        names.iter().filter(|(_, until)| *until > now).map(|(name, _)| name.clone()).collect()
    }
}

/// Forgets those that do not count any more, and if there are none the one that would be next.
fn forget(all: &mut ByAddress, now: Instant) {
    let first = all.values().flatten().map(|(_, until)| *until).min();
    let until = first.map_or(now, |first| first.max(now));
    all.retain(|_, names| {
        names.retain(|(_, known)| *known > until);
        !names.is_empty()
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_the_names_that_led_there_and_their_number_is_bounded() {
        let leads = Leads::default();
        let name = |n: usize| -> Arc<str> { format!("n{n}.example.org").into() };
        let address = |n: usize| IpAddr::from((n as u32).to_be_bytes());
        leads.add(&name(0), address(1), LONGEST);
        leads.add(&name(1), address(1), LONGEST);
        leads.add(&name(1), address(1), Duration::ZERO);
        assert_eq!(leads.names(address(1)), [name(0), name(1)]);
        assert!(leads.names(address(2)).is_empty());
        (2..2 * MOST).for_each(|n| leads.add(&name(n), address(n), Duration::ZERO));
        assert!(leads.0.read().unwrap().values().map(Vec::len).sum::<usize>() <= MOST);
        // Those that hold longest stay.
        assert_eq!(leads.names(address(1)), [name(0), name(1)]);
        assert_eq!(leads.names(address(2 * MOST - 1)), [name(2 * MOST - 1)]);
    }
}
