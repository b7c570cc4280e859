//! Questions and answers on the wire (RFC 1035, EDNS(0) of RFC 6891), from and to hostile hands.
//!
//! Of a guest's question its name and type are taken, of a server's answer the addresses that the name leads
//! to, through its aliases. Both are written anew, an answer without the aliases: so nothing else passes.

use domain::base::iana::{Class, Opcode, Rcode, Rtype};
use domain::base::message_builder::AdditionalBuilder;
use domain::base::wire::Composer;
use domain::base::{Message, MessageBuilder, Name, StaticCompressor, ToName, Ttl};
use domain::rdata::{A, AllRecordData};
use rxbox_policy::canonical;
use std::collections::HashMap;
use std::net::IpAddr;

/// Bytes of a datagram that every client takes, and most that are sent.
const LEAST_ROOM: usize = 512;
const MOST_ROOM: usize = 1232;
/// Records of an answer that are looked at, aliases in a row, addresses that are taken.
const RECORDS: usize = 128;
const ALIASES: usize = 16;
const ADDRESSES: usize = 32;

/// A kind of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    fn kind(self) -> Rtype {
        match self {
            Family::V4 => Rtype::A,
            Family::V6 => Rtype::AAAA,
        }
    }

    /// Whether an address is of this kind.
    pub(super) fn has(self, address: IpAddr) -> bool {
        address.is_ipv4() == (self == Family::V4)
    }
}

/// What a guest asks.
#[derive(Clone, Debug)]
pub(super) struct Query {
    id: u16,
    recursion: bool,
    /// As it was written, which some clients compare.
    name: Name<Vec<u8>>,
    kind: Rtype,
    /// The most bytes of a datagram that it takes; none if it speaks no EDNS.
    room: Option<usize>,
}

impl Query {
    /// Reads one; nothing if it is none that has an answer.
    pub(super) fn read(bytes: &[u8]) -> Option<Query> {
        let message = Message::from_octets(bytes).ok()?;
        let header = message.header();
        if header.qr() || header.opcode() != Opcode::QUERY {
            return None;
        }
        let question = message.sole_question().ok()?;
        if question.qclass() != Class::IN {
            return None;
        }
        let room = message.opt().map(|opt| usize::from(opt.udp_payload_size()));
        Some(Query {
            id: header.id(),
            recursion: header.rd(),
            name: question.qname().to_name(),
            kind: question.qtype(),
            room,
        })
    }

    /// The name in canonical form, if it can be that of a host.
    pub(super) fn host(&self) -> Option<String> {
        canonical(&text(&self.name))
    }

    /// Which addresses are asked for, if any are.
    pub(super) fn family(&self) -> Option<Family> {
        [Family::V4, Family::V6].into_iter().find(|family| family.kind() == self.kind)
    }

    /// The answer as a datagram, or on a connection (with its length in front).
    pub(super) fn answer(&self, answer: &Answer, stream: bool) -> Vec<u8> {
        let room = self.room.unwrap_or(LEAST_ROOM).clamp(LEAST_ROOM, MOST_ROOM);
        let whole = self.write(answer, false).unwrap_or_default();
        if stream {
            return framed(&whole);
        }
        if whole.len() <= room { whole } else { self.write(answer, true).unwrap_or_default() }
    }

    /// With `cut` only that there is more than fits.
    fn write(&self, answer: &Answer, cut: bool) -> Option<Vec<u8>> {
        let mut message = MessageBuilder::from_target(StaticCompressor::new(Vec::new())).ok()?;
        let header = message.header_mut();
        header.set_id(self.id);
        header.set_qr(true);
        header.set_rd(self.recursion);
        header.set_ra(true);
        header.set_tc(cut);
        header.set_rcode(match answer.code {
            Code::Found => Rcode::NOERROR,
            Code::NoSuchName => Rcode::NXDOMAIN,
            Code::Failed => Rcode::SERVFAIL,
        });
        let mut message = message.question();
        message.push((&self.name, self.kind)).ok()?;
        let mut message = message.answer();
        let ttl = Ttl::from_secs(answer.ttl);
        for address in answer.addresses.iter().filter(|_| !cut) {
            match address {
                IpAddr::V4(a) => message.push((&self.name, ttl, A::new(*a))).ok()?,
                IpAddr::V6(a) => message.push((&self.name, ttl, domain::rdata::Aaaa::new(*a))).ok()?,
            }
        }
        let mut message = message.additional();
        if self.room.is_some() {
            speaks_edns(&mut message)?;
        }
        Some(message.finish().into_target())
    }
}

fn speaks_edns<T: Composer>(message: &mut AdditionalBuilder<T>) -> Option<()> {
    message
        .opt(|opt| {
            opt.set_udp_payload_size(MOST_ROOM as u16);
            Ok(())
        })
        .ok()
}

/// A message as connections carry it.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap_or(0);
    [&length.to_be_bytes()[..], message.get(..usize::from(length)).unwrap_or_default()].concat()
}

