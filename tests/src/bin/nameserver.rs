//! `nameserver ZONE LOG COMMAND…`: a name server on port 53 and something to reach on ports 80 and 8080, of
//! all addresses of a network of the test's own; runs the command and ends as it does.
//!
//! A line of ZONE is `NAME KIND VALUE [TTL]`:
//! * `A`, `AAAA`, `CNAME` are records;
//! * `FORGE` is an address (v4) that is told before the true answer, in messages that are no answer to the
//!   question: with another id, another name, another kind;
//! * `CUT` has the true answer on a connection alone;
//! * `SILENT` is never answered;
//! * `LOOSE` is an address of another name, told along with the answer.
//!
//! LOG gets a line for each question, as it came: its name, its kind, over what.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, UdpSocket};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex};

struct Record {
    name: String,
    kind: String,
    value: String,
    ttl: u32,
}

struct Server {
    zone: Vec<Record>,
    log: Mutex<File>,
}

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// A name on the wire.
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    labels.flat_map(|l| [&[l.len() as u8], l.as_bytes()].concat()).chain([0]).collect()
}

fn record(name: &str, kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = wire(name);
    bytes.extend(kind.to_be_bytes());
    bytes.extend(1u16.to_be_bytes());
    bytes.extend(ttl.to_be_bytes());
    bytes.extend((data.len() as u16).to_be_bytes());
    bytes.extend(data);
    bytes
}

fn address(text: &str) -> (u16, Vec<u8>) {
    match text.parse().expect("an address") {
        IpAddr::V4(a) => (A, a.octets().to_vec()),
        IpAddr::V6(a) => (AAAA, a.octets().to_vec()),
    }
}

struct Question {
    id: u16,
    name: String,
    kind: u16,
}

impl Question {
    fn read(bytes: &[u8]) -> Option<Question> {
        let id = u16::from_be_bytes(*bytes.first_chunk()?);
        let (mut at, mut labels) = (12, Vec::new());
        loop {
            let length = usize::from(*bytes.get(at)?);
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(bytes.get(at + 1..at + 1 + length)?).into_owned());
            at += 1 + length;
        }
        let kind = u16::from_be_bytes(*bytes.get(at + 1..)?.first_chunk()?);
        Some(Question { id, name: labels.join("."), kind })
    }

    fn message(&self, code: u8, cut: bool, records: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.id.to_be_bytes().to_vec();
        bytes.extend([0x81 | u8::from(cut) << 1, 0x80 | code, 0, 1]);
        bytes.extend((records.len() as u16).to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(wire(&self.name));
        bytes.extend(self.kind.to_be_bytes());
        bytes.extend(1u16.to_be_bytes());
        bytes.extend(records.concat());
        bytes
    }
}

impl Server {
    fn of(&self, name: &str, kind: &str) -> Vec<&Record> {
        self.zone.iter().filter(|r| r.name == name && r.kind == kind).collect()
    }

    /// The messages to send.
    fn answer(&self, bytes: &[u8], stream: bool) -> Vec<Vec<u8>> {
        let Some(asked) = Question::read(bytes) else { return Vec::new() };
        let over = if stream { "tcp" } else { "udp" };
        writeln!(self.log.lock().unwrap(), "{} {} {over}", asked.name, asked.kind).unwrap();
        let name = asked.name.clone();
        if !self.of(&name, "SILENT").is_empty() {
            return Vec::new();
        }
        if !stream && !self.of(&name, "CUT").is_empty() {
            return vec![asked.message(0, true, &[])];
        }
        let mut messages = Vec::new();
        for forged in self.of(&name, "FORGE") {
            let (kind, data) = address(&forged.value);
            let other = |id, name: &str, kind| Question { id, name: name.to_owned(), kind };
            for wrong in [
                other(asked.id ^ 1, &name, asked.kind),
                other(asked.id, "other.example.org", asked.kind),
                other(asked.id, &name, asked.kind ^ 29),
            ] {
                messages.push(wrong.message(0, false, &[record(&name, kind, 600, &data)]));
            }
            messages.push(b"\x00".to_vec());
        }
        let (mut at, mut records) = (name.clone(), Vec::new());
        for loose in self.of(&name, "LOOSE") {
            let (kind, data) = address(&loose.value);
            records.push(record("loose.example.org", kind, 600, &data));
        }
        while let Some(alias) = self.of(&at, "CNAME").first() {
            records.push(record(&at, CNAME, alias.ttl, &wire(&alias.value)));
            at = alias.value.clone();
        }
        let known = self.zone.iter().any(|r| r.name == at);
        let addresses = [("A", A), ("AAAA", AAAA)].into_iter().filter(|(_, kind)| *kind == asked.kind);
        for there in addresses.flat_map(|(kind, _)| self.of(&at, kind)) {
            let (kind, data) = address(&there.value);
            records.push(record(&at, kind, there.ttl, &data));
        }
        messages.push(asked.message(if known { 0 } else { 3 }, false, &records));
        messages
    }
}

fn serve(server: Arc<Server>) {
    let datagrams = UdpSocket::bind("[::]:53").expect("udp port 53");
    let of_datagrams = server.clone();
    std::thread::spawn(move || {
        let mut bytes = [0; 2048];
        while let Ok((length, from)) = datagrams.recv_from(&mut bytes) {
            for message in of_datagrams.answer(&bytes[..length], false) {
                let _ = datagrams.send_to(&message, from);
            }
        }
    });
    let listener = TcpListener::bind("[::]:53").expect("tcp port 53");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
                if stream.read_exact(&mut bytes).is_err() {
                    break;
                }
                for message in server.answer(&bytes, true) {
                    let _ = stream.write_all(&(message.len() as u16).to_be_bytes());
                    let _ = stream.write_all(&message);
                }
            }
        }
    });
    // What is sent to port 9 is thrown away, but taken.
    let discard = UdpSocket::bind("[::]:9").expect("udp port 9");
    std::thread::spawn(move || while discard.recv(&mut [0; 64]).is_ok() {});
    for port in [80, 8080] {
        let listener = TcpListener::bind(("::", port)).expect("a port");
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                std::thread::spawn(move || {
                    let own = stream.local_addr().map(|at| at.ip().to_canonical().to_string());
                    let _ = stream.read(&mut [0; 4096]);
                    let body = format!("reached {}:{port}\n", own.unwrap_or_default());
                    let length = body.len();
                    let _ = write!(
                        stream,
                        "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                    );
                });
            }
        });
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let (zone, log) = (words.next().expect("ZONE"), words.next().expect("LOG"));
    let zone = std::fs::read_to_string(zone).expect("the zone");
    let zone = zone.lines().map(|line| {
        let words: Vec<_> = line.split_ascii_whitespace().collect();
        let [name, kind, value, rest @ ..] = &words[..] else { panic!("{line}") };
        let ttl = rest.first().map_or(600, |ttl| ttl.parse().expect("a ttl"));
        Record { name: (*name).to_owned(), kind: (*kind).to_owned(), value: (*value).to_owned(), ttl }
    });
    let log = Mutex::new(File::create(log).expect("the log"));
    serve(Arc::new(Server { zone: zone.collect(), log }));
    let program = words.next().expect("COMMAND");
    let status = Command::new(program).args(words).status().expect("the command");
    ExitCode::from(status.code().unwrap_or(255) as u8)
}
