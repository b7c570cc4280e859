//! The thread that answers guests' questions.
//!
//! It waits for everything at once: questions as datagrams and on connections, and what servers say. A
//! question that several ask is asked once; what came of it is kept for as long as it holds, and shorter.

use super::address::is_local;
use super::exchange::{Exchange, Progress};
use super::message::{Answer, Code, Family, Query, unframed};
use super::{Asker, Judge, Resolver, lock};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Questions that servers are asked at once, and who waits for each.
const EXCHANGES: usize = 64;
const WAITING: usize = 64;
/// Connections of guests, and how long one may say nothing.
const CONNECTIONS: usize = 32;
const IDLE: Duration = Duration::from_secs(30);
/// Bytes that a connection may bring or keep before they are taken.
const BACKLOG: usize = 1 << 16;
/// Datagrams taken before anything else is looked at.
const DATAGRAMS: usize = 32;
/// Answers that are kept, and for how long.
const KEPT: usize = 1024;
const SHORTEST: u32 = 5;
const LONGEST: u32 = 3600;
/// How long nothing is asked again of which servers said that there is none, or said nothing.
const WITHOUT: u32 = 5;

/// A name and the kind of addresses that is asked for.
type Key = (Arc<str>, Family);

/// Who waits for an answer.
#[derive(Debug)]
struct Waiting {
    query: Query,
    reply_to: ReplyTo,
}

#[derive(Clone, Copy, Debug)]
enum ReplyTo {
    Datagram(SocketAddr),
    /// The connection of this number.
    Connection(u64),
}

/// A guest's connection.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    asker: Asker,
    came: Vec<u8>,
    out: Vec<u8>,
    until: Instant,
}

/// What the thread keeps.
struct Server<'a> {
    resolver: &'a Resolver,
    judge: &'a dyn Judge,
    exchanges: HashMap<Key, (Exchange, Vec<Waiting>)>,
    kept: HashMap<Key, (Answer, Instant)>,
    connections: HashMap<u64, Connection>,
    /// Connections so far.
    count: u64,
}

impl Resolver {
    /// Answers, for ever.
    ///
    /// # Errors
    /// The kernel lets it wait for nothing.
    pub fn serve(&self, judge: &dyn Judge) -> Result<(), Errno> {
        let (exchanges, kept, connections) = (HashMap::new(), HashMap::new(), HashMap::new());
        let mut server = Server { resolver: self, judge, exchanges, kept, connections, count: 0 };
        loop {
            server.wait()?;
            // Whatever it was, nothing here waits.
            let _ = self.bell.read();
            server.admit();
            server.take_datagrams();
            server.hear_connections();
            server.hear_servers();
        }
    }
}

