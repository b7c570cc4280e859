//! Translations are kept on disk, used again, and never stand for other code than what lies there; nothing
//! that a guest does gets into the folder, or out of it.

use rxbox_tests::{Scratch, compile_guest, eventually, rxbox};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::SystemTime;

/// A user's place for caches, and programs.
struct User {
    scratch: Scratch,
}

impl User {
    fn new() -> User {
        User { scratch: Scratch::new("kept") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// The folder of kept translations.
    fn folder(&self) -> PathBuf {
        self.path("cache/rxbox/translations")
    }

    fn command(&self, options: &[&str], argv: &[&str]) -> Command {
        let mut command = Command::new(rxbox());
        command.env("XDG_CACHE_HOME", self.path("cache")).args(["--profile", "permissive"]).args(options);
        command.arg("--").args(argv).stdin(Stdio::null());
        command
    }

    fn run(&self, argv: &[&str]) -> Output {
        self.command(&[], argv).output().unwrap()
    }

    /// The files, with when they were written.
    fn files(&self) -> BTreeMap<String, SystemTime> {
        let entries = fs::read_dir(self.folder()).into_iter().flatten().flatten();
        let files = entries
            .map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().modified().unwrap()));
        files.filter(|(name, _)| name.ends_with(".kept")).collect()
    }

    /// Runs a program until a translation of its code is kept, and in use. A file that has just changed is
    /// not taken at once.
    fn warm(&self, program: &Path) {
        let name = program.to_string_lossy();
        eventually("a kept translation", || {
            let run = Waiting::start(self.command(&[], &[&name]));
            let used = run.kept_code() == PARTS;
            run.end();
            used
        });
    }
}

/// A program that has said a line, and waits for its input.
struct Waiting {
    rxbox: Child,
    line: String,
}

impl Waiting {
    fn start(mut command: Command) -> Waiting {
        let mut rxbox = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut lines = BufReader::with_capacity(1, rxbox.stdout.take().unwrap());
        lines.read_line(&mut line).unwrap();
        rxbox.stdout = Some(lines.into_inner());
        Waiting { rxbox, line }
    }

    /// How many mappings its process has of kept code; none of them can be written.
    fn kept_code(&self) -> usize {
        let below = rxbox_tests::processes::below(self.rxbox.id() as i32);
        let maps = below.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/maps")).ok());
        let lines: Vec<String> =
            maps.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        let kept: Vec<_> = lines.iter().filter(|line| line.ends_with(".kept")).collect();
        assert!(!kept.iter().any(|line| line.contains(" rwx")), "{kept:?}");
        kept.iter().filter(|line| line.contains(" r-x")).count()
    }

    fn end(mut self) -> (String, String, i32) {
        let _ = self.rxbox.stdin.take().unwrap().write_all(b"\n");
        let mut rest = String::new();
        self.rxbox.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        (self.line, rest, self.rxbox.wait().unwrap().code().unwrap_or(-1))
    }
}

fn guest(user: &User, answer: u32) -> PathBuf {
    let program = user.path("program");
    let made = user.path("made");
    compile_guest("kept_code", &made, &[&format!("-DANSWER={answer}"), "-pthread"]);
    // Into the same file, as who changes a program in place.
    let bytes = fs::read(&made).unwrap();
    fs::write(&program, bytes).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    program
}

/// The program, the dynamic linker, the C library.
const PARTS: usize = 3;
/// What the program says after its first line.
const REST: &str = "70\n0 refused\n1\n";

#[test]
fn code_that_is_kept_runs_as_code_that_is_not_and_gives_way_to_what_is_written_over_it() {
    let user = User::new();
    let program = guest(&user, 7);
    let name = program.to_string_lossy().into_owned();
    let expected = || ("7\n".to_owned(), REST.to_owned(), 0);
    assert_eq!(Waiting::start(user.command(&[], &[&name])).end(), expected(), "cold");
    user.warm(&program);
    for _ in 0..3 {
        let run = Waiting::start(user.command(&[], &[&name]));
        assert_eq!(run.kept_code(), PARTS);
        assert_eq!(run.end(), expected(), "warm");
    }
    let run = Waiting::start(user.command(&["--no-cache"], &[&name]));
    assert_eq!(run.kept_code(), 0);
    assert_eq!(run.end(), expected(), "off");
}

#[test]
fn a_program_that_was_changed_in_place_runs_its_own_code() {
    let user = User::new();
    let program = guest(&user, 7);
    user.warm(&program);
    for answer in [8, 9] {
        let program = guest(&user, answer);
        let run = Waiting::start(user.command(&[], &[&program.to_string_lossy()]));
        assert_eq!(run.end(), (format!("{answer}\n"), REST.to_owned(), 0));
    }
    user.warm(&program);
    let run = Waiting::start(user.command(&[], &[&program.to_string_lossy()]));
    assert_eq!(run.end(), ("9\n".to_owned(), REST.to_owned(), 0));
}

