//! What the end-to-end tests share: the built `rxbox`, scratch folders, and running a program natively and in
//! rxbox with all that it leaves behind.

pub mod calls;
pub mod console;
pub mod containers;
pub mod docker;
pub mod fuzz;
pub mod instructions;
pub mod processes;
pub mod random;
pub mod terminal;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Waits for what must come to pass; only a failure takes as long as the bound.
///
/// # Panics
/// If it does not come to pass.
pub fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let start = Instant::now();
    while !look() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} does not come to pass");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether rxbox finds that this host offers a layer.
///
/// # Panics
/// If rxbox does not run.
pub fn host_offers(layer: &str) -> bool {
    let told = Command::new(rxbox()).arg("doctor").output().expect("rxbox runs");
    let told = String::from_utf8(told.stdout).expect("a table");
    told.lines().any(|line| line.split_ascii_whitespace().eq([layer, "available"]))
}

/// The `rxbox` binary, built now if it is not up to date.
///
/// # Panics
/// If it does not build.
pub fn rxbox() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let exe = std::env::current_exe().expect("the test's own path");
        let beside = exe.parent().expect("a folder");
        // A program of the tests, target/PROFILE/PROGRAM.
        if !beside.ends_with("deps") {
            return beside.join("rxbox");
        }
        let dir = beside.parent().expect("target/PROFILE/deps/TEST");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "rxbox", "--bin", "rxbox"]);
        build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        build.env("CARGO_TARGET_DIR", dir.parent().expect("target"));
        if dir.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().expect("cargo runs").success(), "rxbox does not build");
        dir.join("rxbox")
    })
}

/// The program without libraries that `packaging/static/build.sh` builds, built now if it is not up to date.
///
/// # Panics
/// If it does not build.
pub fn static_rxbox() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        // The crates that it is linked from are those of this one.
        let dir = rxbox().parent().expect("target/PROFILE");
        let profile = if dir.ends_with("release") { "release" } else { "dev" };
        let mut build = Command::new("sh");
        build.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/static/build.sh")).arg(profile);
        build.env("CARGO_TARGET_DIR", dir.parent().expect("target"));
        let built = build.output().expect("a shell");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        String::from_utf8(built.stdout).expect("a path").trim_end().into()
    })
}

/// A folder of its own for one test, removed when dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty folder, with its links resolved.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn new(name: &str) -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rxbox-test-{name}-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&path).expect("scratch folder");
        Scratch(path.canonicalize().expect("scratch folder"))
    }

    /// The same where no shipped profile has a private place, so that a guest meets the host's files.
    ///
    /// # Panics
    /// If it cannot be made.
    pub fn in_the_open(name: &str) -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        // Where the tests are built may itself be a place for temporary files.
        let built = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_path_buf()));
        let folders = built.into_iter().chain(["/opt".into(), "/srv".into()]).chain(std::env::home_dir());
        let open = |folder: &PathBuf| {
            !["/tmp", "/var/tmp", "/dev/shm"].iter().any(|private| folder.starts_with(private))
        };
        let name = format!("rxbox-test-{name}-{}-{n}", std::process::id());
        let mut made = folders.filter(open).map(|folder| folder.join(&name));
        let made = made.find(|path| std::fs::create_dir(path).is_ok()).expect("scratch folder");
        Scratch(made.canonicalize().expect("scratch folder"))
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in the folder and gives its path.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folder");
        std::fs::write(&path, content).expect("file");
        path
    }
}

/// Compiles a guest, `guests/NAME.c`, into a folder.
///
/// # Panics
/// If it does not compile.
pub fn guest(scratch: &Scratch, name: &str) -> PathBuf {
    let program = scratch.path().join(name);
    compile_guest(name, &program, &[]);
    program
}

