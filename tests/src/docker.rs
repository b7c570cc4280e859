//! A Docker of the tests' own, with what Docker does by default.

use crate::Scratch;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take.
const BOUND: Duration = Duration::from_secs(60);

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

/// A Docker without network. The daemons are dropped in this order, before what they work in.
pub struct Docker {
    _dockerd: Daemon,
    _containerd: Daemon,
    scratch: Scratch,
}

impl Docker {
    /// Starts one; nothing where there can be none, since it takes root and the right to mount.
    ///
    /// # Panics
    /// If it does not start where it should.
    pub fn start() -> Option<Docker> {
        Docker::with(&[])
    }

    /// The same, with these options of its daemon's.
    ///
    /// # Panics
    /// As for [`Docker::start`].
    pub fn with(options: &[&str]) -> Option<Docker> {
        match Docker::try_start(options) {
            Ok(docker) => Some(docker),
            Err(log) => {
                let mounts = Command::new("unshare").args(["--mount", "true"]).output().expect("unshare");
                assert!(!mounts.status.success(), "{log}");
                None
            }
        }
    }

    /// If this host does not let one run, what its daemon says then.
    fn try_start(options: &[&str]) -> Result<Docker, String> {
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
        dockerd.args(options);
        let mut dockerd = Daemon::start(&mut dockerd, Path::new(&at("dockerd.log")));
        if !dockerd.becomes(|| answers(on(scratch.path(), Command::new("docker")).arg("version"))) {
            return Err(fs::read_to_string(at("dockerd.log")).expect("a log"));
        }
        Ok(Docker { _dockerd: dockerd, _containerd: containerd, scratch })
    }

    /// A command that finds this Docker, if it runs docker.
    pub fn on(&self, command: Command) -> Command {
        on(self.scratch.path(), command)
    }

    /// The words of a command for docker, with what finds this Docker.
    pub fn docker_words(&self, words: &[&str]) -> Vec<String> {
        let host = format!("DOCKER_HOST=unix://{}", self.scratch.path().join("d.sock").display());
        ["/usr/bin/env", &host, "docker"].iter().chain(words).map(ToString::to_string).collect()
    }

    /// The same for ctr, in the containerd that this Docker has.
    pub fn ctr_words(&self, words: &[&str]) -> Vec<String> {
        let socket = self.scratch.path().join("c.sock").to_string_lossy().into_owned();
        ["ctr", "-a", &socket].iter().chain(words).map(ToString::to_string).collect()
    }

    /// What ctr does with these words.
    ///
    /// # Panics
    /// If there is no ctr command.
    pub fn ctr(&self, words: &[&str]) -> Output {
        let words = self.ctr_words(words);
        Command::new(&words[0]).args(&words[1..]).stdin(Stdio::null()).output().expect("ctr")
    }

    /// What docker does with these words.
    ///
    /// # Panics
    /// If there is no docker command.
    pub fn call(&self, words: &[&str]) -> Output {
        self.client().args(words).stdin(Stdio::null()).output().expect("docker")
    }

    fn client(&self) -> Command {
        self.on(Command::new("docker"))
    }

    /// Makes an image of what lies in a folder.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn import(&self, root: &Path, image: &str) {
        let mut tar = Command::new("tar");
        tar.arg("-C").arg(root).args(["-c", "."]).stdout(Stdio::piped());
        let mut tar = tar.spawn().expect("tar");
        let content = tar.stdout.take().expect("its output");
        let imported = self.client().args(["import", "-", image]).stdin(content).output();
        assert!(tar.wait().expect("tar").success());
        let imported = imported.expect("docker");
        assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    }

    /// What `docker run` does with these words: options, an image, a program.
    ///
    /// # Panics
    /// If there is no docker command.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = self.client();
        command.args(["run", "--rm", "--network", "none"]).args(words);
        command.stdin(Stdio::null()).output().expect("docker")
    }
}

fn on(scratch: &Path, mut command: Command) -> Command {
    command.env("DOCKER_HOST", format!("unix://{}", scratch.join("d.sock").display()));
    // Its builder takes the classic way, which needs no plugin.
    command.env("DOCKER_CONFIG", scratch).env("DOCKER_BUILDKIT", "0");
    command
}
