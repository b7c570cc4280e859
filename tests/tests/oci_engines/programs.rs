//! Programs of this machine's packages in containers as Docker makes them by default, with its seccomp
//! profile and its capabilities: what they do is the same under runc and under rxbox.

use super::{Engines, error};
use rxbox_tests::containers::root_of;
use rxbox_tests::docker::Docker;
use rxbox_tests::{Scratch, eventually};
use std::fs;
use std::path::Path;
use std::process::Command;

const IMAGE: &str = "rxbox-programs:1";
/// What the image has, with the libraries of each.
const PROGRAMS: [&str; 18] = [
    "/bin/bash",
    "/usr/bin/cat",
    "/usr/bin/chown",
    "/usr/bin/curl",
    "/usr/bin/id",
    "/usr/bin/ls",
    "/usr/bin/mkdir",
    "/usr/bin/python3.11",
    "/usr/bin/redis-cli",
    "/usr/bin/redis-server",
    "/usr/bin/setpriv",
    "/usr/bin/tail",
    "/usr/lib/postgresql/15/bin/initdb",
    "/usr/lib/postgresql/15/bin/postgres",
    "/usr/lib/postgresql/15/bin/psql",
    "/usr/lib/python3.11/lib-dynload/_sqlite3.cpython-311-x86_64-linux-gnu.so",
    "/usr/lib/python3.11/lib-dynload/_ssl.cpython-311-x86_64-linux-gnu.so",
    "/usr/sbin/nginx",
];
/// Folders that they need.
const FOLDERS: [&str; 4] =
    ["usr/lib/python3.11", "usr/lib/postgresql/15/lib", "usr/share/postgresql/15", "usr/share/zoneinfo/Etc"];
/// What of these nobody needs here.
const LEFT_OUT: [&str; 4] = ["test", "__pycache__", "bitcode", "idlelib"];

const BASH: &str = r#"x=0; for i in {1..500}; do x=$((x + i)); done; echo $x; (exit 3) || echo $?
echo piped | cat | cat; id; trap "echo trapped" EXIT; exit 4"#;

const PYTHON: &str = r#"
import json, multiprocessing, os, signal, socket, sqlite3, ssl, subprocess, threading
print(json.dumps({"uid": os.getuid(), "cwd": os.getcwd(), "home": os.environ["HOME"]}))
print(subprocess.run(["id", "-u"], capture_output=True, text=True).stdout.strip())
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen()
thread = threading.Thread(target=lambda: listener.accept()[0].sendall(b"hello"))
thread.start()
print(socket.create_connection(listener.getsockname()).recv(9))
thread.join()
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(abs, [-1, -2, 3]))
print(sqlite3.connect("/tmp/db").execute("select 6 * 7").fetchall(), bool(ssl.OPENSSL_VERSION))
print([line for line in open("/proc/self/status") if line.startswith(("Cap", "Uid"))])
for call in (lambda: os.setuid(1000), lambda: os.setuid(0)):
    try:
        print(call())
    except OSError as e:
        print(e)
"#;

const NGINX: &str = r#"cat >/tmp/nginx.conf <<X
user www-data; daemon off; worker_processes 2; error_log stderr; pid /tmp/nginx.pid;
events {}
http { access_log off; client_body_temp_path /tmp/a; proxy_temp_path /tmp/b; fastcgi_temp_path /tmp/c;
uwsgi_temp_path /tmp/d; scgi_temp_path /tmp/e; server { listen 127.0.0.1:80;
location / { return 200 "served\n"; } location /file { alias /etc/passwd; } } }
X
mkdir -p /var/log/nginx /var/lib/nginx; exec nginx -c /tmp/nginx.conf"#;

const USERS_OF_NGINX: &str = r#"for p in /proc/[0-9]*; do read name <$p/comm; [ $name = nginx ] || continue
while read key user rest; do [ $key = Uid: ] && echo $name $user; done <$p/status; done; true"#;

const POSTGRES: &str = r#"export PATH=$PATH:/usr/lib/postgresql/15/bin
mkdir -p /var/lib/postgresql/data; chown postgres /var/lib/postgresql/data
as="setpriv --reuid=postgres --regid=postgres --clear-groups"
$as initdb -D /var/lib/postgresql/data -A trust --no-locale -E UTF8 --no-sync >/dev/null
exec $as postgres -D /var/lib/postgresql/data -k /tmp -c listen_addresses=127.0.0.1"#;

const TABLE: &str = "create table t as select generate_series(1, 1000) a; select sum(a) from t; \
    select current_user, count(*) from t where a % 7 = 0";

