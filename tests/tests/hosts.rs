//! Hosts by name: what clients of all kinds look up and reach under a profile that allows names, and what
//! hostile guests, servers and neighbours do not get. All of it in a network of the test's own, with a name
//! server of the test's own; where this user can have none, that is what is asserted.

use rxbox_tests::{Scratch, compile_guest, rxbox};
use std::path::Path;
use std::process::{Command, Output};

/// What the name server has. It is on the address that resolv.conf says, and on every other.
const ZONE: &str = "\
api.example.org A 198.51.100.7
api.example.org AAAA 2001:db8::7
www.example.net CNAME e1.cdn.example 60
e1.cdn.example A 198.51.100.8
example.net A 198.51.100.8
xn--bcher-kva.example.net A 198.51.100.8
cut.example.net CUT -
cut.example.net A 198.51.100.8
forged.example.net FORGE 198.51.100.66
forged.example.net A 198.51.100.8
loose.example.net LOOSE 198.51.100.66
loose.example.net A 198.51.100.8
secret.example.net A 198.51.100.66
astray.example.net CNAME secret.example.net
silent.example.net SILENT -
loopback.example.net A 127.0.0.1
private.example.net A 10.1.2.3
cloud.example.net A 169.254.169.254
mixed.example.net A 127.0.0.1
mixed.example.net A 198.51.100.8
mapped.example.net AAAA ::ffff:127.0.0.1
evil.example A 198.51.100.66
";
const ADDRESSES: [&str; 5] =
    ["198.51.100.7/32", "198.51.100.8/32", "198.51.100.53/32", "198.51.100.66/32", "10.1.2.3/32"];
const PROFILE: &str = r#"
version = 1
extends = ["untrusted"]

[network]
allow = ["tcp:API.example.org.:80", "tcp:*.example.net:80"]
deny = ["tcp:secret.example.net:*"]
"#;

/// A folder with profile, zone and the guest.
struct Network {
    scratch: Scratch,
}

/// What a command did, and what the name server was asked.
struct Did {
    output: Output,
    asked: Vec<String>,
}

impl Did {
    fn out(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    fn err(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    fn all(&self) -> String {
        format!("{}{}\nasked: {:?}", self.out(), self.err(), self.asked)
    }
}

impl Network {
    /// Nothing where this user can make no network.
    fn new(name: &str) -> Option<Network> {
        let scratch = Scratch::in_the_open(name);
        scratch.file("zone", ZONE);
        scratch.file("profile.toml", PROFILE);
        scratch.file(
            "resolv.conf",
            "search example.org corp.example\noptions ndots:2\nnameserver 198.51.100.53\n",
        );
        compile_guest("resolver", &scratch.path().join("resolver"), &[]);
        let network = Network { scratch };
        let may = network.natively("true");
        let offered = may.output.status.success();
        assert!(offered || may.err().contains("not permitted"), "{}", may.all());
        offered.then_some(network)
    }

    fn path(&self) -> &Path {
        self.scratch.path()
    }

    /// Runs a line of a shell beside the name server.
    fn natively(&self, line: &str) -> Did {
        let addresses: Vec<_> =
            ADDRESSES.iter().map(|address| format!("ip addr add {address} dev lo")).collect();
        let script = format!(
            "ip link set lo up && {} && ip addr add 2001:db8::7/128 dev lo nodad && \
             mount --bind resolv.conf $(readlink -f /etc/resolv.conf) && \
             exec {} zone log timeout 120 sh -c '{line}'",
            addresses.join(" && "),
            env!("CARGO_BIN_EXE_nameserver"),
        );
        let mut command = Command::new("unshare");
        // SAFETY: asks for an id.
        if unsafe { libc::geteuid() } != 0 {
            command.arg("--map-root-user");
        }
        command.args(["--net", "--mount", "sh", "-c", &script]).current_dir(self.path());
        command.env("RXBOX", rxbox()).env("LC_ALL", "C");
        let output = command.output().expect("unshare");
        let log = std::fs::read_to_string(self.path().join("log")).unwrap_or_default();
        Did { output, asked: log.lines().map(str::to_owned).collect() }
    }

    /// Runs a program in rxbox under the profile.
    fn run(&self, line: &str) -> Did {
        self.natively(&format!("exec \"$RXBOX\" --profile ./profile.toml {line}"))
    }
}

fn has(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap().status.success()
}

const PYTHON: &str =
    "import urllib.request as u; print(u.urlopen(\\\"http://www.example.net/\\\").read().decode())";
const NODE: &str = "require(\\\"http\\\").get(\\\"http://www.example.net/\\\", r => r.pipe(process.stdout))";
const ARES: &str = "require(\\\"dns\\\").resolve4(\\\"www.example.net\\\", (e, a) => console.log(\\\"reached \
    \\\" + a + \\\":80\\\"))";
const GO: &str = r#"
package main

import (
	"fmt"
	"io"
	"net/http"
)

func main() {
	response, err := http.Get("http://www.example.net/")
	if err != nil {
		fmt.Println(err)
		return
	}
	body, _ := io.ReadAll(response.Body)
	fmt.Print(string(body))
}
"#;
const C: &str = r#"
#include <netdb.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
int main(void) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo("www.example.net", "80", &hints, &found)) return 1;
    int s = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(s, found->ai_addr, found->ai_addrlen)) return 2;
    char text[1000];
    write(s, "GET /\r\n\r\n", 9);
    long n, all = 0;
    while ((n = read(s, text + all, 999 - all)) > 0) all += n;
    text[all] = 0;
    puts(text);
}
"#;

