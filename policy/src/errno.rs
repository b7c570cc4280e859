//! Names of error numbers: profiles write them, denials show them.

use rxbox_wire::names;

pub(crate) const EPERM: i32 = 1;
pub(crate) const ENOENT: i32 = 2;
pub(crate) const EACCES: i32 = 13;
pub(crate) const EBUSY: i32 = 16;
pub(crate) const EXDEV: i32 = 18;
pub(crate) const EPROTONOSUPPORT: i32 = 93;
pub(crate) const EAFNOSUPPORT: i32 = 97;

/// The kernel's own bound of error numbers (`MAX_ERRNO`).
const MAX: i32 = 4095;

/// The name of an errno (positive), e.g. `EACCES` for 13.
pub(crate) fn name(number: i32) -> Option<&'static str> {
    names::errno(number).map(|(name, _)| name)
}

/// The errno (positive) of a name.
pub(crate) fn number(name: &str) -> Option<i32> {
    (1..=MAX).find(|n| self::name(*n) == Some(name))
}

/// All names, ascending by number.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    (1..=MAX).filter_map(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_constants_agree_with_the_names() {
        let constants = [EPERM, ENOENT, EACCES, EBUSY, EXDEV, EPROTONOSUPPORT, EAFNOSUPPORT];
        let names = ["EPERM", "ENOENT", "EACCES", "EBUSY", "EXDEV", "EPROTONOSUPPORT", "EAFNOSUPPORT"];
        assert_eq!(constants.map(|n| name(n).unwrap()), names);
        assert_eq!(names.map(|n| number(n).unwrap()), constants);
        assert_eq!(number("ENOSUCH"), None);
    }
}
