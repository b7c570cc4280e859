//! Real programs, natively and in rxbox: equal output, exit status and files.
//!
//! Each runs under `permissive`, and under `untrusted` with the paths that it needs. A program that is not
//! installed fails its test: the README lists the packages.

use rxbox_tests::random::Random;
use rxbox_tests::same;
use std::path::Path;
use std::process::Command;

/// Some hundred kilobytes of text that compress, sort and count in interesting ways.
fn text() -> String {
    let mut out = String::new();
    let mut random = Random::new(1);
    for line in 0..6000 {
        for _ in 0..1 + line % 9 {
            out.push_str(random.pick(&["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]));
            out.push_str(&format!("{} ", random.below(1 << 14)));
        }
        out.push('\n');
    }
    out
}

/// A tree with folders, links, modes and a few files.
fn tree(dir: &Path) {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let at = |p: &str| dir.join(p);
    std::fs::create_dir_all(at("t/a/b/c")).unwrap();
    std::fs::write(at("t/one.txt"), "one\ntwo\nthree\n").unwrap();
    std::fs::write(at("t/a/two.txt"), text()).unwrap();
    std::fs::write(at("t/a/b/empty"), "").unwrap();
    std::fs::write(at("t/a/b/c/run.sh"), "#!/bin/sh\necho hi\n").unwrap();
    std::fs::set_permissions(at("t/a/b/c/run.sh"), std::fs::Permissions::from_mode(0o750)).unwrap();
    symlink("../one.txt", at("t/a/link")).unwrap();
    symlink("nowhere", at("t/dangling")).unwrap();
    std::fs::hard_link(at("t/one.txt"), at("t/a/hard")).unwrap();
}

/// The text with a fixed time of change, since gzip puts that in its output.
fn texts(dir: &Path) {
    std::fs::write(dir.join("text"), text()).unwrap();
    let file = std::fs::File::options().write(true).open(dir.join("text")).unwrap();
    file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(86400)).unwrap();
}

fn nothing(_: &Path) {}

/// Runs under both profiles. Under `untrusted` the program gets its folder for writing.
fn both(argv: &[&str], prepare: impl Fn(&Path) + Copy) {
    both_with_input(argv, prepare, b"");
}

fn both_with_input(argv: &[&str], prepare: impl Fn(&Path) + Copy, input: &[u8]) {
    same("permissive", &[], argv, prepare, input);
    same("untrusted", &["--allow-write", "{D}"], argv, prepare, input);
}

#[test]
fn true_ends_with_nothing() {
    both(&["/bin/true"], nothing);
}

#[test]
fn echo_prints_its_arguments() {
    both(&["/bin/echo", "a", "b c", ""], nothing);
}

#[test]
fn ls_lists_a_large_tree() {
    both(&["/bin/ls", "-laR", "/usr/share/doc"], nothing);
}

#[test]
fn find_walks_a_tree_with_times_and_sizes() {
    both(&["/usr/bin/find", "/usr/share/doc", "-printf", "%p %s %m %y %l\\n"], nothing);
    both(
        &["/usr/bin/find", "t", "-type", "l", "-print", "-o", "-name", "*.txt", "-size", "+1k", "-print"],
        tree,
    );
}

#[test]
fn cat_copies_input_and_files() {
    both_with_input(&["/bin/cat", "-", "text"], texts, b"from a pipe\n");
}

#[test]
fn sort_sorts() {
    both(&["/usr/bin/sort", "-k2", "-o", "sorted", "text"], texts);
    both(&["/usr/bin/sort", "-R", "--random-source=text", "text"], texts);
}

#[test]
fn grep_searches_a_tree() {
    both(&["/bin/grep", "-rnE", "(gamma[0-9]+ ){2}", "t"], tree);
    both(&["/bin/grep", "-rlP", "alpha(?=1)", "t"], tree);
}

#[test]
fn wc_counts() {
    both(&["/usr/bin/wc", "text"], texts);
}

#[test]
fn cp_copies_a_tree_with_links_modes_and_times() {
    both(&["/bin/cp", "-a", "t", "u"], tree);
}

#[test]
fn file_tools_change_the_tree_as_natively() {
    both(&["/bin/mv", "t/a", "t/z"], tree);
    both(&["/bin/rm", "-rv", "t/a"], tree);
    both(&["/bin/mkdir", "-pv", "x/y/z"], nothing);
    both(&["/bin/ln", "-sfn", "target", "t/dangling"], tree);
    both(&["/bin/chmod", "-Rv", "u=rwX,go=", "t"], tree);
    both(&["/usr/bin/touch", "-d", "2001-02-03 04:05:06.789", "t/new", "t/one.txt"], tree);
    both(&["/usr/bin/truncate", "-s", "12345", "t/one.txt"], tree);
    both(&["/usr/bin/stat", "-c", "%n %s %a %h %F %Y", "t/a/link", "t/one.txt"], |d| {
        tree(d);
        let file = std::fs::File::options().write(true).open(d.join("t/one.txt")).unwrap();
        let day = std::time::UNIX_EPOCH + std::time::Duration::from_secs(86400);
        file.set_modified(day).unwrap();
        assert!(
            Command::new("touch")
                .args(["-h", "-d", "@86400"])
                .arg(d.join("t/a/link"))
                .status()
                .unwrap()
                .success()
        );
    });
    both(&["/usr/bin/du", "-ab", "--apparent-size", "t"], tree);
    both(&["/usr/bin/realpath", "t/a/link", "t/../t/a/."], tree);
    both(&["/bin/dd", "if=text", "of=copy", "bs=1000", "skip=3", "count=77", "status=none"], texts);
    both(&["/usr/bin/tee", "a", "b"], nothing);
    both(&["/usr/bin/cmp", "text", "text"], texts);
}

#[test]
fn tar_packs_and_unpacks() {
    both(&["/bin/tar", "--sort=name", "--mtime=@0", "-cf", "t.tar", "t"], tree);
    both(&["/bin/tar", "-xpf", "t.tar", "--one-top-level=out"], |d| {
        tree(d);
        let done =
            Command::new("tar").current_dir(d).args(["--mtime=@0", "-cf", "t.tar", "t"]).status().unwrap();
        assert!(done.success());
    });
}

#[test]
fn compressors_make_the_same_bytes_and_undo_them() {
    for tool in ["gzip", "bzip2", "xz", "zstd"] {
        both(&[&format!("/usr/bin/{tool}"), "-k", "-9", "text"], texts);
        let packed = |d: &Path| {
            texts(d);
            let done = Command::new(tool).current_dir(d).args(["-q", "-k", "text"]).status().unwrap();
            assert!(done.success());
            std::fs::rename(d.join("text"), d.join("original")).unwrap();
            for end in ["gz", "bz2", "xz", "zst"] {
                let _ = std::fs::rename(d.join(format!("text.{end}")), d.join("packed"));
            }
        };
        both(&[&format!("/usr/bin/{tool}"), "-d", "-c", "packed"], packed);
    }
}

#[test]
fn digests_are_right() {
    both(&["/usr/bin/sha256sum", "text"], texts);
    both(&["/usr/bin/md5sum", "text"], texts);
    for digest in ["-sha256", "-sha512", "-sha3-256", "-blake2b512", "-md5"] {
        both(&["/usr/bin/openssl", "dgst", digest, "text"], texts);
    }
    both(
        &[
            "/usr/bin/openssl",
            "enc",
            "-aes-256-ctr",
            "-K",
            &"11".repeat(32),
            "-iv",
            &"22".repeat(16),
            "-in",
            "text",
            "-out",
            "enc",
        ],
        texts,
    );
}

#[test]
fn openssl_speed_measures_with_its_timer_signal() {
    // The figures differ from run to run; that it ends well and names the cipher is what counts.
    let scratch = rxbox_tests::Scratch::new("speed");
    let argv = ["/usr/bin/openssl", "speed", "-seconds", "1", "-bytes", "1024", "-evp", "aes-128-gcm"];
    let ran = rxbox_tests::Program::new(scratch.path(), &argv).boxed("untrusted");
    assert_eq!(ran.status, 0, "{}", ran.err());
    assert!(ran.out().contains("AES-128-GCM"), "{}", ran.out());
}

#[test]
fn sqlite_keeps_a_database_in_a_file() {
    let script = "create table t(a integer primary key, b text); \
        with recursive n(i) as (select 1 union all select i+1 from n where i<2000) insert into t select i, \
        hex(i*i) from n; \
        create index x on t(b); begin; update t set b='z'||b where a%7=0; commit; vacuum; \
        select count(*), sum(length(b)), min(b), max(b) from t; pragma integrity_check;";
    // Its own settings would be looked for in the home of the user database, and that be told.
    both(&["/usr/bin/sqlite3", "-batch", "-init", "/dev/null", "d.db", script], nothing);
}

#[test]
fn python_runs_its_libraries() {
    let script = "import \
        json,hashlib,re,sqlite3,decimal,zlib,math,collections,itertools,struct,datetime,random,os,\
        tempfile,threading\n\
        decimal.getcontext().prec=60\n\
        print(json.dumps({'a':[1,2.5,None,True],'b':{'c':'\\u00e4'}},sort_keys=True))\n\
        print(hashlib.sha256(b'x'*1000).hexdigest(), hashlib.blake2b(b'y').hexdigest()[:20])\n\
        print(re.sub(r'(\\w+) (\\w+)', r'\\2 \\1', 'hello world foo bar'))\n\
        print(decimal.Decimal(2).sqrt(), math.pi**20, 3**200, zlib.crc32(zlib.compress(b'abc'*999)))\n\
        c=sqlite3.connect('p.db'); c.execute('create table t(x)'); c.executemany('insert into t \
        values(?)',[(i,) for i in range(500)]); c.commit()\n\
        print(c.execute('select sum(x) from t').fetchone())\n\
        random.seed(7); print([random.random() for _ in range(5)])\n\
        print(sorted(os.listdir('/usr/share/zoneinfo'))[:5], os.getcwd()!='' , \
        os.path.exists('/nonexistent'))\n\
        r=[]; ts=[threading.Thread(target=lambda k=k: r.append(sum(range(k*1000)))) for k in range(8)]\n\
        [t.start() for t in ts]; [t.join() for t in ts]; print(sorted(r))\n\
        print(struct.pack('<dQ',1.5,7), datetime.date(2020,2,29).isoformat(), \
        list(itertools.permutations('abc'))[-1])\n";
    both(&["/usr/bin/python3", "-c", script], nothing);
}

#[test]
fn python_runs_unittest() {
    let script = "import unittest\nclass T(unittest.TestCase):\n  def test_a(self): \
        self.assertEqual(1+1,2)\n  \
        def test_b(self): self.assertRaises(ZeroDivisionError, lambda: 1/0)\n\
        r=unittest.TextTestRunner(stream=open('log','w')).run(\
        unittest.defaultTestLoader.loadTestsFromTestCase(T))\n\
        print(r.testsRun, r.wasSuccessful())\nimport os; os.remove('log')\n";
    both(&["/usr/bin/python3", "-c", script], nothing);
}

#[test]
fn perl_lua_gawk_and_bc_compute() {
    let perl = "my %h; for (1..20000) { $h{$_ % 97} += $_ * 1.5 } \
        print join(',', map { \"$_=$h{$_}\" } sort { $a <=> $b } keys %h), \"\\n\"; \
        my $s = 'abcabc' x 100; my $n = () = $s =~ /(?<=b)c(?=a)/g; print \"$n\\n\"; printf \"%.15g %s\\n\", \
        sin(1), sprintf('%b', 1000);";
    both(&["/usr/bin/perl", "-e", perl], nothing);
    let lua = "local t={} for i=1,20000 do t[i]=(i*7919)%10007 end table.sort(t) \
        print(t[1],t[10000],t[20000],#t) \
        print(string.format('%.14g', math.sin(1)), ('x'):rep(10), string.pack('<i4', 7):byte(1,-1)) \
        local c=coroutine.wrap(function() for i=1,3 do coroutine.yield(i) end end) print(c(),c(),c())";
    both(&["/usr/bin/lua5.4", "-e", lua], nothing);
    both(
        &[
            "/usr/bin/gawk",
            "{n+=NF; for(i=1;i<=NF;i++) c[substr($i,1,2)]++} END {for(k in c) print k, c[k] | \"cat 1>&2\"; \
                print n}",
            "/dev/null",
        ],
        texts,
    );
    both(
        &[
            "/usr/bin/gawk",
            "{n+=NF; s=s+length($0); gsub(/a/,\"b\"); h[NR%5]=$1} END {print n, s, h[0], sin(1), \
                strftime(\"%Y\", 0, 1)}",
            "text",
        ],
        texts,
    );
    both_with_input(
        &["/usr/bin/bc", "-l"],
        nothing,
        b"scale=200\n4*a(1)\ne(1)\n2^1000\nfor (i=0;i<200;i++) x=x+i^2\nx\n",
    );
}

#[test]
fn a_compiler_makes_the_same_assembly() {
    let cc1 = Command::new("gcc").arg("-print-prog-name=cc1").output().unwrap();
    let cc1 = String::from_utf8(cc1.stdout).unwrap();
    let source = |d: &Path| {
        let mut c = String::from("typedef unsigned long size_t; extern int printf(const char *, ...);\n");
        for i in 0..150 {
            c.push_str(&format!(
                "struct s{i} {{ int a; double b; char c[{}]; }};\nstatic int f{i}(struct s{i} *p, int n) {{ \
                    int r = {i}; \
                for (int i = 0; i < n; i++) {{ r += p[i].a * (int)p[i].b ^ p[i].c[i % {}]; switch (r % 7) {{ \
                case 0: r++; break; \
                case 1: r *= 3; break; case 2: r -= p->a; break; default: r ^= {i}; }} }} return r; }}\n\
                int g{i}(void *p) {{ return f{i}(p, {}) + printf(\"%d\", {i}); }}\n",
                i + 1,
                i + 1,
                i % 13
            ));
        }
        std::fs::write(d.join("big.c"), c).unwrap();
    };
    both(&[cc1.trim(), "-quiet", "-O2", "-o", "big.s", "big.c"], source);
}

#[test]
fn static_busybox_runs() {
    both(&["/bin/busybox", "sha1sum", "text"], texts);
    both(&["/bin/busybox", "awk", "{s+=NF} END {print s}", "text"], texts);
}

/// Compiles a C program natively, and runs it natively and in rxbox.
fn c_program(flags: &[&str], source: &str) {
    let prepare = |d: &Path| {
        std::fs::write(d.join("p.c"), source).unwrap();
        let done =
            Command::new("gcc").current_dir(d).args(["-O2", "-o", "p", "p.c"]).args(flags).status().unwrap();
        assert!(done.success(), "gcc {flags:?}");
        // The linker's output is not the same bytes twice everywhere; what counts is that rxbox leaves it
        // alone.
        std::fs::remove_file(d.join("p.c")).unwrap();
    };
    both(&["{D}/p", "one", "two"], prepare);
}

const HELLO: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <math.h>
#include <sys/auxv.h>
static int compare(const void *a, const void *b) { return *(int *)a - *(int *)b; }
int main(int argc, char **argv) {
    int v[100];
    for (int i = 0; i < 100; i++) v[i] = (i * 7919) % 101;
    qsort(v, 100, sizeof *v, compare);
    printf("%d %d %d %s %.17g %d\n",
           argc, v[0], v[99], argv[argc - 1], sqrt(2.0) * strlen(argv[1]), getauxval(AT_PAGESZ));
    char *p = malloc(1 << 22);
    memset(p, 7, 1 << 22);
    printf("%d\n", p[12345]);
    return fflush(stdout);
}
"#;

#[test]
fn c_programs_of_every_kind_of_image_run() {
    for flags in [
        &["-static", "-no-pie", "-lm"][..],
        &["-static-pie", "-fPIE", "-lm"],
        &["-no-pie", "-lm"],
        &["-pie", "-fPIE", "-lm"],
    ] {
        c_program(flags, HELLO);
    }
}

#[test]
fn a_rust_program_runs() {
    let source = "use std::collections::HashMap; fn main() { let mut m = HashMap::new(); \
        for i in 0..1000u64 { *m.entry(i * i % 37).or_insert(0u64) += i; } \
        let mut v: Vec<_> = m.into_iter().collect(); v.sort(); println!(\"{v:?}\"); \
        let t: Vec<_> = (0..4).map(|k| std::thread::spawn(move || (0..10_000u64).map(|x| x ^ \
        k).sum::<u64>())).collect(); \
        println!(\"{:?}\", t.into_iter().map(|t| t.join().unwrap()).collect::<Vec<_>>()); \
        std::panic::set_hook(Box::new(|_| ())); println!(\"{:?}\", std::panic::catch_unwind(|| { let v: \
        Vec<i32> = vec![]; v[std::env::args().count()] }).is_err()); }";
    let prepare = |d: &Path| {
        std::fs::write(d.join("p.rs"), source).unwrap();
        let done = Command::new("rustc").current_dir(d).args(["-O", "-o", "p", "p.rs"]).status().unwrap();
        assert!(done.success(), "rustc");
    };
    both(&["{D}/p"], prepare);
}

#[test]
fn scripts_run_with_their_interpreter() {
    use std::os::unix::fs::PermissionsExt;
    let prepare = |d: &Path| {
        std::fs::write(
            d.join("s.py"),
            "#!/usr/bin/python3 -B\nimport sys\nprint(sys.argv[1:], __file__ != '')\n",
        )
        .unwrap();
        std::fs::set_permissions(d.join("s.py"), std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    both(&["{D}/s.py", "a", "b"], prepare);
}
