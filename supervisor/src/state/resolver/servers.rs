//! Whom the host asks for names, by its own files, read once: resolv.conf(5), hosts(5).

use nix::errno::Errno;
use rxbox_policy::canonical;
use std::collections::HashMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// The port of name servers.
pub const DOMAIN: u16 = 53;
/// Servers that are asked (`MAXNS`, resolv.conf(5)).
const MOST: usize = 3;
/// Bytes of a file that are read.
const BYTES: u64 = 1 << 20;

/// The servers, and names that need none.
#[derive(Debug, Default)]
pub(super) struct Servers {
    servers: Vec<SocketAddr>,
    hosts: HashMap<Arc<str>, Vec<IpAddr>>,
}

impl Servers {
    /// Those of this host.
    pub(super) fn of_host() -> Servers {
        Servers::read(&text("/etc/resolv.conf"), &text("/etc/hosts"))
    }

    /// From the contents of both files.
    fn read(resolv_conf: &str, hosts_file: &str) -> Servers {
        let words = |line: &str| -> Vec<String> {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            line.split_ascii_whitespace().map(str::to_owned).collect()
        };
        let server = |line: &str| match &words(line)[..] {
            [key, address, ..] if key == "nameserver" => address.parse::<IpAddr>().ok(),
            _ => None,
        };
        let servers = resolv_conf.lines().filter_map(server).take(MOST);
        let mut servers: Vec<_> = servers.map(|address| SocketAddr::new(address, DOMAIN)).collect();
        if servers.is_empty() {
            servers.push((Ipv4Addr::LOCALHOST, DOMAIN).into());
        }
        let mut hosts: HashMap<Arc<str>, Vec<IpAddr>> = HashMap::new();
        for line in hosts_file.lines() {
            let words = words(line);
            let Some(address) = words.first().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words[1..].iter().filter_map(|name| canonical(name)) {
                hosts.entry(name.into()).or_default().push(address);
            }
        }
        Servers { servers, hosts }
    }

    /// The server whose turn it is.
    pub(super) fn server(&self, turn: usize) -> Option<SocketAddr> {
        self.servers.get(turn % self.servers.len().max(1)).copied()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.servers.len()
    }

    /// The addresses of a name that needs no server.
    pub(super) fn addresses(&self, host: &str) -> Option<&[IpAddr]> {
        self.hosts.get(host).map(Vec::as_slice)
    }

    /// All those names.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&Arc<str>, &[IpAddr])> {
        self.hosts.iter().map(|(host, addresses)| (host, addresses.as_slice()))
    }
}

/// What is in a file, as far as it can be read.
fn text(path: &str) -> String {
    let read = || -> Result<Vec<u8>, std::io::Error> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A random id for a question.
pub(super) fn random_id() -> Result<u16, Errno> {
    let mut id = [0; 2];
    crate::host::transfer::getrandom(crate::host::transfer::Buffer::from_slice(&mut id), 0)?;
    Ok(u16::from_ne_bytes(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_host_are_read_as_the_c_library_reads_them() {
        let read = Servers::read(
            "# made by hand\nsearch example.org\nnameserver 192.0.2.53\nnameserver 2001:db8::53 # two\n\
             nameserver nonsense\nnameserver 192.0.2.54\nnameserver 192.0.2.55\n",
            "127.0.0.1 localhost\n192.0.2.7\tAPI.example.org api # both\n2001:db8::7 api.example.org.\nx y\n",
        );
        let servers: Vec<_> = (0..4).filter_map(|turn| read.server(turn)).map(|s| s.to_string()).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:53", "192.0.2.54:53", "192.0.2.53:53"]);
        let of = |host| {
            read.addresses(host).unwrap_or_default().iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of("api.example.org"), ["192.0.2.7", "2001:db8::7"]);
        assert_eq!((of("api"), of("y")), (vec!["192.0.2.7".to_owned()], vec![]));
        assert_eq!(Servers::read("", "").server(0).unwrap().to_string(), "127.0.0.1:53");
    }
}
