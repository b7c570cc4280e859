//! Containers: bundles with programs of this machine, and rxbox called as engines call a runtime.

use crate::{Scratch, rxbox};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Puts these programs of this machine, with what they load, into a directory that becomes the root of a
/// container.
///
/// # Panics
/// If they cannot be copied.
pub fn root_of(root: &Path, programs: &[&str]) {
    let mut files: BTreeSet<PathBuf> = programs.iter().map(PathBuf::from).collect();
    for program in programs {
        let libraries = Command::new("ldd").arg(program).output().expect("ldd");
        let libraries = String::from_utf8_lossy(&libraries.stdout).into_owned();
        let words = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        files.extend(words.map(PathBuf::from));
    }
    let below = |path: &Path| root.join(path.strip_prefix("/").expect("an absolute path"));
    for file in &files {
        let to = below(file);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(file, &to).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    }
    for folder in ["bin", "dev", "etc", "proc", "root", "sys", "tmp"] {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    let users = "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n";
    fs::write(root.join("etc/passwd"), users).expect("a file");
    if programs.contains(&"/bin/bash") && !root.join("bin/sh").exists() {
        symlink("bash", root.join("bin/sh")).expect("a shell");
    }
}

/// rxbox by the name of the runtime that engines look for.
///
/// # Panics
/// If there can be no link to it.
pub fn runtime(scratch: &Scratch) -> PathBuf {
    let path = scratch.path().join("rxbox-runc");
    if !path.exists() {
        symlink(rxbox(), &path).expect("a link");
    }
    path
}

/// A bundle, and the runtime with a place for what it knows.
#[derive(Debug)]
pub struct Bundle {
    /// Where everything lies.
    pub scratch: Scratch,
}

impl Bundle {
    /// One with these programs.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn with(programs: &[&str]) -> Bundle {
        let scratch = Scratch::new("oci");
        root_of(&scratch.path().join("bundle/rootfs"), programs);
        let bundle = Bundle { scratch };
        bundle.configure(|_| {});
        bundle
    }

    /// Its directory.
    pub fn path(&self) -> PathBuf {
        self.scratch.path().join("bundle")
    }

    /// Writes config.json: what `runc spec` writes, with these changes.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn configure(&self, change: impl FnOnce(&mut Value)) {
        let mut config = usual();
        config["linux"]["cgroupsPath"] = json!(format!("/{}", self.group()));
        change(&mut config);
        fs::write(self.path().join("config.json"), config.to_string()).expect("config.json");
    }

    /// The name of its containers' cgroup.
    fn group(&self) -> String {
        self.scratch.path().file_name().expect("a name").to_string_lossy().into_owned()
    }

    /// The runtime with its place and a command.
    pub fn runtime(&self, words: &[&str]) -> Command {
        let mut command = Command::new(runtime(&self.scratch));
        command.arg("--root").arg(self.scratch.path().join("state")).args(words);
        command.stdin(Stdio::null()).current_dir(self.path());
        command
    }

    /// What a command comes to. Its output goes to files: a container lives on with it.
    ///
    /// # Panics
    /// If it does not run.
    pub fn call(&self, words: &[&str]) -> Output {
        let (out, error) = (self.scratch.path().join("out"), self.scratch.path().join("error"));
        let file = |path: &Path| fs::File::create(path).expect("a file");
        let status = self.runtime(words).stdout(file(&out)).stderr(file(&error)).status().expect("rxbox");
        let read = |path| fs::read(path).expect("a file");
        Output { status, stdout: read(out), stderr: read(error) }
    }

    /// Runs this script in a shell of a container: its status and output.
    ///
    /// # Panics
    /// If it does not run.
    pub fn run(&self, script: &str, change: impl FnOnce(&mut Value)) -> (Option<i32>, String, String) {
        self.configure(|config| {
            config["process"]["args"] = json!(["/bin/sh", "-c", script]);
            change(config);
        });
        let output = self.call(&["run", "container"]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// The state of a container, as the runtime tells it.
    ///
    /// # Panics
    /// If there is none.
    pub fn state(&self, id: &str) -> Value {
        let output = self.call(&["state", id]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// What is left of containers: their directories, their cgroups, and mounts below this one's files.
    pub fn left(&self) -> Vec<String> {
        let names = |path: PathBuf| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let groups = names("/sys/fs/cgroup".into()).into_iter().chain([PathBuf::from("/sys/fs/cgroup")]);
        let groups = groups.map(|hierarchy| hierarchy.join(self.group())).filter(|group| group.exists());
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let here = self.scratch.path().to_string_lossy().into_owned();
        let mounts = mounts.lines().filter(|line| line.contains(&here)).map(str::to_owned);
        let left = names(self.scratch.path().join("state")).into_iter().chain(groups);
        left.map(|path| path.display().to_string()).chain(mounts).collect()
    }
}

fn usual() -> Value {
    let capabilities =
        ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_KILL", "CAP_SETGID", "CAP_SETUID"];
    let mount = |to: &str, kind: &str, options: &[&str]| {
        let options = json!(options);
        json!({ "destination": to, "type": kind, "source": kind, "options": options })
    };
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["true"],
            "env": ["PATH=/usr/bin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {
                "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
            },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 512 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs" },
        "hostname": "contained",
        "mounts": [
            mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
            mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
            mount("/dev/pts", "devpts", &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]),
            mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        ],
        "linux": {
            "namespaces": [
                { "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" },
                { "type": "mount" },
            ],
            "maskedPaths": ["/proc/kcore", "/proc/timer_list"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}
