//! Private places: a folder of the run's own in place of a directory of the host's.
//!
//! Everything holds twice: for a tmpfs, and where the host lets nobody mount one, for a directory.

use rxbox_tests::{Scratch, eventually, guest, processes, rxbox};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A directory on one file system that is to be private, one on another that is not, and the guest beside it.
struct Field {
    place: PathBuf,
    scratch: Scratch,
}

impl Field {
    fn new() -> Field {
        let scratch = Scratch::new("private");
        guest(&scratch, "private");
        guest(&scratch, "refusing");
        fs::create_dir(scratch.path().join("out")).expect("a folder");
        fs::create_dir(scratch.path().join("temporary")).expect("a folder");
        let place = Path::new("/dev/shm").join(scratch.path().file_name().expect("a name"));
        fs::create_dir(&place).expect("a folder");
        Field { place, scratch }
    }

    fn at(&self, name: &str) -> String {
        self.scratch.path().join(name).to_string_lossy().into_owned()
    }

    fn place(&self) -> &str {
        self.place.to_str().expect("plain")
    }

    /// rxbox with the private place, perhaps where nothing can be mounted.
    fn rxbox(&self, profile: &str, mounts: bool) -> Command {
        let mut command = Command::new(self.at("refusing"));
        command.arg(libc::EPERM.to_string());
        if !mounts {
            command.arg(libc::SYS_fsopen.to_string());
        }
        command.arg("--").arg(rxbox()).args(["--profile", profile, "--private", self.place()]);
        command.args(["--allow-write", &self.at("out")]);
        command.current_dir(self.at("out")).env("TMPDIR", self.at("temporary"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn guest(&self, mut command: Command, more: &[&str]) -> Output {
        command.arg("--").arg(self.at("private")).args([self.place(), &self.at("out")]).args(more);
        command.output().expect("it runs")
    }

    /// What directories for temporary files rxbox has left.
    fn left(&self) -> usize {
        fs::read_dir(self.at("temporary")).expect("a folder").count()
    }
}

impl Drop for Field {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.place);
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn programs_find_in_it_what_they_find_in_an_empty_folder() {
    let field = Field::new();
    let native = Command::new(field.at("private")).args([field.place(), &field.at("out")]).output();
    let native = text(&native.expect("it runs").stdout);
    for mounts in [true, false] {
        for profile in ["base", "untrusted", "permissive"] {
            fs::remove_dir_all(&field.place).expect("it is there");
            fs::create_dir(&field.place).expect("a folder");
            fs::write(field.place.join("of-the-host"), "x").expect("a file");
            let _ = fs::remove_file(field.at("out/other"));
            let boxed = field.guest(field.rxbox(profile, mounts), &[]);
            let told = text(&boxed.stdout);
            assert!(
                native == told,
                "{profile} {mounts}\n{native}\n--- rxbox\n{told}\n{}",
                text(&boxed.stderr)
            );
            let names: Vec<_> = fs::read_dir(&field.place).expect("a folder").flatten().collect();
            assert_eq!(names.len(), 1, "nothing is made in the host's");
            assert_eq!(field.left(), 0);
        }
    }
}

#[test]
fn nothing_gets_from_it_to_what_the_host_has_there() {
    for mounts in [true, false] {
        for profile in ["base", "untrusted"] {
            let field = Field::new();
            fs::create_dir_all(field.place.join("shown/deep")).expect("folders");
            fs::write(field.place.join("shown/file"), "readable").expect("a file");
            fs::write(field.place.join("secret"), "top secret").expect("a file");
            let native = Command::new(field.at("private"))
                .args([field.place(), &field.at("out"), "out"])
                .stdin(fs::File::open(field.place.join("secret")).expect("a file"))
                .output();
            let native = text(&native.expect("it runs").stdout);
            assert!(native.matches("ESCAPED").count() > 15, "{native}");
            let field = Field::new();
            fs::create_dir_all(field.place.join("shown/deep")).expect("folders");
            fs::write(field.place.join("shown/file"), "readable").expect("a file");
            fs::write(field.place.join("secret"), "top secret").expect("a file");
            let mut command = field.rxbox(profile, mounts);
            command.args(["--allow-read", field.place.join("shown").to_str().expect("plain")]);
            command.stdin(fs::File::open(field.place.join("secret")).expect("a file"));
            let boxed = field.guest(command, &["out"]);
            let told = text(&boxed.stdout);
            assert!(!told.contains("ESCAPED"), "{profile} {mounts}: {told}{}", text(&boxed.stderr));
            assert!(told.matches("held").count() > 25, "{told}{}", text(&boxed.stderr));
            assert!(told.contains("listed: . .. link shown\n"), "{told}");
            let secret = field.place.join("secret").metadata().expect("it is there");
            assert_eq!(secret.permissions().mode() & 0o777, 0o644);
        }
    }
}

#[test]
fn it_is_gone_when_everything_is_killed() {
    for mounts in [true, false] {
        let field = Field::new();
        let mut command = field.rxbox("base", mounts);
        let script = format!("mkdir -p {0}/a/b; chmod 0 {0}/a; echo ready; exec sleep 1000", field.place());
        let mut child = command.args(["--", "/bin/sh", "-c", &script]).spawn().expect("it runs");
        let mut out = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).expect("it is ready");
        assert_eq!((line.as_str(), field.left()), ("ready\n", usize::from(!mounts)));
        let job = child.id() as i32;
        processes::kill(&[vec![job], processes::below(job)].concat());
        child.wait().expect("it ends");
        // Only this user can look into what is left, and the next run removes it.
        for left in fs::read_dir(field.at("temporary")).expect("a folder").flatten() {
            assert_eq!(left.metadata().expect("it is there").permissions().mode() & 0o777, 0o700);
        }
        eventually("the next run sweeps", || {
            let ran = field.rxbox("base", mounts).args(["--", "/bin/true"]).output().expect("it runs");
            assert!(ran.status.success(), "{}", text(&ran.stderr));
            field.left() == 0
        });
    }
}

#[test]
fn what_is_in_it_counts_as_memory() {
    let field = Field::new();
    let mut command = field.rxbox("base", true);
    let script = format!("head -c 100M /dev/zero > {}/x; echo done", field.place());
    let ran =
        command.args(["--limit", "memory=64M", "--", "/bin/sh", "-c", &script]).output().expect("it runs");
    assert_ne!(text(&ran.stdout), "done\n", "{}", text(&ran.stderr));
    let told = text(&ran.stderr);
    assert!(told.contains("No space left on device") || told.contains("memory"), "{told}");
}
