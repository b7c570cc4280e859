//! Network rules: which addresses a guest may connect to, send to and bind.
//!
//! Addresses are judged by where the packets go, not by how they are written: a v4-mapped IPv6 address is its
//! IPv4 address, and the unspecified address as a target is loopback, for that is where Linux delivers it.
//! Sockets that could send elsewhere than to the address they are given (raw, multipath and the like) are
//! only for profiles that allow every address and deny none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use crate::pattern::domain::{Domain, DomainError};
use crate::pattern::glob::{GlobError, Wildcard};
use crate::report::ledger::{Item, RuleId};
use crate::report::suggest;

/// What carries the bytes to an internet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Anything else: raw, ICMP, SCTP, MPTCP, …
    Other,
}

/// One end of a connection, as the supervisor copied it out of the guest's `sockaddr`. Two meanings of
/// `AF_UNSPEC` are the supervisor's to resolve first: connecting to it dissolves a connection and needs no
/// decision; sending or binding to it on an internet socket means the IPv4 address behind it (ip(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// An internet address.
    Inet {
        /// The socket's protocol.
        transport: Transport,
        /// The address as the guest gave it.
        address: IpAddr,
        /// The port in host byte order.
        port: u16,
    },
    /// A host by its name, in canonical form ([`canonical`](crate::canonical)).
    Host {
        /// The socket's protocol.
        transport: Transport,
        /// The name.
        name: &'a str,
        /// The port in host byte order.
        port: u16,
    },
    /// A unix socket's file, absolute and resolved.
    UnixPath(&'a [u8]),
    /// A unix socket's abstract name without its leading NUL; empty for the kernel's choice.
    UnixAbstract(&'a [u8]),
    /// An address of another family, which its listing in `families` allows as a whole.
    Family(i32),
}

pub(crate) const AF_UNIX: i32 = 1;
pub(crate) const AF_INET: i32 = 2;
pub(crate) const AF_INET6: i32 = 10;
pub(crate) const AF_NETLINK: i32 = 16;

/// A parsed entry of `allow`, `deny` or `bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pattern<'a> {
    Inet(Inet),
    Host(Host),
    /// The text of a path pattern.
    UnixPath(&'a str),
    UnixAbstract(Wildcard),
}

/// Internet addresses and ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Inet {
    /// `None`: all of them.
    transport: Option<Transport>,
    /// `None`: every address.
    net: Option<(IpAddr, u8)>,
    ports: RangeInclusive<u16>,
}

/// Hosts by name, and ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// `None`: all of them.
    transport: Option<Transport>,
    pub(crate) domain: Domain,
    ports: RangeInclusive<u16>,
}