fn make_image(docker: &Docker) {
    let scratch = Scratch::new("programs");
    let root = scratch.path();
    root_of(root, &PROGRAMS);
    let left_out = LEFT_OUT.map(|name| format!("--exclude={name}"));
    let mut copy = Command::new("tar");
    copy.args(["-C", "/", "-c"]).args(left_out).args(FOLDERS).stdout(std::process::Stdio::piped());
    let mut copy = copy.spawn().expect("tar");
    let content = copy.stdout.take().expect("its output");
    let unpacked = Command::new("tar").arg("-C").arg(root).arg("-x").stdin(content).status();
    assert!(unpacked.expect("tar").success() && copy.wait().expect("tar").success());
    let users = [("root", 0, "/root"), ("www-data", 33, "/tmp"), ("postgres", 101, "/tmp")];
    let line = |form: &dyn Fn(&str, i32, &str) -> String| {
        users.iter().map(|(name, id, home)| form(name, *id, home)).collect::<String>()
    };
    let write = |name: &str, text| fs::write(root.join(name), text).expect("a file");
    write("etc/passwd", line(&|name, id, home| format!("{name}:x:{id}:{id}::{home}:/bin/sh\n")));
    write("etc/group", line(&|name, id, _| format!("{name}:x:{id}:\n")));
    let open = |path: &Path| Command::new("chmod").arg("1777").arg(path).status().expect("chmod");
    assert!(open(&root.join("tmp")).success());
    docker.import(root, IMAGE);
}

/// What is seen of a runtime.
struct Seen<'a> {
    docker: &'a Docker,
    runtime: &'a str,
    text: String,
}

impl Seen<'_> {
    /// What a command comes to is part of it.
    fn call(&mut self, words: &[&str]) {
        let output = self.docker.call(words);
        let (status, out) = super::told(&output);
        self.text += &format!("{words:?}: {status:?}\n{out}{}\n", error(&output));
    }

    fn run(&mut self, words: &[&str]) {
        let way = ["run", "--rm", "--network", "none"];
        let output = self.docker.call(&[&way[..], &["--runtime", self.runtime, IMAGE], words].concat());
        let (status, out) = super::told(&output);
        self.text += &format!("{words:?}: {status:?}\n{out}{}\n", error(&output));
    }

    /// Starts a server, and waits until this succeeds in its container.
    fn serve(&mut self, name: &str, words: &[&str], ready: &[&str]) {
        let way = ["run", "-d", "--name", name, "--network", "none", "--runtime", self.runtime, IMAGE];
        let started = self.docker.call(&[&way[..], words].concat());
        assert!(started.status.success(), "{}: {}", self.runtime, error(&started));
        let answers = || self.docker.call(&[&["exec", name], ready].concat()).status.success();
        eventually(&format!("{name} in {}", self.runtime), answers);
    }

    fn end(&mut self, name: &str, signal: &str) {
        self.call(&["kill", "-s", signal, name]);
        self.call(&["wait", name]);
        self.call(&["rm", "-f", name]);
    }
}

/// What all the programs do.
fn seen(docker: &Docker, runtime: &str) -> String {
    let mut seen = Seen { docker, runtime, text: String::new() };
    seen.run(&["bash", "-c", BASH]);
    seen.run(&["python3.11", "-c", PYTHON]);
    seen.serve("nginx", &["bash", "-c", NGINX], &["curl", "-s", "http://127.0.0.1/"]);
    seen.call(&["exec", "nginx", "curl", "-s", "http://127.0.0.1/", "http://127.0.0.1/file"]);
    seen.call(&["exec", "nginx", "bash", "-c", USERS_OF_NGINX]);
    seen.end("nginx", "QUIT");
    seen.serve("redis", &["redis-server", "--save", "", "--dir", "/tmp"], &["redis-cli", "ping"]);
    for words in ["set key 5", "incr key", "eval return(redis.call('get','key')) 0", "save"] {
        let words: Vec<_> = ["exec", "redis", "redis-cli"].into_iter().chain(words.split(' ')).collect();
        seen.call(&words);
    }
    seen.call(&["exec", "redis", "ls", "/tmp"]);
    seen.end("redis", "TERM");
    let psql = ["/usr/lib/postgresql/15/bin/psql", "-U", "postgres", "-h"];
    seen.serve(
        "postgres",
        &["bash", "-c", POSTGRES],
        &[&psql[..], &["127.0.0.1", "-Atc", "select 1"]].concat(),
    );
    let exec = ["exec", "-u", "postgres", "postgres"];
    seen.call(&[&exec, &psql[..], &["/tmp", "-Atc", TABLE]].concat());
    seen.call(&[&exec[..], &["ls", "/var/lib/postgresql/data/global/pg_control"]].concat());
    seen.end("postgres", "INT");
    seen.text
}

pub(super) fn programs_of_packages_do_their_work(engines: &Engines) {
    make_image(&engines.docker);
    let native = seen(&engines.docker, "runc");
    for did in ["125250", "[1, 2, 3]", "served", "nginx 33", "dump.rdb", "500500", "postgres|142"] {
        assert!(native.contains(did), "{did}: {native}");
    }
    assert_eq!(seen(&engines.docker, "rxbox"), native);
}
