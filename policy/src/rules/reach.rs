//! What a profile allows at the most, in the coarse terms that a kernel's sandbox understands: trees of
//! files, ports.
//!
//! This is for a second wall behind the decisions, which knows no denials, wildcards or single names. It
//! never says less than the rules allow: a pattern counts as the tree above its first wildcard.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use crate::decision::Access;
use crate::pattern::path::Element;
use crate::rules::network::Network;
use crate::rules::tree::AccessSet;

/// Everything that a profile allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Trees of files, and what may be done somewhere in each. A tree may be named more than once, and lie in
    /// another.
    pub trees: Vec<(PathBuf, Vec<Access>)>,
    /// Whether any address of the internet may be connected to, sent to or bound.
    pub internet: bool,
    /// Whether sockets of other families than unix, IPv4 and IPv6 may be made.
    pub families: bool,
    /// Whether any abstract unix name may be reached or bound.
    pub abstract_names: bool,
    /// The TCP ports that may be connected to; `None` for any.
    pub connect: Option<Vec<u16>>,
    /// The TCP ports that may be bound; `None` for any.
    pub bind: Option<Vec<u16>>,
}

/// More ports than this are as good as any.
const MOST_PORTS: usize = 256;

impl Reach {
    /// Whether no socket is allowed to reach anything but unix sockets by their paths.
    pub fn no_network(&self) -> bool {
        !self.internet && !self.families && !self.abstract_names
    }

    /// What the network rules allow; the trees are still to come.
    pub(crate) fn of(network: &Network) -> Reach {
        Reach {
            trees: Vec::new(),
            internet: !network.allow.is_empty()
                || !network.bind.is_empty()
                || !network.allow_hosts.is_empty(),
            families: !network.families.is_empty(),
            abstract_names: !network.allow_names.is_empty() || !network.bind_names.is_empty(),
            connect: connect_ports(network),
            bind: ports(network.bind.iter().filter_map(|entry| entry.value.tcp_ports())),
        }
    }

    /// Takes in that `accesses` are allowed where the elements lead.
    pub(crate) fn tree(&mut self, elements: &[Element], accesses: AccessSet) {
        let names = elements.iter().map_while(|e| match e {
            Element::Name(name) => Some(OsStr::from_bytes(name)),
            Element::Wild(_) | Element::AnyDepth => None,
        });
        let path = std::iter::once(OsStr::new("/")).chain(names).collect();
        self.trees.push((path, Access::ALL.into_iter().filter(|a| accesses.contains(*a)).collect()));
    }
}

/// The ports that may be connected to.
fn connect_ports(network: &Network) -> Option<Vec<u16>> {
    let addresses = network.allow.iter().filter_map(|entry| entry.value.tcp_ports());
    let hosts = network.allow_hosts.iter().filter_map(|entry| entry.value.tcp_ports());
    ports(addresses.chain(hosts))
}

/// These ports, if they are few.
fn ports(ranges: impl Iterator<Item = RangeInclusive<u16>>) -> Option<Vec<u16>> {
    let mut ports = Vec::new();
    for range in ranges {
        if range.len() > MOST_PORTS - ports.len() {
            return None;
        }
        ports.extend(range);
    }
    Some(ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_reaches_the_tree_above_its_first_wildcard() {
        let mut reach = Reach::default();
        let name = |n: &[u8]| Element::Name(n.into());
        reach.tree(&[name(b"home"), Element::AnyDepth, name(b".ssh")], AccessSet::READ);
        assert_eq!(
            reach.trees,
            [(PathBuf::from("/home"), vec![Access::Read, Access::List, Access::Metadata])]
        );
    }
}
