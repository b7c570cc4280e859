//! Where a policy's answers can change: at the places that its rules name, and right below them. Two policies
//! that agree at the places of both agree everywhere, but for names that several wildcards match in part.

use crate::hint::DeniedWhat;
use crate::policy::Policy;
use crate::rules::network::{Endpoint, Transport};
use crate::{Access, vocabulary};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A name below a place that no rule means.
const ANY: &[u8] = b"any";

/// Things to ask about.
#[derive(Debug, Default)]
pub(super) struct Probes {
    pub(super) paths: BTreeSet<Vec<u8>>,
    pinned: BTreeSet<Vec<u8>>,
    inet: BTreeSet<(IpAddr, u16)>,
    hosts: BTreeSet<(String, u16)>,
    names: BTreeSet<Vec<u8>>,
    families: BTreeSet<i32>,
    variables: BTreeSet<String>,
}

impl Probes {
    /// Takes in the places of a policy.
    pub(super) fn take(&mut self, policy: &Policy) {
        for place in policy.compiled.paths.places() {
            let slash: &[u8] = if place.ends_with(b"/") { b"" } else { b"/" };
            self.paths.insert([&place, slash, ANY].concat());
            self.paths.insert(place);
        }
        self.pinned.extend(policy.compiled.pins.paths().map(<[u8]>::to_vec));
        let network = &policy.compiled.network;
        for entry in [&network.allow, &network.deny, &network.bind].into_iter().flatten() {
            let (address, port) = entry.value.sample();
            let any = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            self.inet
                .extend(address.map_or(any.to_vec(), |address| vec![address]).iter().map(|a| (*a, port)));
        }
        let hosts = [&network.allow_hosts, &network.deny_hosts].into_iter().flatten();
        self.hosts.extend(hosts.map(|entry| entry.value.sample()));
        let names = [&network.allow_names, &network.deny_names, &network.bind_names];
        self.names.extend(names.into_iter().flatten().map(|name| name.value.sample()));
        self.families.extend(network.families.iter().map(|family| family.value));
        let environment = &policy.compiled.environment;
        let patterns = environment
            .pass
            .iter()
            .chain(&environment.withhold)
            .chain(&environment.deny)
            .map(|item| item.value.sample());
        self.variables.extend(patterns.map(|name| String::from_utf8_lossy(&name).into_owned()));
        self.variables.extend(environment.set.keys().map(|name| name.to_string_lossy().into_owned()));
    }

    /// Asks each question.
    pub(super) fn each(&self, mut ask: impl FnMut(&DeniedWhat<'_>)) {
        for path in &self.paths {
            Access::ALL.into_iter().for_each(|access| ask(&DeniedWhat::Path(access, path)));
        }
        // With contents that no entry means.
        self.pinned.iter().for_each(|path| ask(&DeniedWhat::Program(path, &[0; 32])));
        for (address, port) in self.inet.iter().copied() {
            for transport in [Transport::Tcp, Transport::Udp, Transport::Other] {
                let endpoint = Endpoint::Inet { transport, address, port };
                ask(&DeniedWhat::Connect(endpoint));
                ask(&DeniedWhat::Bind(endpoint));
            }
        }
        for (name, port) in &self.hosts {
            for transport in [Transport::Tcp, Transport::Udp] {
                ask(&DeniedWhat::Connect(Endpoint::Host { transport, name, port: *port }));
            }
        }
        for name in &self.names {
            ask(&DeniedWhat::Connect(Endpoint::UnixAbstract(name)));
            ask(&DeniedWhat::Bind(Endpoint::UnixAbstract(name)));
        }
        let socket = |domain: &i32| DeniedWhat::Socket { domain: *domain, kind: 3, protocol: 0 };
        self.families.iter().for_each(|family| ask(&socket(family)));
        self.variables.iter().for_each(|name| ask(&DeniedWhat::Variable(name)));
        vocabulary::rows().iter().for_each(|row| ask(&DeniedWhat::Call(row.nr, &[0; 6])));
    }
}