#[test]
fn clients_of_all_kinds_look_up_and_reach_what_is_allowed() {
    let Some(network) = Network::new("hosts-clients") else { return };
    let folder = network.path();
    network.scratch.file("client.go", GO);
    network.scratch.file("client.c", C);
    let built = |line: &str| {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(folder).env("GO111MODULE", "off").env("CGO_ENABLED", "0");
        shell.env("GOCACHE", folder.join("cache")).output().unwrap().status.success()
    };
    let python = format!("/usr/bin/python3 -c \"{PYTHON}\"");
    let (node, ares) = (format!("node -e \"{NODE}\""), format!("node -e \"{ARES}\""));
    let clients = [
        (built("gcc -o glibc client.c"), "--allow-exec . ./glibc"),
        (has("musl-gcc") && built("musl-gcc -static -o musl client.c"), "--allow-exec . ./musl"),
        (has("go") && built("go build -o go client.go"), "--allow-exec . ./go"),
        (has("curl"), "curl -sS http://www.example.net/"),
        (has("/usr/bin/python3"), &python),
        (has("node"), &node),
        (has("node"), &ares),
    ];
    assert!(clients[0].0);
    for (_, client) in clients.iter().filter(|(there, _)| *there) {
        let did = network.run(client);
        assert!(did.out().contains("reached 198.51.100.8:80"), "{client}: {}", did.all());
        let asked = did.asked.iter().all(|asked| asked.starts_with("www.example.net "));
        assert!(asked && !did.asked.is_empty(), "{client}: {}", did.all());
    }
    let did = network.run("getent ahostsv4 bücher.example.net");
    assert!(did.out().starts_with("198.51.100.8 ") || did.asked.is_empty(), "{}", did.all());
}

