//! Scripts: files whose first line names the program that runs them (execve(2), "Interpreter scripts").

use super::error::LoadError;

/// Bytes of a file that Linux looks at for the `#!` line.
pub const HEAD_LEN: usize = 256;
/// Interpreters that can stand before a program: at the sixth, execve(2) gives up.
pub const MAX_DEPTH: usize = 5;

/// A `#!` line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Script {
    /// The program to run.
    pub interpreter: Vec<u8>,
    /// Its one argument: the whole rest of the line.
    pub argument: Option<Vec<u8>>,
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Reads the `#!` line from the first [`HEAD_LEN`] bytes of a file, or fewer if the file has fewer; `None` if
/// it is no script.
///
/// # Errors
/// [`LoadError::BadScript`] if no interpreter is named, or if its name may be cut off by the limit.
pub fn parse(head: &[u8]) -> Result<Option<Script>, LoadError> {
    let Some(rest) = head.strip_prefix(b"#!") else { return Ok(None) };
    // The kernel's buffer is filled up with zeroes, and of a line without an end its last byte is not used.
    let window = &rest[..rest.len().min(HEAD_LEN - 2)];
    let newline = window.iter().position(|&byte| byte == b'\n');
    let line = &window[..newline.unwrap_or(window.len().min(HEAD_LEN - 3))];
    let start = line.iter().position(|byte| !is_blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !is_blank(byte)).map_or(start, |last| last + 1);
    let ends_name = |byte: &u8| is_blank(byte) || *byte == 0;
    if newline.is_none() && head.len() >= HEAD_LEN && !window[start..].iter().any(ends_name) {
        return Err(LoadError::BadScript("the interpreter's path is too long"));
    }
    let line = &line[start..end];
    let name_len = line.iter().position(ends_name).unwrap_or(line.len());
    if name_len == 0 {
        return Err(LoadError::BadScript("no interpreter is named"));
    }
    let (name, rest) = line.split_at(name_len);
    // What follows a NUL is invisible to the kernel's string functions.
    let visible = if rest.first() == Some(&0) { &[] } else { rest };
    let blanks = visible.iter().take_while(|byte| is_blank(byte)).count();
    let argument = visible[blanks..].split(|&byte| byte == 0).next().filter(|argument| !argument.is_empty());
    Ok(Some(Script { interpreter: name.to_vec(), argument: argument.map(<[u8]>::to_vec) }))
}

impl Script {
    /// The arguments with which the interpreter runs the script at `path` instead of `argv`: its own name,
    /// the argument of the line, the script's path in place of `argv[0]`, the rest.
    pub fn arguments(&self, path: &[u8], argv: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let own = std::iter::once(self.interpreter.clone()).chain(self.argument.clone());
        own.chain([path.to_vec()]).chain(argv.iter().skip(1).cloned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(interpreter: &str, argument: Option<&str>) -> Result<Option<Script>, LoadError> {
        let argument = argument.map(|text| text.as_bytes().to_vec());
        Ok(Some(Script { interpreter: interpreter.as_bytes().to_vec(), argument }))
    }

    #[test]
    fn a_line_names_an_interpreter_and_at_most_one_argument() {
        assert_eq!(parse(b"#!/bin/sh\necho"), script("/bin/sh", None));
        assert_eq!(parse(b"#! \t/bin/sh  \t\n"), script("/bin/sh", None));
        assert_eq!(parse(b"#!/usr/bin/env  -S a b \t\nx"), script("/usr/bin/env", Some("-S a b")));
        assert_eq!(parse(b"#!/bin/sh"), script("/bin/sh", None));
        assert_eq!(parse(b"#!/bin/sh\r\n"), script("/bin/sh\r", None));
        assert_eq!(parse(b"#!sh -e\0f\n"), script("sh", Some("-e")));
        assert_eq!(parse(b"#!sh\0 -e\n"), script("sh", None));
    }

    #[test]
    fn what_is_no_script_is_not_taken_for_one() {
        for head in [&b""[..], b"#", b" #!/bin/sh\n", b"\x7fELF"] {
            assert_eq!(parse(head), Ok(None));
        }
    }

    #[test]
    fn a_line_without_an_interpreter_is_an_error() {
        for head in [
            &b"#!"[..],
            b"#!\n/bin/sh",
            b"#! \t \n",
            b"#!   ",
            b"#!\0",
            &[b"#!", [b' '; 300].as_slice()].concat(),
        ] {
            assert!(matches!(parse(head), Err(LoadError::BadScript(_))), "{head:?}");
        }
    }

    #[test]
    fn a_name_that_may_be_cut_off_is_an_error_and_a_cut_argument_is_not() {
        let line =
            |name: usize, rest: &[u8]| [b"#!", vec![b'n'; name].as_slice(), rest, &[b'x'; 300]].concat();
        let head = |bytes: Vec<u8>| bytes[..HEAD_LEN].to_vec();
        assert!(matches!(parse(&head(line(254, b""))), Err(LoadError::BadScript(_))));
        for end in [b"\n", b" ", b"\0"] {
            assert_eq!(parse(&head(line(253, end))).unwrap().unwrap().interpreter.len(), 253);
        }
        let cut = parse(&head(line(100, b" "))).unwrap().unwrap();
        assert_eq!((cut.interpreter.len(), cut.argument.unwrap().len()), (100, 152));
    }

    #[test]
    fn the_script_takes_the_place_of_the_first_argument() {
        let argv = [b"./s".to_vec(), b"a".to_vec()];
        let with = parse(b"#!i -x\n").unwrap().unwrap();
        assert_eq!(with.arguments(b"/p/s", &argv), [&b"i"[..], b"-x", b"/p/s", b"a"]);
        let without = parse(b"#!i\n").unwrap().unwrap();
        assert_eq!(without.arguments(b"/p/s", &[]), [&b"i"[..], b"/p/s"]);
    }
}
