//! The Debian package as its users have it: built by its one command, looked at by lintian, installed in a
//! clean Debian, used there, started as a service by a real systemd, and removed without a trace. Only root
//! can make a Debian to install it in; as anybody else the package is unpacked and its program run.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use rxbox_tests::{Scratch, host_offers, rxbox};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Runs a command to its end; what it says on standard output.
fn done(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{errors}", output.status);
    out.into_owned()
}

/// The package, of the program that is tested.
fn package(scratch: &Scratch) -> PathBuf {
    let build = repository().join("packaging/debian/build.sh");
    let line = done(Command::new("sh").arg(build).arg(rxbox()).env("CARGO_TARGET_DIR", scratch.path()));
    PathBuf::from(line.trim_end())
}

/// A Debian with systemd and what its services need, laid out once for all runs of the tests.
fn debian() -> PathBuf {
    let lab = rxbox().parent().and_then(Path::parent).unwrap().join("lab");
    let packages = "systemd,systemd-sysv,dbus,procps,python3-minimal,nginx-light,redis-server";
    let root = lab.join(packages);
    if !root.exists() {
        fs::create_dir_all(&lab).unwrap();
        let new = lab.join(format!("new.{}", std::process::id()));
        let include = format!("--include={packages}");
        done(Command::new("debootstrap").args(["--variant=minbase", &include, "bookworm"]).arg(&new));
        fs::rename(new, &root).unwrap();
    }
    root
}

/// What may differ after a package has come and gone: the package manager's own records.
fn names(root: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut todo) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(&dir).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                todo.push(entry.path());
            }
            found.insert(entry.path().strip_prefix(root).unwrap().to_owned());
        }
    }
    let records = ["var/lib/dpkg", "var/log", "var/cache", "run", "tmp"];
    found.retain(|name| !records.iter().any(|record| name.starts_with(record)));
    found
}

/// Within the Debian, without starting it.
fn inside(root: &Path, command: &[&str]) -> String {
    let options = ["-q", "--register=no", "--keep-unit", "-D"];
    done(Command::new("systemd-nspawn").args(options).arg(root).args(command))
}

/// What is laid over the Debian: services with their profiles, and what is asked of systemd once it is up.
const LAB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/lab/root");
/// What `rxbox --version` begins with.
const VERSION: &str = concat!("rxbox ", env!("CARGO_PKG_VERSION"), "\n");
/// Boots the Debian, and gives what the trial has said.
fn boot(root: &Path, scratch: &Scratch) -> String {
    let console = fs::File::create(scratch.path().join("console")).unwrap();
    let mut machine = Command::new("systemd-nspawn")
        .args(["-q", "--register=no", "--keep-unit", "--private-network", "-b", "-D"])
        .arg(root)
        .stdin(Stdio::null())
        .stdout(console.try_clone().unwrap())
        .stderr(console)
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(root.join("trial.log")).unwrap_or_default();
    // It starts a dozen programs, on a machine that may be busy.
    let begun = Instant::now();
    while !said().ends_with("end\n") {
        assert!(begun.elapsed() < Duration::from_secs(300), "the trial does not end: {}", said());
        std::thread::sleep(Duration::from_millis(20));
    }
    machine.kill().unwrap();
    machine.wait().unwrap();
    said()
}

/// The crates of the program by `cargo tree`, as `NAME@VERSION`.
fn crates() -> BTreeSet<String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args([
        "tree",
        "--offline",
        "--locked",
        "-p",
        "rxbox",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
    ]);
    let tree = done(cargo.args(["--format", "{p}"]).current_dir(repository()));
    let words = tree.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>());
    words.map(|words| format!("{}@{}", words[0], words[1].trim_start_matches('v'))).collect()
}

#[test]
fn the_bill_of_materials_lists_the_crates_of_the_program_with_their_licences() {
    let bill = done(Command::new("sh").arg(repository().join("packaging/sbom.sh")));
    let bill: Value = serde_json::from_str(&bill).unwrap();
    let program = &bill["metadata"]["component"];
    let components: Vec<&Value> = bill["components"].as_array().unwrap().iter().chain([program]).collect();
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    let named = components.iter().map(|c| format!("{}@{}", word(&c["name"]), word(&c["version"]))).collect();
    assert_eq!(crates(), named);
    for component in components {
        let licence = word(&component["licenses"][0]["expression"]);
        assert!(!licence.is_empty() && !licence.contains('/'), "{component}");
    }
    let reference = |crate_: &str| format!("pkg:cargo/{crate_}");
    let dependencies = bill["dependencies"].as_array().unwrap();
    let referred: BTreeSet<String> = dependencies.iter().map(|d| word(&d["ref"])).collect();
    assert_eq!(referred, crates().iter().map(|name| reference(name)).collect());
    assert!(
        dependencies
            .iter()
            .flat_map(|d| d["dependsOn"].as_array().unwrap())
            .all(|d| referred.contains(&word(d)))
    );
}