impl Server<'_> {
    fn wait(&self) -> Result<(), Errno> {
        let wanted = |writes: bool| {
            if writes { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN }
        };
        let own = [self.resolver.bell.as_fd(), self.resolver.datagrams.as_fd()];
        let mut fds: Vec<_> = own.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let lines = self.exchanges.values().filter_map(|(exchange, _)| exchange.waits_for());
        fds.extend(lines.map(|(fd, writes)| PollFd::new(fd, wanted(writes))));
        let guests = self.connections.values();
        fds.extend(guests.map(|guest| PollFd::new(guest.stream.as_fd(), wanted(!guest.out.is_empty()))));
        let exchanges = self.exchanges.values().map(|(exchange, _)| exchange.until());
        let until = exchanges.chain(self.connections.values().map(|guest| guest.until)).min();
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Takes in connections that have been made.
    fn admit(&mut self) {
        for (stream, asker) in std::mem::take(&mut *lock(&self.resolver.accepted)) {
            if self.connections.len() >= CONNECTIONS {
                // The one that was silent longest makes room.
                let oldest = self.connections.iter().min_by_key(|(_, guest)| guest.until).map(|(n, _)| *n);
                oldest.map(|number| self.connections.remove(&number));
            }
            let until = Instant::now() + IDLE;
            let guest = Connection { stream, asker, came: Vec::new(), out: Vec::new(), until };
            self.connections.insert(self.count, guest);
            self.count += 1;
        }
    }

    fn take_datagrams(&mut self) {
        let mut bytes = [0; 2048];
        for _ in 0..DATAGRAMS {
            let (length, from) = match self.resolver.datagrams.recv_from(&mut bytes) {
                Ok(came) => came,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
                // Of an answer that nobody has taken.
                Err(_) => continue,
            };
            let Some(asker) = self.resolver.asker(from) else { continue };
            if let Some(query) = Query::read(&bytes[..length]) {
                self.ask(&asker, query, ReplyTo::Datagram(from));
            }
        }
    }

    fn hear_connections(&mut self) {
        let numbers: Vec<_> = self.connections.keys().copied().collect();
        for number in numbers {
            let Some(guest) = self.connections.get_mut(&number) else { continue };
            let alive = guest.transfer() && guest.until > Instant::now();
            let asker = guest.asker.clone();
            let mut asked = Vec::new();
            while let Some(message) = unframed(&mut guest.came) {
                asked.push(message);
            }
            if !alive {
                self.connections.remove(&number);
                continue;
            }
            for query in asked.iter().filter_map(|message| Query::read(message)) {
                self.ask(&asker, query, ReplyTo::Connection(number));
            }
        }
    }

    /// Answers a question, or asks servers.
    fn ask(&mut self, asker: &Asker, query: Query, reply_to: ReplyTo) {
        let waiting = Waiting { query, reply_to };
        if let Some(answer) = self.known(asker, &waiting.query) {
            return self.answer(&waiting, &answer);
        }
        // Both are there, or it would be known.
        let (Some(host), Some(family)) = (waiting.query.host(), waiting.query.family()) else { return };
        let key = (Arc::<str>::from(host), family);
        if let Some((answer, until)) = self.kept.get(&key) {
            let left = until.saturating_duration_since(Instant::now()).as_secs() as u32;
            if left > 0 {
                let answer = Answer { ttl: left.min(answer.ttl), ..answer.clone() };
                return self.answer(&waiting, &answer);
            }
        }
        if let Some((_, all)) = self.exchanges.get_mut(&key) {
            if all.len() < WAITING {
                all.push(waiting);
            }
            return;
        }
        if self.exchanges.len() >= EXCHANGES {
            return self.answer(&waiting, &Answer::empty(Code::Failed));
        }
        let exchange = Exchange::begin(key.0.clone(), family, &self.resolver.servers);
        self.exchanges.insert(key, (exchange, vec![waiting]));
    }

    /// The answer that needs no server.
    fn known(&self, asker: &Asker, query: &Query) -> Option<Answer> {
        let Some(host) = query.host() else { return Some(Answer::empty(Code::NoSuchName)) };
        let Some(family) = query.family() else {
            // Only addresses are of use.
            return Some(Answer::empty(Code::Found));
        };
        // RFC 6761, 6.3.
        if host == "localhost" || host.ends_with(".localhost") {
            let own: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            return Some(Answer::found(own.into_iter().filter(|a| family.has(*a)).collect(), SHORTEST));
        }
        if !self.judge.may_ask(asker, &host) {
            return Some(Answer::empty(Code::NoSuchName));
        }
        let addresses = self.resolver.servers.addresses(&host)?;
        let addresses = addresses.iter().copied().filter(|a| family.has(*a)).collect();
        Some(self.judged(&host.as_str().into(), Answer::found(addresses, LONGEST)))
    }

    /// The answer without what the name has no business to lead to; where it leads is remembered.
    fn judged(&self, host: &Arc<str>, mut answer: Answer) -> Answer {
        let holds = Duration::from_secs(answer.ttl.into());
        let there = answer.addresses.len();
        answer.addresses.retain(|address| {
            if !is_local(*address) {
                self.resolver.leads.add(host, *address, holds);
                return true;
            }
            // Then it is reached as far as that entry says, whatever the name.
            let reached = self.judge.is_allowed(*address);
            if !reached {
                self.judge.note(&format!(
                    "{host} leads to {address}, which is not on the internet: only an entry for addresses \
                     would allow that"
                ));
            }
            reached
        });
        if there > 0 && answer.addresses.is_empty() {
            answer.code = Code::NoSuchName;
        }
        answer
    }

    fn hear_servers(&mut self) {
        let servers = &self.resolver.servers;
        let mut over = Vec::new();
        for (key, (exchange, _)) in &mut self.exchanges {
            match exchange.go_on(servers) {
                Progress::Waits => {}
                Progress::Said(answer, aliases) => over.push((key.clone(), answer, aliases)),
                Progress::Nothing => over.push((key.clone(), Answer::empty(Code::Failed), Vec::new())),
            }
        }
        for (key, answer, aliases) in over {
            let Some((_, waiting)) = self.exchanges.remove(&key) else { continue };
            let denied = aliases.iter().any(|alias| self.judge.is_denied(alias));
            let answer = if denied { Answer::empty(Code::NoSuchName) } else { answer };
            let mut answer = self.judged(&key.0, answer);
            answer.ttl = answer.ttl.min(LONGEST);
            waiting.iter().for_each(|waiting| self.answer(waiting, &answer));
            self.keep(key, answer);
        }
    }

    fn keep(&mut self, key: Key, answer: Answer) {
        let now = Instant::now();
        if self.kept.len() >= KEPT {
            self.kept.retain(|_, (_, until)| *until > now);
        }
        if self.kept.len() >= KEPT {
            let next = self.kept.iter().min_by_key(|(_, (_, until))| *until).map(|(key, _)| key.clone());
            next.map(|key| self.kept.remove(&key));
        }
        let holds = if answer.addresses.is_empty() { WITHOUT } else { answer.ttl.max(SHORTEST) };
        self.kept.insert(key, (answer, now + Duration::from_secs(holds.into())));
    }

    /// Sends an answer. One for which there is no room is lost, as on any network.
    fn answer(&mut self, waiting: &Waiting, answer: &Answer) {
        match waiting.reply_to {
            ReplyTo::Datagram(to) => {
                _ = self.resolver.datagrams.send_to(&waiting.query.answer(answer, false), to);
            }
            ReplyTo::Connection(number) => {
                if let Some(guest) = self.connections.get_mut(&number) {
                    guest.out.extend(waiting.query.answer(answer, true));
                    guest.until = Instant::now() + IDLE;
                    if !guest.flush() || guest.out.len() > BACKLOG {
                        self.connections.remove(&number);
                    }
                }
            }
        }
    }
}

impl Connection {
    /// Writes what there is to write, and takes what has come; whether it goes on.
    fn transfer(&mut self) -> bool {
        let mut bytes = [0; 4096];
        if !self.flush() {
            return false;
        }
        loop {
            match self.stream.read(&mut bytes) {
                Ok(0) => return false,
                Ok(n) => self.came.extend_from_slice(&bytes[..n]),
                Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
            }
            if self.came.len() > BACKLOG {
                return true;
            }
        }
    }

    fn flush(&mut self) -> bool {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(n) => _ = self.out.drain(..n),
                Err(e) => return e.kind() == io::ErrorKind::WouldBlock,
            }
        }
        true
    }
}