#[test]
fn names_that_are_not_allowed_never_leave() {
    let Some(network) = Network::new("hosts-others") else { return };
    for name in [
        "evil.example",
        // Below the wildcard, not the wildcard's own.
        "example.net",
        "secret.example.net",
        "aGlkZGVu.evil.example",
        "xapi.example.org",
    ] {
        let did = network.run(&format!("--allow-exec . ./resolver ask {name} 1"));
        assert!(did.out().contains("id beef code 3 answers 0\nfrom 192.0.2.53:53"), "{}", did.all());
        assert!(did.err().contains(&format!("denied resolve {} (", name.to_lowercase())), "{}", did.all());
        assert_eq!(did.asked, [""; 0], "{name}");
    }
    // So does the C library make names, by a list of domains to search, and nobody needs to know.
    let did = network.run("--allow-exec . ./resolver ask api.example.org.evil.example 1");
    assert!(
        did.out().contains("code 3") && !did.err().contains("denied") && did.asked.is_empty(),
        "{}",
        did.all()
    );
    // Of those that are, nothing but addresses is asked for, and nothing of the guest's own spelling leaves.
    for kind in [2, 5, 6, 12, 15, 16, 33, 41, 64, 65, 255] {
        let did = network.run(&format!("--allow-exec . ./resolver ask api.example.org {kind}"));
        assert!(did.out().contains("code 0 answers 0") && did.asked.is_empty(), "{}", did.all());
    }
    let did = network.run("--allow-exec . ./resolver ask aPi.EXAMPLE.oRg 1");
    assert!(did.out().contains("id beef code 0 answers 1"), "{}", did.all());
    assert_eq!(did.asked, ["api.example.org 1 udp"]);
    let did = network.run("--allow-exec . ./resolver stream api.example.org 1");
    assert!(
        did.out().ends_with("peer 192.0.2.53:53\nid beef code 0 answers 1\nid beef code 0 answers 1\n"),
        "{}",
        did.all()
    );
    assert_eq!(did.asked, ["api.example.org 1 udp"]);
    let did = network.run("getent hosts api.example.org");
    assert!(did.out().contains("2001:db8::7") && !did.err().contains("denied resolve"), "{}", did.all());
}

#[test]
fn an_address_is_reached_only_after_an_allowed_name_led_there_and_only_on_its_ports() {
    let Some(network) = Network::new("hosts-leads") else { return };
    let did = network.run("--allow-exec . ./resolver connect 198.51.100.7 80");
    assert!(did.out().contains(": EACCES"), "{}", did.all());
    assert!(did.err().contains("denied connect tcp:198.51.100.7:80 "), "{}", did.all());
    let after = |name: &str, then: &str| {
        network
            .run(&format!("--allow-exec . sh -c \"./resolver ask {name} 1 > /dev/null; ./resolver {then}\""))
    };
    let did = after("api.example.org", "connect 198.51.100.7 80");
    assert!(did.out().contains(": 0\n"), "{}", did.all());
    let did = after("api.example.org", "connect 198.51.100.7 8080");
    assert!(did.out().contains(": EACCES"), "{}", did.all());
    assert!(did.err().contains("denied connect tcp:api.example.org:8080 "), "{}", did.all());
    assert!(did.err().contains("add \"tcp:api.example.org:8080\" to [network] allow"), "{}", did.all());
    for other in ["connect 198.51.100.8 80", "send 198.51.100.7 80", "send 198.51.100.7 9"] {
        let did = after("api.example.org", other);
        assert!(did.out().contains(": EACCES"), "{other}: {}", did.all());
    }
    // Addresses of other names, forged messages, aliases that are denied.
    for name in ["loose", "forged", "secret", "astray"] {
        let did = after(&format!("{name}.example.net"), "connect 198.51.100.66 80");
        assert!(did.out().contains(": EACCES"), "{name}: {}", did.all());
    }
    for name in ["loose", "forged", "cut", "www"] {
        let did = after(&format!("{name}.example.net"), "connect 198.51.100.8 80");
        assert!(did.out().contains(": 0\n"), "{name}: {}", did.all());
    }
}

