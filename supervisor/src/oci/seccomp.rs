//! The `seccomp` section of config.json as rules of a profile ([`rxbox_policy`], `[syscalls]`).
//!
//! Rules of a profile are as libseccomp has them: of those that apply to a call the severest counts, and a
//! default for calls of which none speaks. But a rule compares one argument. One that allows something only
//! if several arguments are right is left out, since that takes something away; one that takes something away
//! is an error, unless the default does so where no other rule allows it.

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompOperator};
use rxbox_policy::toml_string;
use rxbox_wire::{names, table};
use std::collections::BTreeSet;

/// The section as text of TOML.
///
/// # Errors
/// It restricts what rxbox does not.
pub(super) fn text(seccomp: &LinuxSeccomp) -> Result<String, String> {
    if seccomp.listener_path().is_some() {
        return Err("linux.seccomp.listenerPath is not offered".to_owned());
    }
    let default = action(seccomp.default_action(), seccomp.default_errno_ret().as_ref().copied())?;
    // What has the same effect as the default needs no rule, as for libseccomp, which refuses such.
    let mut rules = String::new();
    let mut lists = ["allow", "kill", "log", "deny"].map(|word| (word, BTreeSet::new()));
    let mut spoken_of = BTreeSet::new();
    for rule in seccomp.syscalls().iter().flatten() {
        let does = action(rule.action(), rule.errno_ret())?;
        if does == default {
            continue;
        }
        let args = rule.args().as_deref().unwrap_or_default();
        // What this machine does not have is for others.
        for row in rule.names().iter().filter_map(|name| table::by_name(name)) {
            spoken_of.insert(row.name);
            let name = toml_string(row.name);
            if args.is_empty() && does.1.is_none() {
                let word = if does.0 == "errno" { "deny" } else { does.0 };
                lists
                    .iter_mut()
                    .filter(|(list, _)| *list == word)
                    .for_each(|(_, list)| _ = list.insert(row.name));
                continue;
            }
            let [one] = args else {
                if args.is_empty() {
                    rules += &format!("[[syscalls.rules]]\ncall = {name}\n{}", does.text());
                    continue;
                }
                if does.0 == "allow" || does.0 == default.0 && never_allowed(seccomp, row.name, args) {
                    continue;
                }
                return Err(format!("linux.seccomp: a rule for {} compares several arguments", row.name));
            };
            let argument = row.args.get(one.index()).map(|arg| arg.name);
            match argument.and_then(|argument| comparison(argument, one)) {
                Some(compared) => {
                    rules += &format!("[[syscalls.rules]]\ncall = {name}\n{compared}{}", does.text());
                }
                None if does.0 == "allow" => {}
                None => return Err(format!("linux.seccomp: a comparison for {} is not offered", row.name)),
            }
        }
    }
    let mut text = format!("\n[syscalls]\ndefault = \"{}\"\n", default.0);
    for (word, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
        text += &format!(
            "{word} = [{}]\n",
            list.iter().map(|name| toml_string(name)).collect::<Vec<_>>().join(", ")
        );
    }
    // The default of a profile is EPERM.
    for name in table::names().filter(|name| default.1.is_some() && !spoken_of.contains(name)) {
        rules += &format!("[[syscalls.rules]]\ncall = {}\n{}", toml_string(name), default.text());
    }
    Ok(text + &rules)
}

/// What happens: the word, and the error if it is another than EPERM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Does(&'static str, Option<&'static str>);

impl Does {
    fn text(self) -> String {
        let errno = self.1.map(|errno| format!("errno = \"{errno}\"\n")).unwrap_or_default();
        format!("action = \"{}\"\n{errno}\n", self.0)
    }
}

