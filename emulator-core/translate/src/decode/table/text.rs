//! What the compile-time readers of the table files share: cutting text, and refusing it.

/// Stops the compiler at a row that does not follow the notation.
#[expect(clippy::panic, reason = "only ever evaluated by the compiler")]
pub(super) const fn broken(what: &'static str) -> ! {
    panic!("{}", what)
}

/// What is before and after the first separator; all and nothing if there is none.
pub(super) const fn split(text: &'static [u8], separator: u8) -> (&'static [u8], &'static [u8]) {
    let mut i = 0;
    while i < text.len() {
        if text[i] == separator {
            let (head, tail) = text.split_at(i);
            return (head, tail.split_at(1).1);
        }
        i += 1;
    }
    (text, &[])
}

/// The next word and what follows it without leading blanks.
pub(super) const fn word(line: &'static [u8]) -> (&'static [u8], &'static [u8]) {
    let (word, mut rest) = split(line, b' ');
    while !rest.is_empty() && rest[0] == b' ' {
        rest = rest.split_at(1).1;
    }
    (word, rest)
}

/// The value of a decimal digit.
pub(super) const fn decimal(digit: u8) -> u32 {
    assert!(digit.is_ascii_digit(), "not a digit");
    (digit - b'0') as u32
}

/// The value of a hexadecimal digit.
pub(super) const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => broken("not a hexadecimal digit"),
    }
}