#[test]
fn a_name_does_not_lead_to_what_only_this_host_or_its_network_reaches() {
    let Some(network) = Network::new("hosts-rebinding") else { return };
    for (name, kind, address) in [
        ("loopback", 1, "127.0.0.1"),
        ("private", 1, "10.1.2.3"),
        ("cloud", 1, "169.254.169.254"),
        ("mapped", 28, "127.0.0.1"),
    ] {
        let did = network.run(&format!(
            "--allow-exec . sh -c \"./resolver ask {name}.example.net {kind}; ./resolver connect {address} \
                80\""
        ));
        assert!(did.out().contains("code 3 answers 0") && did.out().contains(": EACCES"), "{}", did.all());
        assert!(did.err().contains(&format!("{name}.example.net leads to ")), "{}", did.all());
    }
    let did = network.run("--allow-exec . ./resolver ask mixed.example.net 1");
    assert!(did.out().contains("code 0 answers 1"), "{}", did.all());
    // An entry for the address says what is reached there, and on which port; the name adds nothing.
    let did = network.run(
        "--allow-exec . --allow-net tcp:10.1.2.3:8080 sh -c \"./resolver ask private.example.net 1; \
         ./resolver connect 10.1.2.3 8080; ./resolver connect 10.1.2.3 80\"",
    );
    assert!(did.out().contains("code 0 answers 1"), "{}", did.all());
    assert!(did.out().contains(": 0\n") && did.out().contains(": EACCES"), "{}", did.all());
}

#[test]
fn a_socket_that_has_asked_is_like_any_other_and_only_guests_are_heard() {
    let Some(network) = Network::new("hosts-sockets") else { return };
    let did = network.run("--allow-exec . --allow-net udp:198.51.100.7:9 ./resolver moves api.example.org");
    let answered = did.out().matches("id beef code 0 answers 1\nfrom 192.0.2.53:53\n").count();
    assert!(answered >= 2 && did.out().contains("peer 192.0.2.53:53"), "{}", did.all());
    // A neighbour asks where the resolver is, whose port is among those of the network.
    let neighbour = "
import socket
ports = [int(line.split()[1].split(':')[1], 16) for line in open('/proc/net/udp') if '0100007F' in \
line.split()[1]]
ports = [port for port in ports if port != 53]
question = bytes.fromhex('000701000001000000000000') + b'\\x03api\\x07example\\x03org\\0' + \
bytes.fromhex('00010001')
for port in ports:
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.5)
    s.sendto(question, ('127.0.0.1', port))
    try:
        s.recv(1000)
        print('heard')
    except OSError:
        print('not heard')
";
    network.scratch.file("neighbour.py", neighbour);
    let did = network.natively(
        "mkfifo began ended; \"$RXBOX\" --profile ./profile.toml --allow-exec . --allow-read . \
            --allow-modify began \
         sh -c \"./resolver ask api.example.org 1; echo > began; read x < ended\" & \
         read x < began; /usr/bin/python3 neighbour.py; echo > ended; wait",
    );
    assert!(did.out().contains("not heard") && !did.out().contains("\nheard"), "{}", did.all());
    assert!(did.asked.len() <= 1, "{}", did.all());
}

#[test]
fn a_flood_of_questions_is_bounded_and_others_are_answered() {
    let Some(network) = Network::new("hosts-flood") else { return };
    // No server answers these, so they stay under way.
    std::fs::write(network.path().join("zone"), format!("{ZONE}{}", silent(200))).unwrap();
    let did = network.run("--allow-exec . ./resolver flood example.net 3000");
    // Either it is asked next, or it is told that there is no room.
    assert!(did.out().contains("id beef code 2") || did.out().contains("id beef code 0"), "{}", did.all());
    assert!(did.asked.len() < 400, "{} questions", did.asked.len());
    let did = network.run("--allow-exec . ./resolver junk 5000");
    assert!(did.out().contains("id beef code 0 answers 1"), "{}", did.all());
    assert_eq!(did.asked, ["api.example.org 1 udp"]);
}

fn silent(names: usize) -> String {
    (0..names).map(|n| format!("n{n}.example.net SILENT -\n")).collect()
}