#[test]
fn a_file_that_is_damaged_or_of_another_user_is_not_used() {
    let user = User::new();
    let program = guest(&user, 7);
    let name = program.to_string_lossy().into_owned();
    user.warm(&program);
    // While this is held nobody makes files.
    let lock = fs::File::open(user.folder()).unwrap();
    lock.lock().unwrap();
    let files: Vec<PathBuf> = user.files().keys().map(|name| user.folder().join(name)).collect();
    let whole: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    let damage = |how: &str, damage: &dyn Fn(&mut Vec<u8>)| {
        for (file, bytes) in files.iter().zip(&whole) {
            let mut bytes = bytes.clone();
            damage(&mut bytes);
            fs::write(file, bytes).unwrap();
        }
        let run = Waiting::start(user.command(&[], &[&name]));
        assert_eq!(run.kept_code(), 0, "{how}");
        assert_eq!(run.end(), ("7\n".to_owned(), REST.to_owned(), 0), "{how}");
    };
    // Of code, of a table, of the header, of the seal.
    damage("a byte of code", &|bytes| bytes[5000] ^= 1);
    damage("the last byte", &|bytes| *bytes.last_mut().unwrap() ^= 1);
    damage("a byte of the header", &|bytes| bytes[41] ^= 1);
    damage("a byte of the seal", &|bytes| bytes[9] ^= 1);
    damage("cut short", &|bytes| bytes.truncate(bytes.len() - 1));
    damage("longer", &|bytes| bytes.push(0));
    damage("empty", &|bytes| bytes.clear());
    damage("whole, with another secret", &|_| {
        fs::write(user.folder().join("secret"), [5; 32]).unwrap();
    });
    // What cannot be used is made anew.
    drop(lock);
    user.warm(&program);
}

#[test]
fn the_cache_is_filled_shown_and_emptied_by_commands() {
    let user = User::new();
    let cache = |words: &[&str]| {
        let mut command = Command::new(rxbox());
        let out =
            command.env("XDG_CACHE_HOME", user.path("cache")).arg("cache").args(words).output().unwrap();
        (String::from_utf8(out.stdout).unwrap(), out.status.code())
    };
    let empty = format!("0 of 0 files, 0 KiB in {}\n", user.folder().display());
    let (text, status) = cache(&["stat"]);
    assert!(text.ends_with(&empty) && status == Some(0), "{text}");
    let words = ["warm", "--profile", "permissive", "--", "/bin/bash", "-c", "echo $BASH; exit 3"];
    assert_eq!(cache(&words), ("/bin/bash\n".to_owned(), Some(3)), "the program's own");
    let (text, _) = cache(&["stat"]);
    let path = fs::canonicalize("/bin/bash").unwrap();
    assert!(text.lines().any(|line| line.ends_with(&format!("  {}", path.display()))), "{text}");
    let run = Waiting::start(user.command(&[], &["/bin/bash", "-c", "echo; read x"]));
    assert!(run.kept_code() >= PARTS);
    // Runs that use what is removed go on.
    let kept = user.files().len();
    assert_eq!(cache(&["purge"]), (format!("{kept} removed from {}\n", user.folder().display()), Some(0)));
    assert_eq!(run.end(), ("\n".to_owned(), String::new(), 0));
    assert!(cache(&["stat"]).1 == Some(0) && cache(&["empty"]).1 == Some(125));
}

#[test]
fn guests_of_every_profile_are_kept_out_of_the_folder() {
    let user = User::new();
    assert!(user.run(&["/bin/true"]).status.success());
    let secret = user.folder().join("secret");
    assert_eq!(fs::read(&secret).unwrap().len(), 32);
    let (folder, secret) = (user.folder(), secret.to_string_lossy().into_owned());
    let folder = folder.to_string_lossy();
    for script in [
        format!("cat {secret}"),
        format!("ls {folder}"),
        format!("echo x >{folder}/x"),
        format!("mv {folder} {folder}.away"),
        format!("rm -r {folder}"),
        format!("ln {secret} {}", user.path("mine").display()),
        format!("cd {folder}"),
    ] {
        let ran = user.run(&["/bin/sh", "-c", &script]);
        assert!(!ran.status.success() && ran.stdout.is_empty(), "{script}: {ran:?}");
    }
    assert!(Path::new(&secret).exists() && !user.path("mine").exists());
}

#[test]
fn others_than_the_user_cannot_have_made_the_folder() {
    let user = User::new();
    fs::create_dir_all(user.folder()).unwrap();
    fs::set_permissions(user.folder(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(user.run(&["/bin/true"]).status.success());
    assert_eq!(fs::read_dir(user.folder()).unwrap().count(), 0);
}

#[test]
fn runs_side_by_side_and_keepers_that_are_killed_leave_whole_files() {
    let user = User::new();
    let mut killed = 0;
    eventually("a keeper that was killed", || {
        let runs: Vec<Child> = (0..4)
            .map(|_| {
                user.command(&[], &["/bin/bash", "-c", "type ls"]).stdout(Stdio::null()).spawn().unwrap()
            })
            .collect();
        runs.into_iter().for_each(|mut run| assert!(run.wait().unwrap().success()));
        killed += keepers(&user).into_iter().filter(|&pid| kill(pid)).count();
        killed >= 3
    });
    eventually("whole files", || {
        assert!(user.run(&["/bin/bash", "-c", "type ls"]).status.success());
        user.files().len() >= 2
    });
    eventually("the end of all keepers", || keepers(&user).is_empty());
    let names: Vec<_> = fs::read_dir(user.folder()).unwrap().map(|e| e.unwrap().file_name()).collect();
    let own = |name: &str| name == "secret" || name.ends_with(".kept") || name == "unfinished";
    assert!(names.iter().all(|name| own(name.to_str().unwrap())), "{names:?}");
}

/// The keepers of this user's folder.
fn keepers(user: &User) -> Vec<i32> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let is = |pid: &i32| {
        fs::read_link(format!("/proc/{pid}/fd/3")).is_ok_and(|at| at == user.folder())
            && fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|name| name.starts_with(b"rxbox-keeper"))
    };
    numbers.filter(is).collect()
}

fn kill(pid: i32) -> bool {
    Command::new("/bin/kill").args(["-9", &pid.to_string()]).stderr(Stdio::null()).status().unwrap().success()
}
