//! The profiles that are shipped inside the program.

const PROFILES: [(&str, &str); 11] = [
    ("agent", include_str!("../../../profiles/agent.toml")),
    ("base", include_str!("../../../profiles/base.toml")),
    ("desktop-cli", include_str!("../../../profiles/desktop-cli.toml")),
    ("git", include_str!("../../../profiles/git.toml")),
    ("go", include_str!("../../../profiles/go.toml")),
    ("java", include_str!("../../../profiles/java.toml")),
    ("node", include_str!("../../../profiles/node.toml")),
    ("permissive", include_str!("../../../profiles/permissive.toml")),
    ("python", include_str!("../../../profiles/python.toml")),
    ("rust", include_str!("../../../profiles/rust.toml")),
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