#[test]
fn an_audit_says_how_much_went_where() {
    let Some(network) = Network::new("hosts-traffic") else { return };
    network.scratch.file("client.c", C);
    let built = Command::new("gcc").args(["-o", "client", "client.c"]).current_dir(network.path()).status();
    assert!(built.unwrap().success());
    let did = network.run(
        "--audit audit.json --allow-exec . --allow-net tcp:198.51.100.66:80 \
         sh -c \"./client; ./client > /dev/null; ./resolver connect 198.51.100.66 80\"",
    );
    let (head, body) =
        ("HTTP/1.1 200 OK\r\nContent-Length: 24\r\nConnection: close\r\n\r\n", "reached 198.51.100.8:80\n");
    let received = 2 * (head.len() + body.len());
    let audit = std::fs::read_to_string(network.path().join("audit.json")).unwrap();
    let records = audit.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let carried: Vec<_> = records.filter(|record| record["event"] == "traffic").collect();
    let of = |to: &str, connections: u64, sent: u64, received: usize| {
        serde_json::json!({ "event": "traffic", "to": to, "connections": connections, "sent": sent,
            "received": received })
    };
    let (address, name) = ("tcp:198.51.100.66:80", "tcp:www.example.net:80");
    assert_eq!(carried, [of(address, 1, 0, 0), of(name, 2, 18, received)], "{}", did.all());
}

#[test]
fn a_profile_that_is_learned_names_hosts() {
    let Some(network) = Network::new("hosts-learned") else { return };
    network.scratch.file("client.c", C);
    let built = Command::new("gcc").args(["-o", "client", "client.c"]).current_dir(network.path()).status();
    assert!(built.unwrap().success());
    let did = network
        .natively("\"$RXBOX\" learn --allow-net tcp:*:80 --allow-net udp:*:53 -o learned.toml -- ./client");
    let learned = std::fs::read_to_string(network.path().join("learned.toml")).unwrap_or_default();
    assert!(learned.contains("\"tcp:www.example.net:80\""), "{learned}{}", did.all());
    assert!(!learned.contains("198.51.100"), "{learned}");
}

#[test]
fn profiles_with_names_are_explained_compared_and_checked() {
    let scratch = Scratch::new("hosts-explained");
    let profile = scratch.file("profile.toml", PROFILE);
    let rxbox = |words: &[&str]| {
        let ran = Command::new(rxbox()).args(words).current_dir(scratch.path()).output().unwrap();
        String::from_utf8_lossy(&[ran.stdout, ran.stderr].concat()).into_owned()
    };
    let profile = profile.to_str().unwrap();
    let explain = |question, object| rxbox(&["explain", "--profile", profile, question, object]);
    let allowed = explain("connect", "tcp:api.example.org:80");
    assert!(
        allowed.contains("allow by profile.toml:6 (network.allow \"tcp:API.example.org.:80\")"),
        "{allowed}"
    );
    let denied = explain("connect", "tcp:api.example.org:81");
    assert!(denied.contains("deny EACCES by default; add \"tcp:api.example.org:81\""), "{denied}");
    let named = explain("resolve", "A.Example.NET");
    assert!(named.contains("allow by profile.toml:6"), "{named}");
    let secret = explain("resolve", "secret.example.net");
    assert!(secret.contains("deny EACCES by profile.toml:7"), "{secret}");
    assert!(explain("bind", "tcp:api.example.org:80").contains("no address of this host"));
    let differs = rxbox(&["diff", "untrusted", profile]);
    assert!(differs.contains("connect; as tcp:api.example.org:80"), "{differs}");
    scratch.file("wide.toml", "version = 1\n[network]\nallow = [\"tcp:*.org:443\"]");
    let warned = rxbox(&["check", "./wide.toml"]);
    assert!(warned.contains("whoever has a name *.org can be reached"), "{warned}");
}