/// Why an entry is no network pattern.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NetError {
    #[error("`{0}` does not start with a protocol")]
    NoProtocol(String),
    #[error("unknown protocol `{0}`")]
    Protocol(String),
    #[error("no port in `{0}`")]
    NoPort(String),
    #[error("`{0}` is neither a port, a range of ports nor `*`")]
    Port(String),
    #[error("`{0}` is not an address")]
    Address(String),
    #[error("an IPv6 address must stand in brackets")]
    Brackets,
    #[error("`/{0}` is not a prefix length of this address")]
    Prefix(String),
    #[error("`{0}/{1}` has bits set behind its prefix")]
    HostBits(IpAddr, u8),
    #[error(transparent)]
    Name(#[from] DomainError),
    #[error("in the abstract name: {0}")]
    Abstract(#[from] GlobError),
}

const PROTOCOLS: [&str; 4] = ["tcp", "udp", "ip", "unix"];

impl NetError {
    pub(crate) fn help(&self) -> Option<String> {
        let help = match self {
            Self::NoProtocol(_) => {
                "write `tcp:HOST:PORT`, `udp:HOST:PORT`, `ip:HOST`, `unix:/PATH` or `unix:@NAME`; a host is \
                    a \
                 name or an address"
            }
            Self::Protocol(word) => {
                return suggest::did_you_mean(word, PROTOCOLS)
                    .or_else(|| Some(format!("the protocols are {}", PROTOCOLS.join(", "))));
            }
            Self::NoPort(_) => "write `HOST:PORT`; `*` is every port",
            Self::Port(_) => "ports go from 0 to 65535",
            Self::Address(text) if text == "localhost" => {
                "the services of this host are named by address: `127.0.0.1` or `[::1]`"
            }
            Self::Address(_) => "write an address, `ADDRESS/BITS`, a name or `*`",
            Self::Name(DomainError::Wildcard) => "name them one by one, or all below one name",
            Self::Name(DomainError::Form(_)) => "names are letters, digits, `-` and `_` between dots",
            Self::Brackets => "write `[::1]:80` or `[fd00::/8]:443`",
            Self::HostBits(..) => "clear them, or write the address without a prefix",
            Self::Prefix(_) | Self::Abstract(_) => return None,
        };
        Some(help.to_owned())
    }
}

impl<'a> Pattern<'a> {
    /// Parses an entry.
    pub(crate) fn parse(text: &'a str) -> Result<Self, NetError> {
        let (protocol, rest) = text.split_once(':').ok_or_else(|| NetError::NoProtocol(text.to_owned()))?;
        match (protocol, rest.strip_prefix('@')) {
            ("unix", Some(name)) => Ok(Self::UnixAbstract(Wildcard::parse(name.as_bytes())?)),
            ("unix", None) => Ok(Self::UnixPath(rest)),
            ("tcp", _) => Self::with_port(Transport::Tcp, rest),
            ("udp", _) => Self::with_port(Transport::Udp, rest),
            ("ip", _) => Self::of(None, rest, 0..=u16::MAX),
            _ => Err(NetError::Protocol(protocol.to_owned())),
        }
    }

    fn with_port(transport: Transport, text: &str) -> Result<Self, NetError> {
        let (host, port) = text.rsplit_once(':').ok_or_else(|| NetError::NoPort(text.to_owned()))?;
        if host.contains(':') && !host.starts_with('[') {
            return Err(NetError::Brackets);
        }
        if host.starts_with('[') && !host.ends_with(']') {
            return Err(NetError::NoPort(text.to_owned()));
        }
        Self::of(Some(transport), host, ports(port)?)
    }

    fn of(transport: Option<Transport>, host: &str, ports: RangeInclusive<u16>) -> Result<Self, NetError> {
        let pattern = if is_name(host) {
            Self::Host(Host { transport, domain: Domain::parse(host)?, ports })
        } else {
            Self::Inet(Inet { transport, net: net(host)?, ports })
        };
        Ok(pattern)
    }
}

/// Whether what stands for a host is to be a name: if it is no address by its form.
fn is_name(host: &str) -> bool {
    let address = |c: char| c.is_ascii_digit() || ".:/[]".contains(c);
    let of_this_host = matches!(host, "*" | "localhost");
    !of_this_host && !host.starts_with('[') && !host.contains([':', '/']) && !host.chars().all(address)
}

impl Host {
    /// A name that it means, and a port.
    pub(crate) fn sample(&self) -> (String, u16) {
        (self.domain.sample(), *self.ports.start())
    }

    fn matches(&self, transport: Transport, name: &str, port: u16) -> bool {
        self.transport.is_none_or(|t| t == transport)
            && self.ports.contains(&port)
            && self.domain.matches(name)
    }

    /// Whether it speaks of every port and protocol that the other one does.
    fn spans(&self, other: &Host) -> bool {
        self.transport.is_none_or(|t| other.transport == Some(t))
            && self.ports.contains(other.ports.start())
            && self.ports.contains(other.ports.end())
    }

    /// The TCP ports that it speaks of, if it speaks of TCP.
    pub(crate) fn tcp_ports(&self) -> Option<RangeInclusive<u16>> {
        self.transport.is_none_or(|t| t == Transport::Tcp).then(|| self.ports.clone())
    }
}

impl Inet {
    /// An address that it covers, if not all, and a port.
    pub(crate) fn sample(&self) -> (Option<IpAddr>, u16) {
        (self.net.map(|(net, _)| net), *self.ports.start())
    }

    /// Whether it covers this address, which is already canonical.
    fn matches(&self, transport: Transport, address: IpAddr, port: u16) -> bool {
        self.transport.is_none_or(|t| t == transport)
            && self.ports.contains(&port)
            && self.net.is_none_or(|(net, bits)| within(address, net, bits))
    }

    /// The TCP ports that it speaks of, if it speaks of TCP.
    pub(crate) fn tcp_ports(&self) -> Option<RangeInclusive<u16>> {
        self.transport.is_none_or(|t| t == Transport::Tcp).then(|| self.ports.clone())
    }

    /// Whether it covers this address, which is already canonical, by some transport and port.
    fn covers(&self, address: IpAddr) -> bool {
        self.net.is_none_or(|(net, bits)| within(address, net, bits))
    }

    fn everything(&self) -> bool {
        self.transport.is_none() && self.net.is_none()
    }
}

fn ports(text: &str) -> Result<RangeInclusive<u16>, NetError> {
    let error = || NetError::Port(text.to_owned());
    let number = |s: &str| s.parse::<u16>().ok().filter(|_| s.bytes().all(|b| b.is_ascii_digit()));
    let (first, last) = match text.split_once('-') {
        _ if text == "*" => return Ok(0..=u16::MAX),
        Some((a, b)) => (number(a), number(b)),
        None => (number(text), number(text)),
    };
    first.zip(last).filter(|(a, b)| a <= b).map(|(a, b)| a..=b).ok_or_else(error)
}

fn net(text: &str) -> Result<Option<(IpAddr, u8)>, NetError> {
    if text == "*" {
        return Ok(None);
    }
    let inner = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let (address, bits) = inner.split_once('/').map_or((inner, None), |(a, b)| (a, Some(b)));
    let address: IpAddr = address.parse().map_err(|_| NetError::Address(text.to_owned()))?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => width,
        Some(b) => b.parse().ok().filter(|n| *n <= width).ok_or_else(|| NetError::Prefix(b.to_owned()))?,
    };
    if !host_bits_clear(address, bits) {
        return Err(NetError::HostBits(address, bits));
    }
    match address.to_canonical() {
        v4 @ IpAddr::V4(_) if address.is_ipv6() && bits >= 96 => Ok(Some((v4, bits - 96))),
        _ => Ok(Some((address, bits))),
    }
}

