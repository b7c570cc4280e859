//! What in a policy opens the sandbox, or means nothing.

use super::probe::Probes;
use crate::decision::{Access, Rule};
use crate::pattern::variables::os;
use crate::policy::Policy;
use crate::rules::mounts::Source;
use std::collections::BTreeMap;
use std::path::Path;

/// Sockets of daemons that do what they are asked for, outside of the sandbox.
const DAEMONS: [&str; 10] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket",
    "/run/systemd/private",
    "/run/libvirt/libvirt-sock",
    "/run/snapd.socket",
    "/tmp/.X11-unix/X0",
    "/var/run/crio/crio.sock",
];
/// The same below `/run/user/UID`.
const OF_USER: [&str; 4] = ["bus", "systemd/private", "docker.sock", "podman/podman.sock"];
/// What of a home is nobody else's business.
const SECRETS: [&str; 12] = [
    ".ssh/id_rsa",
    ".ssh/id_ed25519",
    ".gnupg/private-keys-v1.d",
    ".aws/credentials",
    ".netrc",
    ".git-credentials",
    ".config/gh/hosts.yml",
    ".kube/config",
    ".docker/config.json",
    ".npmrc",
    ".pypirc",
    ".mozilla",
];
/// What of a home runs later, outside of the sandbox.
const RUN_LATER: [&str; 7] = [
    ".bashrc",
    ".profile",
    ".zshrc",
    ".gitconfig",
    ".local/bin/any",
    ".config/autostart/any",
    ".ssh/authorized_keys",
];

impl Policy {
    /// What opens the sandbox, and entries that mean nothing, each with its rules.
    pub fn warnings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let home = self.variables().home.clone().unwrap_or_default();
        let of_home = |names: &[&str]| -> Vec<_> {
            let names = names.iter().filter(|_| home.is_absolute());
            names.map(|name| home.join(name).into_os_string().into_encoded_bytes()).collect()
        };
        let uid = self.variables().uid.unwrap_or(0);
        let of_user = OF_USER.map(|name| format!("/run/user/{uid}/{name}").into_bytes());
        let daemons: Vec<_> = DAEMONS.iter().map(|path| path.as_bytes().to_vec()).chain(of_user).collect();
        self.allowed("a daemon's socket can be reached", Access::Connect, &daemons, &mut found);
        self.allowed("secrets of the home can be read", Access::Read, &of_home(&SECRETS), &mut found);
        let later = "what runs later outside of the sandbox can be written";
        self.allowed(later, Access::Create, &of_home(&RUN_LATER), &mut found);
        self.written_and_run(&mut found);
        self.idle(&mut found);
        self.wide_names(&mut found);
        found
    }

    /// Tells which of these are allowed, by rule.
    fn allowed(&self, what: &str, access: Access, paths: &[Vec<u8>], found: &mut Vec<String>) {
        let mut by_rule: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for path in paths {
            let decision = self.path(access, path);
            if decision.allowed() && !self.is_private(path) {
                let path = Path::new(os(path)).display().to_string();
                by_rule.entry(told(decision.rule)).or_default().push(path);
            }
        }
        let lines =
            by_rule.into_iter().map(|(rule, paths)| format!("{what}: {} by {rule}", paths.join(", ")));
        found.extend(lines);
    }

    /// Whether it is in a folder of the run's own, which is gone with the run.
    fn is_private(&self, path: &[u8]) -> bool {
        matches!(self.mounts().of(path), Source::Private(_))
    }

    /// Tells where the guest may put programs that it may then run.
    fn written_and_run(&self, found: &mut Vec<String>) {
        let mut probes = Probes::default();
        probes.take(self);
        let mut known = Vec::new();
        for path in probes.paths.iter().filter(|path| !self.is_private(path)) {
            let (write, run) = (self.path(Access::Create, path), self.path(Access::Execute, path));
            if write.allowed() && run.allowed() && !known.contains(&(write.rule, run.rule)) {
                known.push((write.rule, run.rule));
                found.push(format!(
                    "what is written can be run: {} by {} and {}",
                    Path::new(os(path)).display(),
                    told(write.rule),
                    told(run.rule)
                ));
            }
        }
    }

    /// Tells of names that anybody can have.
    fn wide_names(&self, found: &mut Vec<String>) {
        let hosts = &self.compiled.network.allow_hosts;
        for host in hosts.iter().filter(|host| host.value.domain.is_wide()) {
            let (name, _) = host.value.sample();
            let name = name.replacen("any.", "*.", 1);
            found
                .push(format!("whoever has a name {name} can be reached: by {}", told(self.rule(host.rule))));
        }
    }

    /// Tells of entries that grant nothing, since a denial holds wherever they do.
    fn idle(&self, found: &mut Vec<String>) {
        for (path, accesses, rule) in self.compiled.paths.plain_grants() {
            let denials: Vec<_> = accesses.iter().map(|access| self.path(*access, &path)).collect();
            if denials.iter().any(|decision| decision.allowed() || decision.is_lack()) {
                continue;
            }
            if let Some(denial) = denials.first() {
                let (rule, by) = (told(self.rule(rule)), told(denial.rule));
                found.push(format!("an entry grants nothing: {rule}, since {by} denies it"));
            }
        }
    }
}

fn told(rule: Rule<'_>) -> String {
    let text: String = rule.text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{rule} `{text}`")
}
