//! The profiles that are shipped inside the program.

const PROFILES: [(&str, &str); 3] = [
    ("base", include_str!("../../../profiles/base.toml")),
    ("permissive", include_str!("../../../profiles/permissive.toml")),
    ("untrusted", include_str!("../../../profiles/untrusted.toml")),
];

/// The text of a built-in profile, by its bare name.
pub fn builtin(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(n, _)| *n == name).map(|(_, text)| *text)
}

/// The names of the built-in profiles.
pub fn builtin_names() -> impl Iterator<Item = &'static str> {
    PROFILES.iter().map(|(name, _)| *name)
}