fn action(action: LinuxSeccompAction, errno: Option<u32>) -> Result<Does, String> {
    use LinuxSeccompAction as A;
    let named = |errno: u32| {
        let errno = i32::try_from(errno).ok().and_then(|errno| names::errno(errno));
        errno.map(|(name, _)| name).ok_or_else(|| "linux.seccomp: an errno that is none".to_owned())
    };
    Ok(match action {
        A::ScmpActAllow => Does("allow", None),
        A::ScmpActLog => Does("log", None),
        A::ScmpActKill | A::ScmpActKillThread | A::ScmpActKillProcess => Does("kill", None),
        // Nobody traces it by seccomp.
        A::ScmpActTrace => Does("errno", Some("ENOSYS")),
        A::ScmpActErrno => match errno.unwrap_or(libc::EPERM as u32) {
            1 => Does("errno", None),
            errno => Does("errno", Some(named(errno)?)),
        },
        A::ScmpActTrap | A::ScmpActNotify => {
            return Err(format!("linux.seccomp: {action} is not offered"));
        }
    })
}

/// Whether no rule allows the call with arguments for which all of these comparisons hold.
fn never_allowed(seccomp: &LinuxSeccomp, call: &str, compared: &[LinuxSeccompArg]) -> bool {
    use LinuxSeccompOperator::{ScmpCmpEq as Eq, ScmpCmpNe as Ne};
    let contradicts = |a: &LinuxSeccompArg, b: &LinuxSeccompArg| {
        let same = a.value() == b.value();
        a.index() == b.index()
            && matches!((a.op(), b.op(), same), (Eq, Eq, false) | (Eq, Ne, true) | (Ne, Eq, true))
    };
    let allows = |action| matches!(action, LinuxSeccompAction::ScmpActAllow | LinuxSeccompAction::ScmpActLog);
    let rules = seccomp.syscalls().iter().flatten();
    rules
        .filter(|rule| allows(rule.action()) && rule.names().iter().any(|name| name == call))
        .all(|rule| rule.args().iter().flatten().any(|a| compared.iter().any(|b| contradicts(a, b))))
}

/// The comparison of an argument, if a profile can say it.
fn comparison(argument: &str, arg: &LinuxSeccompArg) -> Option<String> {
    let (argument, value) = (toml_string(argument), arg.value());
    // Numbers of TOML have 63 bits and a sign.
    let fits = |number: u64| i64::try_from(number).ok();
    let value = fits(value)?;
    Some(match arg.op() {
        LinuxSeccompOperator::ScmpCmpEq => format!("arg = {argument}\nequals = {value}\n"),
        LinuxSeccompOperator::ScmpCmpNe => format!("arg = {argument}\nnone_of = [{value}]\n"),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            let wanted = fits(arg.value_two().unwrap_or(0))?;
            format!("arg = {argument}\nmask = {value}\nequals = {wanted}\n")
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(rules: &Value) -> Result<String, String> {
        let section = json!({ "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, "syscalls": rules });
        text(&serde_json::from_value(section).unwrap())
    }

    /// As the profile of podman has it: sockets, but not those of the audit system.
    #[test]
    fn a_denial_by_several_arguments_is_the_defaults_if_nothing_allows_the_same() {
        let arg = |index: usize, value: u64, op: &str| json!({ "index": index, "value": value, "op": op });
        let rule = |action: &str, args: &[Value]| {
            let errno = if action == "SCMP_ACT_ERRNO" { json!(22) } else { Value::Null };
            json!({ "names": ["socket"], "action": action, "errnoRet": errno, "args": args })
        };
        let netlink = [arg(0, 16, "SCMP_CMP_EQ"), arg(2, 9, "SCMP_CMP_EQ")];
        let denied = rule("SCMP_ACT_ERRNO", &netlink);
        let others = rule("SCMP_ACT_ALLOW", &[arg(2, 9, "SCMP_CMP_NE")]);
        let families = rule("SCMP_ACT_ALLOW", &[arg(0, 16, "SCMP_CMP_NE")]);
        let text = of(&json!([denied, others, families])).unwrap();
        assert!(text.contains("arg = \"protocol\"\nnone_of = [9]"), "{text}");
        for wider in [rule("SCMP_ACT_ALLOW", &[]), rule("SCMP_ACT_ALLOW", &[arg(1, 1, "SCMP_CMP_EQ")])] {
            assert!(of(&json!([denied, wider])).unwrap_err().contains("socket compares several"), "{wider}");
        }
    }
}
