//! Copy on write: what a run changes in an overlay the host sees only once it is applied.
//!
//! Everything that a user does holds twice where the tests run as root: as root, and as a user that mounts in
//! a user namespace. Where the host offers that to neither, the run is refused and says so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use rxbox_tests::{Scratch, guest, rxbox};
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const NOBODY: u32 = 65534;

/// A folder to be overlaid, and one for what is kept.
struct Field {
    scratch: Scratch,
    unprivileged: bool,
}

impl Field {
    fn new(unprivileged: bool) -> Field {
        let field = Field { scratch: Scratch::new("overlay"), unprivileged };
        for name in ["w", "state", "home", "elsewhere"] {
            field.native(&format!("mkdir {name}"));
        }
        field
    }

    fn at(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// A command in the scratch folder, as the field's user.
    fn command(&self, program: &Path) -> Command {
        if self.unprivileged {
            let path = std::ffi::CString::new(self.scratch.path().to_str().unwrap()).unwrap();
            std::os::unix::fs::chown(path.to_str().unwrap(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let mut command = Command::new(program);
        command.current_dir(self.scratch.path()).stdin(Stdio::null());
        command.env("XDG_STATE_HOME", self.at("state")).env("HOME", self.at("home"));
        command.env("XDG_RUNTIME_DIR", self.at("home"));
        for name in ["GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"] {
            command.env(name, "2020-01-01T00:00:00Z");
        }
        if self.unprivileged {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// A script of the shell's, outside.
    fn native(&self, script: &str) {
        let ran = self
            .command(Path::new("/bin/sh"))
            .args(["-c", &format!("umask 022; {script}")])
            .output()
            .unwrap();
        assert!(ran.status.success(), "{script}: {}", text(&ran.stderr));
    }

    /// The same in rxbox, with `w` as the working directory and the one place that it may write.
    fn run(&self, options: &[&str], script: &str) -> Output {
        let mut command = self.command(rxbox());
        command.current_dir(self.at("w")).args(options).arg("--allow-write").arg(self.at("w"));
        command.arg("--allow-exec").arg(self.at("w")).args(["--pass-env", "GIT_*"]);
        command.args(["--", "/bin/sh", "-c", &format!("umask 022; {script}")]);
        command.output().unwrap()
    }

    fn tried(&self, script: &str) -> Output {
        let ran = self.run(&["--try"], script);
        assert!(ran.status.success(), "{script}: {}{}", text(&ran.stdout), text(&ran.stderr));
        ran
    }

    /// `rxbox changes`.
    fn changes(&self, words: &[&str]) -> Output {
        self.command(rxbox()).current_dir(self.at("w")).arg("changes").args(words).output().unwrap()
    }

    fn done(&self, words: &[&str]) -> String {
        let ran = self.changes(words);
        assert!(ran.status.success(), "{words:?}: {}{}", text(&ran.stdout), text(&ran.stderr));
        text(&ran.stdout).replace(self.scratch.path().to_str().unwrap(), "")
    }

    /// How many runs are kept.
    fn kept(&self) -> usize {
        fs::read_dir(self.at("state/rxbox/changes")).map_or(0, Iterator::count)
    }

    /// The upper directory of the one run that is kept.
    fn upper(&self) -> PathBuf {
        let run = fs::read_dir(self.at("state/rxbox/changes")).unwrap().next().unwrap().unwrap().path();
        let folder = fs::read_dir(run).unwrap().map(|entry| entry.unwrap().path()).find(|path| path.is_dir());
        folder.unwrap().join("upper")
    }

    fn tree(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        tree(&self.at("w"), Path::new(""), &mut found, &mut BTreeMap::new());
        found
    }
}

/// Kind, mode, owner, names of the same file, and contents or target of all below a folder.
fn tree(root: &Path, way: &Path, found: &mut BTreeMap<String, String>, files: &mut BTreeMap<u64, String>) {
    let mut names: Vec<_> = fs::read_dir(root.join(way)).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    for name in names {
        let way = way.join(name);
        let path = root.join(&way);
        let is = path.symlink_metadata().unwrap();
        let kind = is.file_type();
        let shown = way.to_string_lossy().into_owned();
        let first = files.entry(is.ino()).or_insert_with(|| shown.clone()).clone();
        let what = match () {
            () if kind.is_symlink() => format!("-> {}", fs::read_link(&path).unwrap().display()),
            () if kind.is_dir() => "directory".to_owned(),
            () if kind.is_fifo() => "fifo".to_owned(),
            () if kind.is_socket() => "socket".to_owned(),
            // It has the times of other files in it.
            () if shown.ends_with(".git/index") => "index".to_owned(),
            () => contents(&fs::read(&path).unwrap()),
        };
        let of = format!("{:o} {}:{} {first}", is.mode(), is.uid(), is.gid());
        found.insert(shown, format!("{of} {what}"));
        if kind.is_dir() {
            tree(root, &way, found, files);
        }
    }
}

fn contents(bytes: &[u8]) -> String {
    match bytes.len() {
        0..100 => format!("{:?}", String::from_utf8_lossy(bytes)),
        length => {
            let mut hasher = DefaultHasher::new();
            bytes.hash(&mut hasher);
            format!("{length} bytes, {:016x}", hasher.finish())
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// As whom everything is tried: as whoever runs the tests, and as nobody if that is root.
fn users() -> Vec<bool> {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let users = if root { vec![false, true] } else { vec![false] };
    users.into_iter().filter(|unprivileged| offered(*unprivileged)).collect()
}

/// Whether the host offers overlays to this user; a run that wants one says why not.
fn offered(unprivileged: bool) -> bool {
    let field = Field::new(unprivileged);
    let ran = field.run(&["--try"], ":");
    if !ran.status.success() {
        assert_eq!(ran.status.code(), Some(125), "{}", text(&ran.stderr));
        assert!(text(&ran.stderr).contains("cannot overlay"), "{}", text(&ran.stderr));
    }
    ran.status.success()
}

const TAR: &str = "tar xf a.tar && tar --sort=name --mtime=@0 -cf new.tar unpacked && rm -r gone";
const GIT: &str = "git -c user.name=a -c user.email=a@example.org commit -qam two && git mv f g && \
    git -c user.name=a -c user.email=a@example.org commit -qm three && git checkout -q -b other HEAD~1 && \
    git gc -q";
const SQLITE: &str =
    "sqlite3 data.db 'create table u(y); insert into u select x*2 from t; delete from t where x < 50;'";
const MAKE: &str = "make -s -j2 && ./hello > out && make -s clean-some";
const INSTALL: &str = "/usr/bin/python3 -c \"
import os, shutil, py_compile
os.makedirs('lib/site/pkg', exist_ok=True)
for n in range(50):
    open(f'lib/site/pkg/m{n}.py', 'w').write(f'x = {n}\\n')
os.replace('lib/site/pkg/m0.py', 'lib/site/pkg/__init__.py')
shutil.copytree('lib/site/pkg', 'lib/site/copy')
shutil.rmtree('lib/old')
os.rename('lib/site/copy', 'lib/old')
os.symlink('../lib/site', 'lib/link')
os.chmod('lib/site/pkg/m1.py', 0o755)
\"";

/// What each program finds in the folder before.
const BEFORE: [(&str, &str); 5] = [
    (
        "mkdir -p x/unpacked/deep; echo 1 > x/unpacked/deep/a; ln -s a x/unpacked/deep/l; ln \
            x/unpacked/deep/a x/unpacked/h; \
      mkdir -p w/gone/sub w/unpacked; tar --sort=name --mtime=@0 -cf w/a.tar -C x unpacked; echo 2 > \
      w/gone/sub/f; echo old > w/unpacked/h",
        TAR,
    ),
    (
        "cd w && git init -q && echo 1 > f && git add f && git -c user.name=a -c user.email=a@example.org \
            commit -qm one \
      && echo 2 >> f",
        GIT,
    ),
    (
        "cd w && sqlite3 data.db 'create table t(x); with recursive c(n) as (select 1 union all select n+1 \
            from c \
      where n < 200) insert into t select n from c;'",
        SQLITE,
    ),
    (
        "cd w && printf 'int main(){return 0;}' > hello.c && printf 'hello: hello.o\\n\\tcc -o hello \
            hello.o\\nhello.o: \
      hello.c\\n\\tcc -c hello.c\\nclean-some:\\n\\trm hello.o\\n' > Makefile",
        MAKE,
    ),
    ("cd w && mkdir -p lib/old/deep && echo x > lib/old/deep/x", INSTALL),
];

#[test]
fn the_host_is_left_as_it_was_and_applying_gives_what_the_program_gives_natively() {
    for unprivileged in users() {
        for (before, script) in BEFORE {
            let native = Field::new(unprivileged);
            native.native(before);
            native.native(&format!("cd w; {script}"));
            let field = Field::new(unprivileged);
            field.native(before);
            let at_first = field.tree();
            let ran = field.run(&["--try"], script);
            assert!(ran.status.success(), "{script}: {}", text(&ran.stderr));
            assert_eq!(field.tree(), at_first, "{script}");
            assert!(text(&ran.stderr).contains("what it changed is kept"), "{}", text(&ran.stderr));
            field.done(&["show"]);
            field.done(&["apply"]);
            let (applied, wanted) = (field.tree(), native.tree());
            for name in wanted.keys().chain(applied.keys()) {
                assert_eq!(applied.get(name), wanted.get(name), "{script}: {name}");
            }
            assert_eq!(field.kept(), 0, "{script}");
        }
    }
}

const CHANGE: &str = "chmod 711 .; printf 'one\\ntwo\\nTHREE\\n' > changed; rm removed; rm -r folder; mkdir \
    folder; echo x > folder/new; \
    chmod 700 modes; ln -s /etc/passwd link; mkfifo fifo; echo y > file-to-be; rm -f was-file; mkdir \
    was-file; \
    head -c 3 /dev/zero > binary; touch times; ln changed second";

fn prepared(unprivileged: bool) -> Field {
    let field = Field::new(unprivileged);
    field.native(
        "cd w; printf 'one\\ntwo\\nthree\\n' > changed; echo 1 > removed; mkdir -p folder/sub; echo 2 > \
            folder/old; \
         echo 3 > modes; echo 4 > was-file; echo 5 > binary; echo 6 > times; chmod 644 modes",
    );
    field
}

#[test]
fn what_has_changed_is_listed() {
    for unprivileged in users() {
        let field = prepared(unprivileged);
        field.tried(CHANGE);
        let expected = "\
sh-1: /bin/sh under untrusted
replaced /w/was-file/
mode     /w/  0755 -> 0711
changed  /w/binary  3 bytes
changed  /w/changed  14 bytes
    @@ -1,3 +1,3 @@
     one
     two
    -three
    +THREE
created  /w/fifo  (a FIFO)
created  /w/file-to-be  2 bytes
removed  /w/folder/old
created  /w/folder/new  2 bytes
removed  /w/folder/sub/
created  /w/link  -> /etc/passwd
mode     /w/modes  0644 -> 0700
removed  /w/removed
created  /w/second  14 bytes
mode     /w/times  (times only)
";
        let sorted = |text: &str| {
            let mut lines: Vec<_> = text.lines().skip(1).map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&field.done(&["show"])), sorted(expected));
        let listed = field.done(&[]);
        assert!(listed.contains("-1  over, 0m ago") && listed.contains(" in /w\n"), "{listed}");
    }
}

#[test]
fn some_of_it_can_be_applied_and_the_rest_is_kept() {
    for unprivileged in users() {
        let (field, native) = (prepared(unprivileged), prepared(unprivileged));
        native.native(&format!("cd w; {CHANGE}"));
        let name = text(&field.tried(CHANGE).stderr)
            .split('`')
            .nth(1)
            .unwrap()
            .rsplit(' ')
            .next()
            .unwrap()
            .to_owned();
        let told = field.done(&["apply", "folder/new", "link", "changed"]);
        assert!(told.starts_with("3 of the changes") && told.contains("the rest is kept"), "{told}");
        assert!(field.at("w/folder/old").exists() && field.at("w/removed").exists());
        assert_eq!(fs::read_to_string(field.at("w/folder/new")).unwrap(), "x\n");
        let rest = field.done(&["show", &name]);
        assert!(!rest.contains("folder/new") && !rest.contains("link"), "{rest}");
        assert!(rest.contains("removed  /w/folder/old") && rest.contains("removed  /w/folder/sub"), "{rest}");
        let none = field.changes(&["apply", "--name", &name, "nowhere"]);
        assert!(text(&none.stderr).contains("the run has changed nothing there"), "{}", text(&none.stderr));
        field.done(&["apply", "--name", &name]);
        let without_links = |tree: BTreeMap<String, String>| -> Vec<_> {
            // What is applied in two steps are two files.
            tree.into_iter().filter(|(name, _)| !["changed", "second"].contains(&name.as_str())).collect()
        };
        assert_eq!(without_links(field.tree()), without_links(native.tree()));
        assert_eq!(fs::read_to_string(field.at("w/second")).unwrap(), "one\ntwo\nTHREE\n");
        assert_eq!(field.kept(), 0);
    }
}

#[test]
fn discarding_leaves_nothing_and_a_run_that_changes_nothing_keeps_nothing() {
    for unprivileged in users() {
        let field = prepared(unprivileged);
        let before = field.tree();
        field.tried(&format!("{CHANGE}; mkdir -p a/b/c/d; chmod 0 a/b; chmod 0 a"));
        assert_eq!(field.kept(), 1);
        assert!(field.done(&["discard"]).contains("are discarded"));
        assert_eq!((field.kept(), field.tree()), (0, before.clone()));
        let ran = field.tried("cat changed > /dev/null; ls -l");
        assert!(!text(&ran.stderr).contains("is kept"), "{}", text(&ran.stderr));
        assert_eq!((field.kept(), field.tree()), (0, before));
        let none = field.changes(&["show"]);
        assert_eq!(
            (none.status.code(), text(&none.stderr)),
            (Some(125), "rxbox: no changes are kept\n".into())
        );
        assert_eq!(field.done(&[]), "no changes are kept\n");
    }
}

#[test]
fn what_the_host_has_changed_since_is_not_overwritten() {
    for unprivileged in users() {
        let field = prepared(unprivileged);
        field.tried("echo run > changed; rm -r folder; echo run > created; echo run > removed");
        field.native("cd w; echo host > changed; echo host > folder/sub/later; echo host > created");
        let before = field.tree();
        let refused = field.changes(&["apply"]);
        let told = text(&refused.stderr).replace(field.scratch.path().to_str().unwrap(), "");
        assert_eq!(
            told,
            "rxbox: nothing is applied, since the host's files have changed since the run began:\n  \
                /w/changed\n  \
             /w/created\n  /w/folder\n`--force` applies all the same; to leave them out, name what to apply\n"
        );
        assert_eq!((refused.status.code(), field.tree()), (Some(125), before));
        assert!(field.done(&["show"]).contains("/w/changed  4 bytes  (the host's has changed since)"));
        field.done(&["apply", "removed"]);
        assert_eq!(fs::read_to_string(field.at("w/removed")).unwrap(), "run\n");
        field.done(&["apply", "--force"]);
        assert_eq!(fs::read_to_string(field.at("w/changed")).unwrap(), "run\n");
        assert!(!field.at("w/folder").exists());
        assert_eq!(field.kept(), 0);
    }
}

/// What a guest can leave behind that is meant for whoever looks at it.
#[test]
fn what_a_hostile_guest_leaves_harms_nobody() {
    for unprivileged in users() {
        let field = Field::new(unprivileged);
        field.native(
            "echo secret > elsewhere/secret; mkdir elsewhere/folder w/real w/mixed; echo 3 > \
            w/mixed/kept; echo 4 > w/mixed/new; echo 1 > w/real/x",
        );
        let elsewhere = field.at("elsewhere").display().to_string();
        let bind = format!("unix:{}", field.at("w/sock").display());
        let ran = field.run(
            &["--try", "--allow-bind", &bind],
            &format!(
            "touch \"$(printf 'a\\nremoved  passwd\\033[2J\\377')\"; printf 'x\\033]0;owned\\007\\n' > text; \
             ln -s {elsewhere} way; ln -s {elsewhere}/secret file; cp /bin/true suid; chmod 6755 suid; \
             mkfifo fifo; \
             mkdir -m 1777 sticky; echo 2 > real/x; echo 5 > mixed/new; \
             /usr/bin/python3 -c \"
import os, socket
s = socket.socket(socket.AF_UNIX); s.bind('sock')
for name in ('user.overlay.opaque', 'user.overlay.redirect', 'trusted.overlay.redirect', \
'security.capability'):
    for file in ('text', 'mixed'):
        try: os.setxattr(file, name, b'y')
        except OSError: pass
os.setxattr('text', 'user.mine', b'kept')
d = 'deep'
try:
    while True: os.mkdir(d); os.chdir(d); d = 'n' * 200
except OSError: pass
\" && :"
        ),
        );
        assert!(ran.status.success(), "{}{}", text(&ran.stdout), text(&ran.stderr));
        // The guest's own chmod gives no file such bits.
        field.native(&format!("chmod 6755 {}/suid", field.upper().display()));
        let shown = field.changes(&["show"]);
        assert!(
            shown.stdout.iter().all(|byte| *byte == b'\n' || (b' '..=b'~').contains(byte) || *byte >= 0x80)
        );
        let told = text(&shown.stdout);
        assert!(told.contains("created  ") && told.contains("a\\x0aremoved  passwd\\x1b[2J\\xff"), "{told}");
        assert!(!told.contains("mixed/kept"), "{told}");
        assert!(
            told.contains("set-id bits are not applied") && told.contains("a socket, which is not applied")
        );
        // Somebody has put links where directories were.
        field.native("rm -r w/real; ln -s ../elsewhere/folder w/real");
        let refused = field.changes(&["apply"]);
        assert!(!refused.status.success());
        for words in [&["apply", "--force", "real/x"][..], &["apply", "--force"]] {
            field.changes(words);
            assert_eq!(fs::read_dir(field.at("elsewhere/folder")).unwrap().count(), 0, "{words:?}");
        }
        assert_eq!(fs::read_to_string(field.at("elsewhere/secret")).unwrap(), "secret\n");
        // With force the link itself makes room.
        assert_eq!(fs::read_to_string(field.at("w/real/x")).unwrap(), "2\n");
        let left = field.changes(&["apply"]);
        let left = text(&left.stdout) + &text(&left.stderr);
        assert!(left.contains("sock: a socket is not applied"), "{left}");
        assert_eq!(field.at("w/suid").metadata().unwrap().permissions().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_to_string(field.at("w/mixed/kept")).unwrap(), "3\n");
        assert!(field.at("w/sock").symlink_metadata().is_err());
        field.done(&["discard"]);
        assert_eq!(field.kept(), 0);
    }
}

/// What gets into the kept files in another way than through the run is not applied either.
#[test]
fn what_is_planted_in_the_kept_files_is_not_applied() {
    for unprivileged in users() {
        let field = Field::new(unprivileged);
        field.native("echo secret > elsewhere/secret; mkdir w/d");
        field.tried("echo x > d/x");
        let upper = field.upper();
        let elsewhere = field.at("elsewhere");
        let (upper, elsewhere) = (upper.display(), elsewhere.display());
        field.native(&format!(
            "cd {upper}; rm -r d; mkdir e; ln -s {elsewhere} d; ln -s {elsewhere}/secret e/f"
        ));
        field.done(&["apply", "--force"]);
        assert_eq!(fs::read_link(field.at("w/e/f")).unwrap(), field.at("elsewhere/secret"));
        assert_eq!(fs::read_link(field.at("w/d")).unwrap(), field.at("elsewhere"));
        assert_eq!(fs::read_to_string(field.at("elsewhere/secret")).unwrap(), "secret\n");
        // A name that the profile did not let it change.
        let only = field.at("w/e").display().to_string();
        let mut command = field.command(rxbox());
        command.current_dir(field.at("w")).args([
            "--try",
            "--allow-write",
            &only,
            "--",
            "/bin/sh",
            "-c",
            "echo 1 > e/1",
        ]);
        assert!(command.status().unwrap().success());
        let kept = field.at("state/rxbox/changes");
        let run = fs::read_dir(&kept).unwrap().next().unwrap().unwrap().path().join("run.json");
        let record = fs::read_to_string(&run).unwrap();
        let writable = record.find("\"writable\"").unwrap();
        fs::write(&run, format!("{}\"writable\":[]}}", &record[..writable])).unwrap();
        let refused = field.changes(&["apply"]);
        assert!(text(&refused.stderr).contains("did not let it change this"), "{}", text(&refused.stderr));
        assert!(!field.at("w/e/1").exists());
    }
}

#[test]
fn a_guest_reaches_neither_the_host_s_files_behind_an_overlay_nor_what_is_kept() {
    for unprivileged in users() {
        let field = Field::new(unprivileged);
        field.native("echo lower > w/f; mkdir w/sub");
        let state = field.at("state").display().to_string();
        for profile in ["untrusted", "permissive"] {
            let overlay = field.at("w").display().to_string();
            let script = format!(
                "echo upper > f; cat /proc/self/cwd/f {overlay}/sub/../f; cd sub; cat ../f; cd ..; \
                 cat /proc/self/root{overlay}/f; ls {state}/rxbox/changes && echo LISTED; \
                 echo x > {state}/rxbox/changes/x && echo WRITTEN; rmdir {overlay} && echo REMOVED; \
                 mv {overlay} {overlay}2 && echo MOVED; cat {state}/rxbox/changes/*/*/upper/f && echo READ; :"
            );
            let mut command = field.command(rxbox());
            command.current_dir(field.at("w")).args(["--profile", profile, "--overlay", &overlay]);
            let ran = command.args(["--", "/bin/sh", "-c", &script]).output().unwrap();
            assert_eq!(text(&ran.stdout), "upper\n".repeat(4), "{profile}: {}", text(&ran.stderr));
            assert_eq!(fs::read_to_string(field.at("w/f")).unwrap(), "lower\n");
            field.done(&["discard"]);
        }
    }
}

/// Guests that print what calls do, in an overlay: as natively.
#[test]
fn calls_do_in_an_overlay_what_they_do_natively() {
    for unprivileged in users() {
        for name in ["calls_files", "calls_folders", "calls_locks", "calls_memory"] {
            let field = Field::new(unprivileged);
            let program = guest(&field.scratch, name);
            fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
            let native = field.command(&program).current_dir(field.at("w")).output().unwrap();
            field.native("rm -rf w; mkdir w");
            let mut command = field.command(rxbox());
            command
                .current_dir(field.at("w"))
                .args(["--profile", "permissive", "--overlay"])
                .arg(field.at("w"));
            let boxed = command.arg("--").arg(&program).output().unwrap();
            let (native, told) = (text(&native.stdout), text(&boxed.stdout));
            let apart: Vec<_> = native.lines().zip(told.lines()).filter(|(a, b)| a != b).collect();
            assert!(native == told, "{name}: {apart:#?}\n{}", text(&boxed.stderr));
            assert_eq!(fs::read_dir(field.at("w")).unwrap().count(), 0, "{name}");
        }
    }
}

/// What is mounted in a place is overlaid, too, and not left out.
#[test]
fn what_is_mounted_in_an_overlaid_place_is_there() {
    for unprivileged in users() {
        let field = Field::new(unprivileged);
        let (w, program) = (field.at("w").display().to_string(), rxbox().display().to_string());
        let script = format!(
            "mkdir {w}/disk; mount -t tmpfs none {w}/disk && echo lower > {w}/disk/f && cd {w} && \
             {program} --try --allow-write {w} -- /bin/sh -c 'cat disk/f; echo upper > disk/f; cat disk/f; \
             echo 1 > g' \
             && cat {w}/disk/f && {program} changes show && {program} changes apply && cat {w}/disk/f"
        );
        let flags = if unprivileged { "-Urm" } else { "-m" };
        let ran = field
            .command(Path::new("/usr/bin/unshare"))
            .args([flags, "/bin/sh", "-c", &script])
            .output()
            .unwrap();
        let told = text(&ran.stdout);
        if unprivileged && !ran.status.success() && text(&ran.stderr).contains("cannot overlay") {
            continue;
        }
        assert!(told.starts_with("lower\nupper\nlower\n"), "{told}{}", text(&ran.stderr));
        assert!(told.contains(&format!("changed  {w}/disk/f")), "{told}");
        assert!(told.ends_with("applied\nupper\n"), "{told}{}", text(&ran.stderr));
    }
}

#[test]
fn where_nothing_can_be_mounted_the_run_is_refused_with_the_reason() {
    let field = Field::new(false);
    let refusing = guest(&field.scratch, "refusing");
    let mut command = field.command(&refusing);
    command.current_dir(field.at("w")).arg(libc::EPERM.to_string()).arg(libc::SYS_fsopen.to_string());
    let ran =
        command.arg("--").arg(rxbox()).args(["--overlay", ".", "--", "/bin/sh", "-c", "echo x > x"]).output();
    let ran = ran.unwrap();
    let told = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(125), "{told}");
    assert!(told.contains("cannot overlay /") && told.contains("`rxbox doctor`"), "{told}");
    assert!(!field.at("w/x").exists());
    assert_eq!(field.kept(), 0);
}

#[test]
fn what_is_kept_is_bounded_and_names_are_taken_once() {
    for unprivileged in users() {
        let field = Field::new(unprivileged);
        let named = |script: &str| field.run(&["--try", "--name", "mine"], script);
        let first = named("echo 1 > a");
        assert!(first.status.success(), "{unprivileged} {}", text(&first.stderr));
        for made in ["state/rxbox", "state/rxbox/changes", "state/rxbox/changes/mine"] {
            assert_eq!(field.at(made).metadata().unwrap().permissions().mode() & 0o7777, 0o700, "{made}");
        }
        let again = text(&named("echo 2 > a").stderr);
        assert!(again.contains("changes of a run called mine are kept already"), "{again}");
        field.native("for n in $(seq 31); do mkdir state/rxbox/changes/other-$n; done");
        let full = text(&field.run(&["--try"], "echo 3 > a").stderr);
        assert!(full.contains("the changes of 32 runs are kept"), "{full}");
        field.done(&["discard", "mine"]);
        let unknown = text(&field.changes(&["show", "mine"]).stderr);
        assert!(unknown.contains("no changes of a run called mine are kept"), "{unknown}");
    }
}
