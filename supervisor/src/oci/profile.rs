//! The profile that a bundle comes to.
//!
//! Without an annotation that names one, the container may do everything in its root and in its network: what
//! is kept from it is kept by mounts, namespaces, users and capabilities, as in any container, and behind
//! them by rxbox's own layers. `rxbox.profile` names a profile of the host's, whose rules then hold in the
//! container. What config.json itself takes away is added to either: names that are hidden or not to be
//! written, calls that are denied.

use super::bundle::Bundle;
use super::{identity, seccomp};
use rxbox_policy::{toml_new_path, toml_string};

/// The name by which the policy's rules are shown.
pub(super) const NAME: &str = "./config.json";

/// What a container may do that says nothing else.
const USUAL: &str = "\
[network]
allow = [\"ip:*\", \"unix:/\", \"unix:@*\"]
bind = [\"ip:*\", \"unix:/\", \"unix:@*\"]
families = [\"alg\", \"netlink\", \"packet\"]

[environment]
pass = [\"*\"]
";

/// The profile's text.
///
/// # Errors
/// The rules of `seccomp` cannot be said.
pub(super) fn text(bundle: &Bundle) -> Result<String, String> {
    let linux = bundle.spec.linux().as_ref();
    let paths = |list: Option<&Vec<String>>| {
        let entries = list.into_iter().flatten().map(|path| entry(path));
        entries.collect::<Vec<_>>().join(", ")
    };
    let masked = paths(linux.and_then(|linux| linux.masked_paths().as_ref()));
    let read_only = paths(linux.and_then(|linux| linux.readonly_paths().as_ref()));
    let mut text = "version = 1\n".to_owned();
    if let Some(name) = bundle.profile() {
        text += &format!("extends = [{}]\n", toml_string(name));
    }
    text += "\n[filesystem]\n";
    if bundle.profile().is_none() {
        text += "write = [\"/\"]\nexecute = [\"/\"]\n";
    }
    text += &format!("absent = [{masked}]\ndeny_write = [{read_only}]\n\n");
    if bundle.profile().is_none() {
        text += USUAL;
    }
    let kept = identity::kept(bundle).into_iter().map(toml_string).collect::<Vec<_>>().join(", ");
    text += &format!(
        "\n[identity]\nchange = true\n\n[hardening]\nrequire = [\"namespaces\", \"pid_namespace\"]\n\
        capabilities = [{kept}]\n\n[audit]\ndenials = \"none\"\n"
    );
    if let Some(seccomp) = linux.and_then(|linux| linux.seccomp().as_ref()) {
        text += &seccomp::text(seccomp)?;
    }
    Ok(text)
}

/// An entry that means just this path, which need not be there.
fn entry(path: &str) -> String {
    toml_new_path(path.trim_end_matches('/').as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_itself_whatever_is_in_it() {
        assert_eq!(entry("/proc/kcore"), "\"/proc/kcore?\"");
        assert_eq!(entry("/a[*]?/\"\n${HOME}/"), "\"/a[[][*]][?]/\\\"\\U0000000a$${HOME}?\"");
    }
}