/// Takes the first whole message from what a connection has brought.
pub(super) fn unframed(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes(*bytes.first_chunk::<2>()?));
    (bytes.len() >= 2 + length).then(|| bytes.drain(..2 + length).skip(2).collect())
}

/// The labels of a name with dots between. What is none of UTF-8's is replaced.
fn text(name: &impl ToName) -> String {
    let labels = name.iter_labels().filter(|label| !label.is_root());
    let labels: Vec<_> = labels.map(|label| String::from_utf8_lossy(label.as_slice()).into_owned()).collect();
    labels.join(".")
}

/// What comes of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// There is such a name.
    Found,
    /// There is none, as far as the guest is to know.
    NoSuchName,
    /// Nobody says.
    Failed,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) code: Code,
    pub(super) addresses: Vec<IpAddr>,
    /// Seconds for which it holds.
    pub(super) ttl: u32,
}

impl Answer {
    /// One without addresses.
    pub(super) fn empty(code: Code) -> Answer {
        Answer { code, addresses: Vec::new(), ttl: 0 }
    }

    /// With these addresses.
    pub(super) fn found(addresses: Vec<IpAddr>, ttl: u32) -> Answer {
        Answer { code: Code::Found, addresses, ttl }
    }
}

/// The question for a server.
pub(super) fn question(id: u16, host: &str, family: Family) -> Option<Vec<u8>> {
    let mut message = MessageBuilder::from_target(Vec::new()).ok()?;
    message.header_mut().set_id(id);
    message.header_mut().set_rd(true);
    let mut message = message.question();
    message.push((Name::vec_from_str(host).ok()?, family.kind())).ok()?;
    let mut message = message.additional();
    speaks_edns(&mut message)?;
    Some(message.finish())
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The answer, with the aliases on the way.
    Answer(Answer, Vec<String>),
    /// It does not fit into a datagram.
    Cut,
    /// The server cannot say.
    Unable,
}

/// Reads what a server says; nothing if it is no answer to that question.
pub(super) fn reply(bytes: &[u8], id: u16, host: &str, family: Family) -> Option<Reply> {
    let message = Message::from_octets(bytes).ok()?;
    let header = message.header();
    if !header.qr() || header.id() != id || header.opcode() != Opcode::QUERY {
        return None;
    }
    let question = message.sole_question().ok()?;
    let same = question.qclass() == Class::IN && question.qtype() == family.kind();
    if !same || canonical(&text(question.qname())).as_deref() != Some(host) {
        return None;
    }
    if header.tc() {
        return Some(Reply::Cut);
    }
    match header.rcode() {
        Rcode::NOERROR => Some(leads_to(&message, host, family).unwrap_or(Reply::Unable)),
        Rcode::NXDOMAIN => Some(Reply::Answer(Answer::empty(Code::NoSuchName), Vec::new())),
        _ => Some(Reply::Unable),
    }
}

/// Where the records lead from the name. Records of other names, of which a server may say whatever it
/// likes, lead nowhere.
fn leads_to(message: &Message<&[u8]>, host: &str, family: Family) -> Option<Reply> {
    let mut aliases: HashMap<String, (String, u32)> = HashMap::new();
    let mut addresses: HashMap<String, Vec<(IpAddr, u32)>> = HashMap::new();
    let records = message.answer().ok()?.limit_to_in::<AllRecordData<_, _>>();
    for record in records.take(RECORDS) {
        // One that is broken breaks the answer.
        let record = record.ok()?;
        let Some(owner) = canonical(&text(record.owner())) else { continue };
        let ttl = record.ttl().as_secs();
        let address = match record.data() {
            AllRecordData::Cname(to) => {
                let to = canonical(&text(to.cname()))?;
                aliases.entry(owner).or_insert((to, ttl));
                continue;
            }
            AllRecordData::A(a) => IpAddr::from(a.addr()),
            AllRecordData::Aaaa(a) => IpAddr::from(a.addr()),
            _ => continue,
        };
        addresses.entry(owner).or_default().push((address, ttl));
    }
    let (mut at, mut holds, mut passed) = (host.to_owned(), u32::MAX, Vec::new());
    while let Some((to, ttl)) = aliases.remove(&at) {
        if passed.len() == ALIASES {
            return None;
        }
        holds = holds.min(ttl);
        passed.push(to.clone());
        at = to;
    }
    let found = addresses.remove(&at).unwrap_or_default();
    let found: Vec<_> = found.into_iter().filter(|(a, _)| family.has(*a)).take(ADDRESSES).collect();
    let holds = found.iter().map(|(_, ttl)| *ttl).fold(holds, u32::min);
    let ttl = if holds == u32::MAX { 0 } else { holds };
    Some(Reply::Answer(Answer::found(found.into_iter().map(|(a, _)| a).collect(), ttl), passed))
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
