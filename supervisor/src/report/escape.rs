//! Text of a hostile guest's choice, made harmless for a terminal or a log.

use std::fmt::{self, Write as _};

/// Bytes of a hostile guest's choice as one line of harmless text: letters, digits and printable ASCII stay,
/// everything else becomes `\xNN`, a backslash is doubled.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    ' '..='~' => f.write_char(c)?,
                    c if c.is_alphanumeric() => f.write_char(c)?,
                    c => hex(f, c.encode_utf8(&mut [0; 4]).as_bytes())?,
                }
            }
            hex(f, chunk.invalid())?;
        }
        Ok(())
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "\\x{b:02x}"))
}

/// A path or another text of the guest for a message.
pub fn shown(path: &[u8]) -> String {
    Escaped(path).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_reaches_the_terminal_as_control() {
        let hostile = b"/a\n\x1b[2J\x7f\xff\xc2\x9b\\ \xe2\x80\xae\xc3\xa4";
        assert_eq!(Escaped(hostile).to_string(), "/a\\x0a\\x1b[2J\\x7f\\xff\\xc2\\x9b\\\\ \\xe2\\x80\\xaeä");
    }
}