/// Compiles a guest, `guests/NAME.c`, into this file, with further flags for the compiler.
///
/// # Panics
/// If it does not compile.
pub fn compile_guest(name: &str, program: &Path, flags: &[&str]) {
    let source = format!("{}/guests/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let mut gcc = Command::new("gcc");
    // What the guests do wrong on purpose is no news.
    gcc.args(["-O1", "-w", "-pthread", "-Wl,--no-warn-execstack", "-o"]).arg(program).arg(source).args(flags);
    assert!(gcc.status().expect("gcc runs").success(), "{name} does not compile");
}

/// The path of a program's source, `programs/NAME`.
pub fn source(name: &str) -> String {
    format!("{}/programs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A port of the loopback interface that nobody listens on, below those that the kernel gives to connections.
///
/// # Panics
/// If there is none.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id() * 64 + NEXT.fetch_add(1, Ordering::Relaxed);
    (0..1000)
        .map(|n| 10_000 + ((start + n * 7) % 20_000) as u16)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// What a program did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// Exit status, or 128 and the signal.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
    /// Processes of its session that it left running.
    pub left: Vec<u32>,
    /// What lies in its folder afterwards: kind, mode, size, content or link target by path.
    pub files: BTreeMap<PathBuf, String>,
}

impl Ran {
    /// Standard output as text.
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// A program with its arguments, its folder and its input.
#[derive(Clone, Debug)]
pub struct Program {
    argv: Vec<String>,
    dir: PathBuf,
    input: Vec<u8>,
    options: Vec<String>,
    env: Vec<(String, String)>,
    unprivileged: bool,
}

/// The user that unprivileged programs run as, if the tests run as root.
const NOBODY: u32 = 65534;

impl Program {
    /// A command line that runs in `dir`.
    pub fn new(dir: &Path, argv: &[&str]) -> Program {
        Program {
            argv: argv.iter().map(ToString::to_string).collect(),
            dir: dir.to_path_buf(),
            input: Vec::new(),
            options: Vec::new(),
            env: Vec::new(),
            unprivileged: false,
        }
    }

    /// Never as root: for programs that would not run so, or would change their user.
    pub fn unprivileged(mut self) -> Program {
        self.unprivileged = true;
        self
    }

    /// Bytes for its standard input.
    pub fn input(mut self, bytes: impl AsRef<[u8]>) -> Program {
        self.input = bytes.as_ref().to_vec();
        self
    }

    /// Options for rxbox, in front of the program.
    pub fn options(mut self, options: &[&str]) -> Program {
        self.options.extend(options.iter().map(ToString::to_string));
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Program {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A command whose first word is `program`, as the user that it is to have, and in a session of its own:
    /// what becomes of orphaned groups, and the numbers that are seen, depend on the session, and that of the
    /// tests may be anywhere.
    fn command(&self, program: &OsStr) -> Command {
        // It executes the program in its own place, since what starts it does not lead a group.
        let mut command = Command::new("/usr/bin/setsid");
        let root = Path::new("/proc/self").metadata().is_ok_and(|m| m.uid() == 0);
        if !(self.unprivileged && root) {
            command.arg(program);
            return command;
        }
        for path in std::iter::once(&self.dir).chain(tree(&self.dir).keys()) {
            std::os::unix::fs::lchown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        // Where the programs are built may be a folder of root's own.
        let reachable = self.dir.with_file_name("program");
        let _ = std::fs::remove_file(&reachable);
        std::fs::copy(program, &reachable).expect("a copy");
        let id = NOBODY.to_string();
        command
            .args(["/usr/bin/setpriv", "--reuid", &id, "--regid", &id, "--clear-groups", "--"])
            .arg(reachable);
        command
    }

    /// Runs it on the host.
    pub fn native(&self) -> Ran {
        self.run(self.command(self.argv[0].as_ref()).args(&self.argv[1..]))
    }

    /// Runs it in rxbox under a profile.
    pub fn boxed(&self, profile: impl AsRef<OsStr>) -> Ran {
        let mut command = self.command(rxbox().as_os_str());
        command.arg("--profile").arg(profile).args(&self.options).arg("--").args(&self.argv);
        self.run(&mut command)
    }

    fn run(&self, command: &mut Command) -> Ran {
        command.current_dir(&self.dir).env_clear();
        command.env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin").env("HOME", "/root").env("LANG", "C.UTF-8");
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{}: {e}", self.argv[0]));
        let session = child.id();
        let mut stdin = child.stdin.take().expect("a pipe");
        let input = self.input.clone();
        let feeder = std::thread::spawn(move || {
            // The program may end without reading it all.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().expect("it ends");
        feeder.join().expect("the feeder ends");
        Ran {
            status: status(&output),
            stdout: output.stdout,
            stderr: output.stderr,
            left: left_of(session),
            files: tree(&self.dir),
        }
    }
}

fn status(output: &Output) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0))
}

/// What lies in a folder.
fn tree(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut out = BTreeMap::new();
    let mut todo = vec![dir.to_path_buf()];
    while let Some(dir) = todo.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(meta) = path.symlink_metadata() else { continue };
            let mode = meta.permissions().mode();
            let what = if meta.is_dir() {
                todo.push(path.clone());
                String::new()
            } else if meta.is_symlink() {
                format!("{:?}", std::fs::read_link(&path).ok())
            } else if !meta.is_file() {
                // Reading a FIFO would wait for a writer.
                String::new()
            } else {
                let content = std::fs::read(&path).unwrap_or_default();
                format!("{} links, {} bytes, {:016x}", meta.nlink(), content.len(), hash(&content))
            };
            out.insert(path, format!("{mode:o} {what}"));
        }
    }
    out
}

/// FNV-1a, to compare contents without printing them.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}

/// Runs a program natively and in rxbox, each in a fresh folder that `prepare` fills, and compares
/// everything. The folder has the same path for both.
///
/// # Panics
/// If they differ in status, output or files; or if the native run fails, since then the test would show
/// nothing.
pub fn same(profile: &str, options: &[&str], argv: &[&str], prepare: impl Fn(&Path), input: &[u8]) {
    let scratch = Scratch::new("same");
    let dir = scratch.path().join("w");
    let fresh = || {
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir(&dir).expect("folder");
        prepare(&dir);
    };
    let argv: Vec<String> = argv.iter().map(|a| a.replace("{D}", &dir.to_string_lossy())).collect();
    let options: Vec<String> = options.iter().map(|a| a.replace("{D}", &dir.to_string_lossy())).collect();
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let program = Program::new(&dir, &words).options(&options).input(input);
    fresh();
    let native = program.native();
    assert_eq!(native.status, 0, "{argv:?} fails natively: {}", native.err());
    fresh();
    let boxed = program.boxed(profile);
    let context = format!("{argv:?} under {profile}");
    assert_eq!(native.status, boxed.status, "{context}: status; stderr: {}", boxed.err());
    assert!(
        native.stdout == boxed.stdout,
        "{context}: stdout\n{}",
        difference(&native.stdout, &boxed.stdout)
    );
    assert!(
        native.stderr == boxed.stderr,
        "{context}: stderr\n{}",
        difference(&native.stderr, &boxed.stderr)
    );
    assert_eq!(native.files, boxed.files, "{context}: files");
}

/// Runs a program natively and in rxbox, each with its folder as `prepare` fills it, and compares what they
/// say: status and standard output. For programs whose files or messages tell times, process ids or what else
/// differs from run to run. When rxbox has ended, no process of its session is left, in which all of its
/// sandbox are that made none of their own.
///
/// # Panics
/// If they differ, if a process is left, or if the native run fails.
pub fn same_words(profile: &str, program: &Program, prepare: impl Fn(&Path)) {
    let fresh = || {
        let _ = std::fs::remove_dir_all(&program.dir);
        std::fs::create_dir(&program.dir).expect("folder");
        prepare(&program.dir);
    };
    fresh();
    let native = program.native();
    assert_eq!(native.status, 0, "{:?} fails natively: {}\n{}", program.argv, native.out(), native.err());
    fresh();
    let boxed = program.boxed(profile);
    let context = format!("{:?} under {profile}", program.argv);
    assert!(
        native.stdout == boxed.stdout,
        "{context}: stdout\n{}\nstderr: {}",
        difference(&native.stdout, &boxed.stdout),
        boxed.err()
    );
    assert_eq!(boxed.status, 0, "{context}: stderr: {}", boxed.err());
    assert_eq!(boxed.left, [0; 0], "{context}: processes are left");
}

/// The processes of a session that still run after a while: who was killed last may take a moment to go.
fn left_of(session: u32) -> Vec<u32> {
    let running = || {
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        let of_session = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            let mut words = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
            let (state, its) = (words.next(), words.nth(2));
            its.and_then(|s| s.parse().ok()) == Some(session) && state != Some("Z")
        };
        pids.filter(of_session).collect::<Vec<_>>()
    };
    for _ in 0..500 {
        if running().is_empty() {
            return Vec::new();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    running()
}

/// Compiles the guest `name` and runs it under each of the profiles, with a folder to write, as [`same`]
/// does.
///
/// # Panics
/// As [`same`].
pub fn guest_is_the_same(name: &str, profiles: &[&str]) {
    let scratch = Scratch::new(name);
    let program = guest(&scratch, name).to_string_lossy().into_owned();
    for profile in profiles {
        // Some guests ask on purpose for what the policy denies as the file's mode does.
        let options = ["--quiet", "--allow-exec", &program, "--allow-write", "{D}"];
        same(profile, &options, &[&program], |_| (), b"");
    }
}

/// The first place where two outputs differ, with some of both.
pub fn difference(a: &[u8], b: &[u8]) -> String {
    let at = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let part = |x: &[u8]| {
        let from = at.saturating_sub(80).min(x.len());
        String::from_utf8_lossy(&x[from..x.len().min(at + 160)]).into_owned()
    };
    format!(
        "lengths {} and {}, differ at {at}\n--- native\n{}\n--- rxbox\n{}",
        a.len(),
        b.len(),
        part(a),
        part(b)
    )
}