/// An address as 128 bits from the top, so that both families share the arithmetic of prefixes.
fn bits_of(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(a) => u128::from(a.to_bits()) << 96,
        IpAddr::V6(a) => a.to_bits(),
    }
}

fn host_bits_clear(address: IpAddr, bits: u8) -> bool {
    bits_of(address).checked_shl(u32::from(bits)).unwrap_or(0) == 0
}

fn within(address: IpAddr, net: IpAddr, bits: u8) -> bool {
    let differing = bits_of(address) ^ bits_of(net);
    address.is_ipv4() == net.is_ipv4() && differing.checked_shr(128 - u32::from(bits)).unwrap_or(0) == 0
}

/// Where packets for an address really go, in the form in which it is judged.
pub fn target(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(a) if a.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(a) if a.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

/// The compiled rules for everything but the paths of unix sockets, which are in the tree of paths.
#[derive(Debug, Default)]
pub(crate) struct Network {
    pub(crate) allow: Vec<Item<Inet>>,
    pub(crate) deny: Vec<Item<Inet>>,
    pub(crate) bind: Vec<Item<Inet>>,
    pub(crate) allow_hosts: Vec<Item<Host>>,
    pub(crate) deny_hosts: Vec<Item<Host>>,
    pub(crate) allow_names: Vec<Item<Wildcard>>,
    pub(crate) deny_names: Vec<Item<Wildcard>>,
    pub(crate) bind_names: Vec<Item<Wildcard>>,
    pub(crate) families: Vec<Item<i32>>,
}

/// Whether something is allowed, and the rule that says so; no rule is the default.
pub(crate) type Answer = (bool, RuleId);

impl Network {
    /// The rules that grant something, but for paths of unix sockets.
    pub(crate) fn grants(&self) -> impl Iterator<Item = RuleId> {
        let inet = self.allow.iter().chain(&self.bind).map(|item| item.rule);
        let names = self.allow_names.iter().chain(&self.bind_names).map(|item| item.rule);
        let hosts = self.allow_hosts.iter().map(|item| item.rule);
        inet.chain(names).chain(hosts).chain(self.families.iter().map(|item| item.rule))
    }

    pub(crate) fn connect(&self, transport: Transport, address: IpAddr, port: u16) -> Answer {
        let address = target(address);
        let matching = |i: &Inet| i.matches(transport, address, port);
        answer(&self.deny, &self.allow, matching)
    }

    /// The unspecified address is every address of the host here, and so only what covers it allows it.
    pub(crate) fn bind(&self, transport: Transport, address: IpAddr, port: u16) -> Answer {
        let address = address.to_canonical();
        let matching = |i: &Inet| i.matches(transport, address, port);
        // A socket of `::` hears IPv4 as well, unless it is told not to (ipv6(7)).
        let any_of_v4 = |i: &Inet| i.matches(transport, Ipv4Addr::UNSPECIFIED.into(), port);
        match self.deny.iter().find(|i| address == Ipv6Addr::UNSPECIFIED && any_of_v4(&i.value)) {
            Some(deny) => (false, deny.rule),
            None => answer(&self.deny, &self.bind, matching),
        }
    }

    pub(crate) fn connect_host(&self, transport: Transport, name: &str, port: u16) -> Answer {
        answer(&self.deny_hosts, &self.allow_hosts, |host| host.matches(transport, name, port))
    }

    /// A name is asked for if something is allowed of its host. With `openly` so is one that no rule speaks
    /// of, for a guest that could ask for it itself.
    pub(crate) fn resolve(&self, name: &str, openly: bool) -> Answer {
        let means = |host: &&Item<Host>| host.value.domain.matches(name);
        let denied = self.deny_hosts.iter().filter(means);
        let is_left = |host: &&Item<Host>| !denied.clone().any(|deny| deny.value.spans(&host.value));
        match (self.allow_hosts.iter().filter(means).find(is_left), denied.clone().next()) {
            (Some(allow), _) => (true, allow.rule),
            (None, Some(deny)) => (false, deny.rule),
            (None, None) => (openly, RuleId::NONE),
        }
    }

    /// Whether an entry for addresses allows something of this one.
    pub(crate) fn speaks_of(&self, address: IpAddr) -> bool {
        let address = target(address);
        self.allow.iter().any(|entry| entry.value.covers(address))
    }

    /// Whether a rule speaks of hosts by name.
    pub(crate) fn has_hosts(&self) -> bool {
        !self.allow_hosts.is_empty() || !self.deny_hosts.is_empty()
    }

    pub(crate) fn connect_name(&self, name: &[u8]) -> Answer {
        answer(&self.deny_names, &self.allow_names, |w| w.matches(name))
    }

    pub(crate) fn bind_name(&self, name: &[u8]) -> Answer {
        answer(&self.deny_names, &self.bind_names, |w| w.matches(name))
    }

    pub(crate) fn family(&self, number: i32) -> Answer {
        let listed = self.families.iter().find(|f| f.value == number).map_or(RuleId::NONE, |f| f.rule);
        (!listed.is_none() || matches!(number, AF_UNIX | AF_INET | AF_INET6), listed)
    }

    /// A group may be joined by a guest that may send something to it, for joining sends to the network too.
    pub(crate) fn join(&self, group: IpAddr) -> Answer {
        let group = group.to_canonical();
        let sends = |i: &Inet| i.transport != Some(Transport::Tcp) && i.covers(group);
        answer(&self.deny, &self.allow, sends)
    }

    /// What may reach every address: sockets of other transports than TCP and UDP, and the choice of the way
    /// that packets take.
    pub(crate) fn everywhere(&self) -> Answer {
        let hosts = self.deny_hosts.first().map(|host| host.rule);
        match (
            self.deny.first().map(|deny| deny.rule).or(hosts),
            self.allow.iter().find(|a| a.value.everything()),
        ) {
            (Some(deny), _) => (false, deny),
            (None, Some(allow)) => (true, allow.rule),
            (None, None) => (false, RuleId::NONE),
        }
    }
}

fn answer<T>(deny: &[Item<T>], allow: &[Item<T>], matching: impl Fn(&T) -> bool) -> Answer {
    let first = |items: &[Item<T>]| items.iter().find(|i| matching(&i.value)).map(|i| i.rule);
    match first(deny) {
        Some(rule) => (false, rule),
        None => first(allow).map_or((false, RuleId::NONE), |rule| (true, rule)),
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
