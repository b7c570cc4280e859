//! Fuzz target: whatever a profile says, it is refused with errors that can be shown, or loads and answers
//! every question of a guest's.

use crate::{Access, Decision, DeniedWhat, Endpoint, Files, Make, Named, Policy, Transport, Variables};
use std::ffi::OsString;
use std::io;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};

/// A host with one profile more, where every name exists and some are links.
struct Host<'a>(&'a str);

impl Files for Host<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == Path::new("/p/fuzz.toml") {
            Ok(self.0.to_owned())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }
    fn exists(&self, _: &Path) -> bool {
        true
    }
    fn named(&self, path: &Path) -> Named {
        match path.to_str() {
            Some("/bin") => Named::Link("usr/bin".into()),
            Some("/loop") => Named::Link("/loop/x".into()),
            Some("/a/link") => Named::Link("../b/./c".into()),
            Some("/missing") => Named::Missing,
            _ => Named::Other,
        }
    }
    fn spells_freely(&self, directory: &Path) -> Option<&'static str> {
        directory.starts_with("/mnt").then_some("vfat")
    }
    fn directories_and_links(&self, directory: &Path) -> Vec<OsString> {
        if directory == Path::new("/a") { vec!["link".into(), "d".into()] } else { Vec::new() }
    }
    fn profile_folders(&self) -> Vec<PathBuf> {
        Vec::new()
    }
    fn lookup_profile(&self, _: &str) -> Option<(PathBuf, String)> {
        None
    }
}

/// The input: a profile and, behind NULs, names that a guest asks about.
pub fn profile(input: &[u8]) {
    let mut parts = input.split(|&byte| byte == 0);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
    let variables = Variables {
        home: Some("/home/u".into()),
        cwd: Some("/home/u/work".into()),
        program: Some("/opt/app/bin/app".into()),
        tmpdir: Some("/tmp".into()),
        user: Some("u".into()),
        uid: Some(1000),
        ..Variables::default()
    };
    match Policy::load("/p/fuzz.toml", &Host(&text), &variables) {
        Ok(policy) => {
            [&b"/a/b"[..], b""].into_iter().chain(parts).take(16).for_each(|name| ask(&policy, name))
        }
        Err(errors) => {
            let shown = errors.to_string();
            assert!(shown.starts_with("error: "), "{shown}");
            plain(&shown.replace('\n', ""));
        }
    }
}

/// What is printed does nothing to a terminal.
fn plain(text: &str) {
    assert!(!text.contains(char::is_control), "{text:?}");
}

/// All questions that can be asked about a name, and what is said of the answers.
fn ask(policy: &Policy, name: &[u8]) {
    let answered = |decision: Decision<'_>, what: &DeniedWhat<'_>| {
        plain(&decision.verdict.to_string());
        if !decision.allowed() {
            plain(&policy.hint(what, |_| false));
        }
        decision.allowed()
    };
    let dots = name.split(|&byte| byte == b'/').any(|part| matches!(part, b"." | b".."));
    let normal = name.first() == Some(&b'/') && !dots;
    for access in Access::ALL {
        let allowed = answered(policy.path(access, name), &DeniedWhat::Path(access, name));
        assert!(normal || !allowed, "{access} {name:?}");
    }
    for make in [Make::Directory, Make::File, Make::Link] {
        answered(policy.make(make, name), &DeniedWhat::Make(make, name));
        answered(policy.link(make, name, b"/a/b"), &DeniedWhat::Rename(name, b"/a/b"));
    }
    for (from, to) in [(name, name), (name, b"/a/b"), (b"/a/b", name)] {
        answered(policy.rename(from, to), &DeniedWhat::Rename(from, to));
    }
    policy.hides_any_below(name);
    let word = |at: usize| name.get(at..at + 4).map_or(0, |b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    let address = Ipv6Addr::from(std::array::from_fn(|i| name.get(i).copied().unwrap_or(0)));
    let ip = address.to_ipv4_mapped().map_or(address.into(), Into::into);
    let inet = |transport| Endpoint::Inet { transport, address: ip, port: word(1) as u16 };
    let unix = [Endpoint::UnixPath(name), Endpoint::UnixAbstract(name)];
    for endpoint in
        [inet(Transport::Tcp), inet(Transport::Udp), inet(Transport::Other)].into_iter().chain(unix)
    {
        answered(policy.connect(&endpoint), &DeniedWhat::Connect(endpoint));
        answered(policy.bind(&endpoint), &DeniedWhat::Bind(endpoint));
    }
    let (domain, kind, protocol) = (word(0) & 63, word(4), word(8));
    answered(policy.socket(domain, kind, protocol), &DeniedWhat::Socket { domain, kind, protocol });
    answered(policy.join(ip), &DeniedWhat::Join(ip));
    answered(policy.route(), &DeniedWhat::Route);
    let (number, args) = (word(0).cast_unsigned() % 500, [word(4) as u64; 6]);
    answered(policy.call(number, &args), &DeniedWhat::Call(number, &args));
    if let Ok(name) = std::str::from_utf8(name) {
        answered(policy.variable(name.as_ref()), &DeniedWhat::Variable(name));
        if let Some(name) = crate::canonical(name) {
            let endpoint = Endpoint::Host { transport: Transport::Tcp, name: &name, port: word(0) as u16 };
            answered(policy.connect(&endpoint), &DeniedWhat::Connect(endpoint));
            answered(policy.resolve(&name, false), &DeniedWhat::Resolve(&name));
            assert!(!policy.bind(&endpoint).allowed());
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_profile_loads_or_fails_with_errors_that_can_be_shown() {
        rxbox_tests::fuzz::run("profile", 8_000, super::profile);
    }
}