/// Where the package is installed.
fn has_its_bill_of_materials(root: &Path) {
    let shipped = fs::read(root.join("usr/share/doc/rxbox/sbom.cdx.json")).unwrap();
    let bill: Value = serde_json::from_slice(&shipped).unwrap();
    assert_eq!(bill["bomFormat"], "CycloneDX");
}

#[test]
fn cargo_installs_the_program() {
    let scratch = Scratch::new("install");
    let profile = rxbox().parent().unwrap();
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["install", "--quiet", "--locked", "--offline", "--no-track", "--path"]);
    cargo.arg(repository().join("supervisor")).arg("--root").arg(scratch.path());
    // The one that is built already.
    if !profile.ends_with("release") {
        cargo.arg("--debug");
    }
    done(cargo.env("CARGO_TARGET_DIR", profile.parent().unwrap()));
    let version = done(Command::new(scratch.path().join("bin/rxbox")).arg("--version"));
    assert!(version.starts_with(VERSION), "{version}");
}

#[test]
fn the_package_is_installed_used_as_a_service_and_removed() {
    let scratch = Scratch::new("package");
    let package = package(&scratch);
    done(Command::new("lintian").args(["--fail-on", "error"]).arg(&package));
    let root = scratch.path().join("machine");
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        done(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(&root));
        let version = done(Command::new(root.join("usr/bin/rxbox")).arg("--version"));
        assert!(version.starts_with(VERSION), "{version}");
        has_its_bill_of_materials(&root);
        return;
    }
    done(Command::new("cp").arg("-a").arg(debian()).arg(&root));
    let before = names(&root);
    let file = root.join("root/rxbox.deb");
    fs::copy(&package, &file).unwrap();
    inside(&root, &["dpkg", "-i", "/root/rxbox.deb"]);
    fs::remove_file(file).unwrap();
    has_its_bill_of_materials(&root);
    let said = inside(&root, &["rxbox", "--quiet", "--profile", "untrusted", "--", "/bin/echo", "it runs"]);
    assert!(said.contains("it runs"), "{said}");
    done(Command::new("cp").args(["-a", "-T", LAB]).arg(&root));

    let said = boot(&root, &scratch);
    for line in [
        "verified: 0",
        "/var/lib/private/rxbox/demo",
        "grep: /etc/shadow: Permission denied",
        "active",
        "restarts: 1",
        "ActiveState=inactive",
        "Result=success",
        "left: 0",
        // What cannot run is not started again.
        "ExecMainStatus=127",
        "NRestarts=0",
        "wrapped: 0",
        "activated: first: generation 0, kept nothing, own ids",
        "up",
        "generation 1",
        "reloaded: second: generation 1, kept nothing, own ids",
        "watched: third: generation 0, kept something, own ids",
        "web restarts: 1",
        "web ended: success",
        "nginx runs /usr/bin/rxbox",
        "nginx: HTTP/1.1 200 OK",
        "nginx: HTTP/1.1 404 Not Found, same",
        "nginx ended: success",
        "front runs /usr/bin/rxbox",
        "front ended: success",
        "redis-server runs /usr/bin/rxbox",
        "redis: Ready to accept connections, OK, OK",
        "redis restarts: 1",
        "redis, killed: saved yes, lost ",
        "redis, restarted: kept yes",
        "redis ended: success",
        "left at last: 0",
        "journal: denied read /etc/shadow",
        "journal: end: cause exit, code 1, status 1",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }

    // No more of what clients send is lost than natively.
    let lost =
        |how: &str| said.lines().find_map(|line| line.strip_prefix(&format!("front, {how}: "))).unwrap();
    assert_eq!(lost("native"), lost("in rxbox"), "{said}");
    // What confines the service from outside takes it not away. (systemd-nspawn itself offers no Landlock.)
    let layers = said.lines().find(|line| line.starts_with("in force: ")).unwrap();
    let in_force = layers.split("missing").next().unwrap();
    assert_eq!(in_force.contains("fork_gate"), host_offers("fork_gate"), "{layers}");

    fs::remove_dir_all(root.join("etc/rxbox")).unwrap();
    for wrapped in fs::read_dir(root.join("etc/systemd/system")).unwrap().map(Result::unwrap) {
        if wrapped.file_name().to_string_lossy().ends_with(".service.d") {
            fs::remove_dir_all(wrapped.path()).unwrap();
        }
    }
    inside(&root, &["dpkg", "-P", "rxbox"]);
    // The state of a service is its own.
    let stays = |name: &&PathBuf| !name.starts_with("var/lib/rxbox") && !name.starts_with("var/lib/private");
    let is_ours = |name: &&PathBuf| name.to_string_lossy().contains("rxbox");
    let after = names(&root);
    let left: Vec<_> = after.difference(&before).filter(stays).filter(is_ours).collect();
    assert!(left.is_empty(), "{left:?}");
}
