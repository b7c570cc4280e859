//! rxbox in containers of a real Docker with what it does by default: its seccomp profile, its capabilities,
//! no user namespaces. There are fewer layers there, said so, and the rest is as everywhere.

use rxbox_tests::{Scratch, rxbox};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(60);
/// What the image has of this machine, beside rxbox and the libraries.
const PROGRAMS: [&str; 7] = [
    "/bin/bash",
    "/usr/bin/cat",
    "/usr/bin/env",
    "/usr/bin/id",
    "/usr/bin/seq",
    "/usr/bin/sha256sum",
    "/usr/bin/sort",
];
const IMAGE: &str = "rxbox-test:1";
/// The options of `docker run`: as they are by default, and for an ordinary user without any privilege.
const WAYS: [&[&str]; 2] = [&[], &["-u", "1000", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]];

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A daemon that is told to end when dropped, and made to if it does not.
struct Daemon(Child);

impl Daemon {
    /// Starts one with its messages in a file.
    fn start(command: &mut Command, log: &Path) -> Daemon {
        let log = fs::File::create(log).expect("a file");
        let out = log.try_clone().expect("a copy");
        Daemon(command.stdin(Stdio::null()).stdout(out).stderr(log).spawn().expect("the daemon"))
    }

    /// Waits until `ready`; false if the daemon ends before.
    fn becomes(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        while !ready() {
            if self.0.try_wait().expect("a child").is_some() || start.elapsed() > BOUND {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended.
        let _ = Command::new("/bin/kill").arg(self.0.id().to_string()).stderr(Stdio::null()).status();
        let start = Instant::now();
        while self.0.try_wait().is_ok_and(|status| status.is_none()) && start.elapsed() < BOUND {
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Docker of the test's own. The daemons are dropped in this order, before what they work in.
struct Docker {
    _dockerd: Daemon,
    _containerd: Daemon,
    scratch: Scratch,
}

impl Docker {
    /// Nothing if this host does not let one run: what its daemon says then.
    fn start() -> Result<Docker, String> {
        let scratch = Scratch::new("docker");
        let at = |name: &str| scratch.path().join(name).to_string_lossy().into_owned();
        let settings = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n[grpc]\naddress = {:?}\n",
            at("containerd-data"),
            at("containerd-state"),
            at("c.sock")
        );
        let settings = scratch.file("containerd.toml", settings);
        let mut containerd = Command::new("containerd");
        let mut containerd =
            Daemon::start(containerd.arg("-c").arg(settings), Path::new(&at("containerd.log")));
        let answers = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
        let socket = at("c.sock");
        if !containerd.becomes(|| answers(Command::new("ctr").args(["-a", &socket, "version"]))) {
            return Err(fs::read_to_string(at("containerd.log")).expect("a log"));
        }
        let mut dockerd = Command::new("dockerd");
        dockerd.args(["--containerd", &socket, "--iptables=false", "--bridge=none"]);
        dockerd.args(["-H", &format!("unix://{}", at("d.sock")), "--data-root", &at("data")]);
        dockerd.args(["--exec-root", &at("exec"), "--pidfile", &at("d.pid")]);
        let mut dockerd = Daemon::start(&mut dockerd, Path::new(&at("dockerd.log")));
        let client = || client(scratch.path());
        if !dockerd.becomes(|| answers(client().arg("version"))) {
            return Err(fs::read_to_string(at("dockerd.log")).expect("a log"));
        }
        Ok(Docker { _dockerd: dockerd, _containerd: containerd, scratch })
    }

    /// Makes an image of these programs of this machine, with rxbox and a file that no profile speaks of.
    fn make_image(&self) {
        let root = self.scratch.path().join("root");
        let mut files: BTreeSet<PathBuf> = PROGRAMS.iter().map(PathBuf::from).collect();
        for program in PROGRAMS.iter().map(Path::new).chain([rxbox()]) {
            let libraries = Command::new("ldd").arg(program).output().expect("ldd");
            let libraries = text(&libraries.stdout);
            let words = libraries.split_whitespace().filter(|word| word.starts_with('/'));
            files.extend(words.map(PathBuf::from));
        }
        let below = |path: &Path| root.join(path.strip_prefix("/").expect("an absolute path"));
        for file in &files {
            let to = below(file);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            fs::copy(file, &to).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        }
        fs::copy(rxbox(), root.join("rxbox")).expect("rxbox");
        fs::write(root.join("secret"), "secret\n").expect("a file");
        symlink("bash", below(Path::new("/bin/sh"))).expect("a shell");
        for folder in ["tmp", "work"] {
            fs::create_dir(root.join(folder)).expect("a folder");
            let open = fs::Permissions::from_mode(0o1777);
            fs::set_permissions(root.join(folder), open).expect("a folder of one's own");
        }
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(&root).args(["-c", "."]).stdout(Stdio::piped());
        let mut tar = tar.spawn().expect("tar");
        let image = tar.stdout.take().expect("its output");
        let imported = client(self.scratch.path()).args(["import", "-", IMAGE]).stdin(image).output();
        assert!(tar.wait().expect("tar").success());
        let imported = imported.expect("docker");
        assert!(imported.status.success(), "{}", text(&imported.stderr));
    }

    /// What a program does in a container.
    fn run(&self, options: &[&str], words: &[&str]) -> Output {
        let mut command = client(self.scratch.path());
        command
            .args(["run", "--rm", "--network", "none", "-w", "/work"])
            .args(options)
            .arg(IMAGE)
            .args(words);
        command.stdin(Stdio::null()).output().expect("docker")
    }
}

fn client(scratch: &Path) -> Command {
    let mut command = Command::new("docker");
    command.arg("-H").arg(format!("unix://{}", scratch.join("d.sock").display()));
    command.env("DOCKER_CONFIG", scratch);
    command
}

const SCRIPT: &str = r#"
seq 100000 | sort -r | sha256sum
id -u
x=0; for i in $(seq 2000); do x=$((x + i)); done; echo $x
(exit 3); echo $?
echo written >/work/file && cat /work/file
"#;

#[test]
fn in_a_container_of_docker_programs_run_as_natively_and_are_denied_the_same() {
    let docker = match Docker::start() {
        Ok(docker) => docker,
        Err(log) => {
            // It needs root, and the right to mount.
            let mounts = Command::new("unshare").args(["--mount", "true"]).output().expect("unshare");
            return assert!(!mounts.status.success(), "{log}");
        }
    };
    docker.make_image();
    let boxed = ["/rxbox", "--profile", "untrusted", "--allow-write", "/work", "--status-fd", "2", "--"];
    for options in WAYS {
        let native = docker.run(options, &["/bin/bash", "-c", SCRIPT]);
        assert!(native.status.success(), "{options:?}: {}", text(&native.stderr));
        let ours = docker.run(options, &[&boxed[..], &["/bin/bash", "-c", SCRIPT]].concat());
        let told = text(&ours.stderr);
        assert_eq!(
            (text(&ours.stdout), ours.status.code()),
            (text(&native.stdout), native.status.code()),
            "{options:?}: {told}"
        );
        let layers = told.lines().find(|line| line.contains("\"event\":\"layers\"")).expect("layers");
        let (in_force, missing) = layers.split_once("\"missing\"").expect("what is missing");
        for layer in ["seccomp", "capabilities", "no_new_privs", "rlimits", "fork_gate"] {
            assert!(in_force.contains(&format!("\"{layer}\"")), "{options:?}: {layers}");
        }
        assert!(missing.contains("\"namespaces\""), "{options:?}: {layers}");
        let doctor = text(&docker.run(options, &["/rxbox", "doctor"]).stdout);
        let namespaces = doctor.lines().find(|line| line.starts_with("namespaces")).expect("a line");
        assert!(namespaces.contains("a container engine allows them"), "{options:?}: {doctor}");
        let secret = ["/bin/bash", "-c", "cat /secret || exit 9"];
        assert_eq!(text(&docker.run(options, &secret).stdout), "secret\n", "{options:?}");
        let denied = docker.run(options, &[&boxed[..], &secret].concat());
        let told = text(&denied.stderr);
        assert_eq!((text(&denied.stdout).as_str(), denied.status.code()), ("", Some(9)), "{options:?}");
        assert!(told.contains("denied read /secret"), "{options:?}: {told}");
    }
}
