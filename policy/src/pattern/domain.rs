//! Names of hosts, and `*.` in front of one for all names below it.
//!
//! Names are compared in one form: that of the wire (IDNA as UTS 46 has it), in lower case, without the dot
//! at the end. So a rule speaks of the same host however it, or the program that asks, writes the name.

/// A pattern of names: one, or all that lie below one, at any depth, without that itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Domain {
    name: Box<str>,
    below: bool,
}

/// Why a text is no name of a host.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DomainError {
    #[error("`{0}` is no name of a host")]
    Form(String),
    #[error("`*` stands for whole names in front of a dot: `*.example.org`")]
    Wildcard,
}

/// Most bytes of a name, and of one of its labels (RFC 1035, 2.3.4).
const NAME_MAX: usize = 253;
const LABEL_MAX: usize = 63;

impl Domain {
    /// Parses a pattern.
    pub(crate) fn parse(text: &str) -> Result<Self, DomainError> {
        let (name, below) = text.strip_prefix("*.").map_or((text, false), |name| (name, true));
        if name.contains('*') {
            return Err(DomainError::Wildcard);
        }
        let name = canonical(name).ok_or_else(|| DomainError::Form(text.to_owned()))?;
        Ok(Self { name: name.into(), below })
    }

    /// Whether it means this name, which is canonical.
    pub(crate) fn matches(&self, name: &str) -> bool {
        if !self.below {
            return *self.name == *name;
        }
        name.strip_suffix(&*self.name).is_some_and(|front| front.len() > 1 && front.ends_with('.'))
    }

    /// A name that it means.
    pub(crate) fn sample(&self) -> String {
        if self.below { format!("any.{}", self.name) } else { self.name.to_string() }
    }

    /// Whether it means all names below one of the top, as `*.org`.
    pub(crate) fn is_wide(&self) -> bool {
        self.below && !self.name.contains('.')
    }

    /// Whether the name begins with one that this means, as one does to which a list of domains to search
    /// (resolv.conf(5)) was added.
    pub(crate) fn begins(&self, name: &str) -> bool {
        let ends = name.match_indices('.').map(|(at, _)| &name[..at]);
        let mut ends = ends.filter(|front| front.contains('.'));
        ends.any(|front| self.matches(front))
    }
}

/// The form in which a name is compared; nothing if it is no name of a host.
pub fn canonical(name: &str) -> Option<String> {
    let name = if name.is_ascii() { name.to_ascii_lowercase() } else { idna::domain_to_ascii(name).ok()? };
    let name = name.strip_suffix('.').unwrap_or(&name);
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    let label = |label: &str| (1..=LABEL_MAX).contains(&label.len()) && label.bytes().all(known);
    let is_number =
        name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    (name.len() <= NAME_MAX && name.split('.').all(label) && !is_number).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form_however_it_is_written() {
        for (text, form) in [
            ("API.Example.ORG", Some("api.example.org")),
            ("api.example.org.", Some("api.example.org")),
            ("Bücher.example", Some("xn--bcher-kva.example")),
            ("bu\u{308}cher。example", Some("xn--bcher-kva.example")),
            ("_srv.a-b.example", Some("_srv.a-b.example")),
            ("host", Some("host")),
            ("192.0.2.1", None),
            ("1", None),
            ("a..b", None),
            ("", None),
            (".", None),
            ("a b.example", None),
            ("a/b", None),
        ] {
            assert_eq!(canonical(text).as_deref(), form, "{text}");
        }
        assert_eq!(canonical(&"a".repeat(64)), None);
        assert_eq!(canonical(&vec!["a".repeat(63); 4].join(".")), None);
    }

    #[test]
    fn a_wildcard_means_what_lies_below_and_not_the_name_itself() {
        let below = Domain::parse("*.Example.net.").unwrap();
        assert!(below.matches("a.example.net") && below.matches("a.b.example.net"));
        for other in ["example.net", "xexample.net", ".example.net", "a.example.net.org", "net"] {
            assert!(!below.matches(other), "{other}");
        }
        assert!(Domain::parse("*.net").unwrap().is_wide() && !below.is_wide());
        for wrong in ["*", "a.*.example.net", "*a.example.net", "*.*.net"] {
            assert!(Domain::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_name_to_which_a_domain_to_search_was_added_begins_with_another() {
        let name = Domain::parse("api.example.org").unwrap();
        assert!(name.begins("api.example.org.svc.cluster.local"));
        assert!(!name.begins("api.example.org") && !name.begins("xapi.example.org.local"));
    }
}
