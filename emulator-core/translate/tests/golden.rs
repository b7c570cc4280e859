//! Golden tests: guest code, its intermediate code before and after optimisation, and the host code, as text.
//!
//! Each file in `tests/golden` begins with a description, the guest pc and the guest bytes; the rest is what
//! the translator makes of them. `RXBOX_BLESS=1 cargo test -p rxbox-translate --test golden` writes the files
//! again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends by a panic")]

use rxbox_translate::decode::{decode, text};
use rxbox_translate::emit::{Code, Placement};
use rxbox_translate::frontend::Config;
use rxbox_translate::ir::{block::Block, verify::verify};
use rxbox_translate::state::Region;
use rxbox_translate::{Stages, Translator};
use std::fmt::Write;
use std::path::Path;

struct Texts<'a> {
    code: &'a [u8],
    built: String,
    optimised: String,
}

impl Texts<'_> {
    fn block(&self, block: &Block) -> String {
        assert_eq!(verify(block), Ok(()));
        block.text(|i| {
            let (at, _) = block.insns[i];
            text(&self.code[at as usize..], block.pc + u64::from(at))
        })
    }
}

impl Stages for Texts<'_> {
    fn built(&mut self, block: &Block) {
        self.built = self.block(block);
    }
    fn optimised(&mut self, block: &Block) {
        self.optimised = self.block(block);
    }
}

fn disassemble(at: u64, code: &[u8]) -> String {
    let mut out = String::new();
    let mut offset = 0;
    while offset < code.len() {
        let rest = &code[offset..];
        let (n, line) = match decode(rest) {
            Ok(insn) => (insn.len as usize, text(rest, at + offset as u64)),
            Err(_) => (1, format!(".byte {:#04x}", rest[0])),
        };
        let _ = writeln!(out, " {:#x}: {line}", at + offset as u64);
        offset += n;
    }
    out
}

fn marks(code: &Code) -> String {
    code.marks.iter().fold(String::new(), |mut out, m| {
        let _ = writeln!(out, " +{:#x}: pc={:x?} borrowed={:#04x}", m.at, m.pc, m.borrowed);
        out
    })
}

fn render(header: &str) -> String {
    let field = |name: &str| {
        let line =
            header.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_else(|| panic!("no {name} line"));
        line.trim().to_string()
    };
    let pc = u64::from_str_radix(field("pc:").trim_start_matches("0x"), 16).unwrap();
    let code: Vec<u8> =
        field("bytes:").split_whitespace().map(|b| u8::from_str_radix(b, 16).unwrap()).collect();
    let indirect = header.lines().any(|l| l.trim() == "indirect");
    let at = Placement {
        region: Region::LOWEST,
        hot: Region::LOWEST.code(),
        cold: Region::LOWEST.code() + 0x1000,
        first_exit: 2,
        indirect_entry: indirect,
    };
    let mut texts = Texts { code: &code, built: String::new(), optimised: String::new() };
    let mut translator = Translator::default();
    let (len, out) = translator.translate(pc, &code, &Config::default(), at, &mut texts).unwrap();
    let guest = disassemble(pc, &code[..code.len().min(len as usize)]);
    let host = disassemble(at.hot, &out.hot);
    let same = if texts.built == texts.optimised { " (same)\n".into() } else { texts.optimised };
    format!(
        "{header}---- guest\n{guest}---- intermediate\n{}---- optimised\n{same}---- host\n{host}---- state \
            recovery\n{}",
        texts.built,
        marks(out)
    )
}

#[test]
fn translations_are_as_the_golden_files_say() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let bless = std::env::var_os("RXBOX_BLESS").is_some();
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 15, "golden files are missing");
    let mut wrong = Vec::new();
    for file in files {
        let want = std::fs::read_to_string(&file).unwrap();
        let header = want.split("---- guest").next().unwrap();
        let got = render(header);
        if bless {
            std::fs::write(&file, got).unwrap();
        } else if got != want {
            wrong.push(format!("{}\n--- want\n{want}\n--- got\n{got}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
