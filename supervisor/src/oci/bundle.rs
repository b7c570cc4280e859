//! A bundle: a directory with config.json, and what of that is offered.
//!
//! What config.json says and rxbox does not do is never passed over in silence. A key that would restrict the
//! container is an error, since whoever wrote it counts on it; one that only gives or prefers something is a
//! warning. A key that is not known here may be either, so it is an error, too.

use super::devices;
use oci_spec::runtime::{LinuxNamespaceType, Process, Spec};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// The name of the file.
pub(super) const CONFIG: &str = "config.json";
/// The annotation that names a profile.
const PROFILE: &str = "rxbox.profile";

/// A bundle that can be run.
#[derive(Clone, Debug)]
pub(super) struct Bundle {
    /// Its directory, absolute.
    pub(super) path: PathBuf,
    /// config.json.
    pub(super) spec: Spec,
    /// The directory of the container's files, absolute.
    pub(super) rootfs: PathBuf,
    /// What is not as config.json says, and restricts nothing.
    pub(super) warnings: Vec<String>,
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offered {
    Done,
    /// It restricts nothing.
    Left,
    /// It restricts something, or changes what programs see.
    Refused,
}

use Offered::{Done, Left, Refused};

/// Keys of objects, by the way to these.
const KEYS: &[(&str, &[(&str, Offered)])] = &[
    (
        "",
        &[
            ("ociVersion", Done),
            ("process", Done),
            ("root", Done),
            ("hostname", Done),
            ("domainname", Done),
            ("mounts", Done),
            ("linux", Done),
            ("hooks", Done),
            ("annotations", Done),
            ("vm", Refused),
            ("windows", Refused),
            ("solaris", Refused),
            ("zos", Refused),
        ],
    ),
    (
        "hooks",
        &[
            ("prestart", Done),
            ("createRuntime", Done),
            ("createContainer", Done),
            // It would run a program of the image outside of rxbox.
            ("startContainer", Refused),
            ("poststart", Done),
            ("poststop", Done),
        ],
    ),
    (
        "linux",
        &[
            ("namespaces", Done),
            ("devices", Done),
            ("cgroupsPath", Done),
            ("resources", Done),
            ("sysctl", Done),
            ("seccomp", Done),
            ("rootfsPropagation", Left),
            ("maskedPaths", Done),
            ("readonlyPaths", Done),
            ("uidMappings", Refused),
            ("gidMappings", Refused),
            ("mountLabel", Refused),
            ("intelRdt", Refused),
            ("personality", Refused),
            ("timeOffsets", Refused),
            ("memoryPolicy", Refused),
            ("netDevices", Refused),
        ],
    ),
    (
        "linux.resources",
        &[
            ("devices", Done),
            ("memory", Done),
            ("cpu", Done),
            ("pids", Done),
            ("unified", Done),
            ("blockIO", Refused),
            ("hugepageLimits", Refused),
            ("network", Refused),
            ("rdma", Refused),
        ],
    ),
];

/// Keys of each of `mounts`.
const OF_MOUNT: &[(&str, Offered)] = &[
    ("destination", Done),
    ("type", Done),
    ("source", Done),
    ("options", Done),
    ("uidMappings", Refused),
    ("gidMappings", Refused),
];

/// Keys of `process`, also of one that is started later.
const OF_PROCESS: &[(&str, Offered)] = &[
    ("terminal", Done),
    ("consoleSize", Done),
    ("user", Done),
    ("args", Done),
    ("env", Done),
    ("cwd", Done),
    ("capabilities", Done),
    ("rlimits", Done),
    ("noNewPrivileges", Done),
    ("oomScoreAdj", Done),
    ("apparmorProfile", Refused),
    ("selinuxLabel", Refused),
    ("ioPriority", Left),
    ("scheduler", Left),
    ("execCPUAffinity", Left),
    ("commandLine", Left),
];

impl Bundle {
    /// Reads the bundle in a directory.
    ///
    /// # Errors
    /// There is none, or rxbox does not offer what it asks for.
    pub(super) fn read(directory: &Path) -> Result<Bundle, String> {
        let path = fs::canonicalize(directory).map_err(|e| format!("{}: {e}", directory.display()))?;
        let file = path.join(CONFIG);
        let text = fs::read(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        Bundle::of(path, &text).map_err(|why| format!("{}: {why}", file.display()))
    }

    fn of(path: PathBuf, text: &[u8]) -> Result<Bundle, String> {
        let value: Value = serde_json::from_slice(text).map_err(|e| e.to_string())?;
        let mut warnings = Vec::new();
        for (way, keys) in KEYS {
            let object =
                way.split('.').filter(|name| !name.is_empty()).try_fold(&value, |at, name| at.get(name));
            object.map_or(Ok(()), |object| look_through(way, object, keys, &mut warnings))?;
        }
        for mount in value["mounts"].as_array().into_iter().flatten() {
            look_through("mounts", mount, OF_MOUNT, &mut warnings)?;
        }
        let spec: Spec = serde_json::from_value(value.clone()).map_err(|e| e.to_string())?;
        if spec.process().is_some() {
            check_process(&value["process"], &mut warnings)?;
        }
        namespaces(&spec)?;
        spec.linux().as_ref().map_or(Ok(()), devices::check)?;
        let root = spec.root().as_ref().ok_or("there is no `root`")?;
        let rootfs = path.join(root.path());
        let rootfs = fs::canonicalize(&rootfs).map_err(|e| format!("root.path {}: {e}", rootfs.display()))?;
        Ok(Bundle { path, spec, rootfs, warnings })
    }

    /// The first process.
    ///
    /// # Errors
    /// There is none, or none that could be started.
    pub(super) fn process(&self) -> Result<&Process, String> {
        self.spec.process().as_ref().ok_or_else(|| "there is no `process`".to_owned())
    }

    /// The value of an annotation.
    fn annotation(&self, name: &str) -> Option<&str> {
        self.spec.annotations().as_ref()?.get(name).map(String::as_str)
    }

    /// The profile that an annotation names.
    pub(super) fn profile(&self) -> Option<&str> {
        self.annotation(PROFILE)
    }

    /// The namespace of a kind: nothing if it is the caller's, else the path of the one to join, if it is not
    /// to be new.
    pub(super) fn namespace(&self, kind: LinuxNamespaceType) -> Option<Option<&Path>> {
        let all = self.spec.linux().as_ref()?.namespaces().as_ref()?;
        let found = all.iter().find(|namespace| namespace.typ() == kind)?;
        Some(found.path().as_deref().filter(|path| !path.as_os_str().is_empty()))
    }
}

/// Looks for what a `process` asks for and is not offered.
///
/// # Errors
/// It restricts something.
pub(super) fn check_process(process: &Value, warnings: &mut Vec<String>) -> Result<(), String> {
    look_through("process", process, OF_PROCESS, warnings)
}

/// The same of `linux.resources`.
///
/// # Errors
/// As [`check_process`].
pub(super) fn check_resources(resources: &Value, warnings: &mut Vec<String>) -> Result<(), String> {
    const WAY: &str = "linux.resources";
    let keys = KEYS.iter().find(|(way, _)| *way == WAY).map_or(&[][..], |(_, keys)| keys);
    look_through(WAY, resources, keys, warnings)
}

fn look_through(
    way: &str,
    object: &Value,
    keys: &[(&str, Offered)],
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    let Some(object) = object.as_object() else { return Ok(()) };
    for (key, value) in object.iter().filter(|(_, value)| says_something(value)) {
        let dot = if way.is_empty() { "" } else { "." };
        match keys.iter().find(|(name, _)| name == key).map(|(_, offered)| *offered) {
            Some(Done) => {}
            Some(Left) => warnings.push(format!("{way}{dot}{key} is not offered, and has no effect")),
            Some(Refused) if value == "unconfined" => {}
            Some(Refused) => return Err(format!("{way}{dot}{key} is not offered")),
            None => return Err(format!("{way}{dot}{key} is not known to rxbox")),
        }
    }
    Ok(())
}

/// Whether anything is asked for at all.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(object) => object.values().any(says_something),
        Value::Bool(true) => true,
    }
}

/// Whether the namespaces are some that a run can have.
fn namespaces(spec: &Spec) -> Result<(), String> {
    let all = spec.linux().as_ref().and_then(|linux| linux.namespaces().clone()).unwrap_or_default();
    let mut mount = false;
    for namespace in &all {
        let path = namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty());
        match (namespace.typ(), path) {
            (LinuxNamespaceType::Mount, None) => mount = true,
            (kind @ (LinuxNamespaceType::Mount | LinuxNamespaceType::Pid), Some(_)) => {
                return Err(format!("linux.namespaces: a {kind} namespace that is there is not offered"));
            }
            (kind @ (LinuxNamespaceType::User | LinuxNamespaceType::Time), _) => {
                return Err(format!("linux.namespaces: a {kind} namespace is not offered"));
            }
            _ => {}
        }
    }
    if mount { Ok(()) } else { Err("linux.namespaces: it needs a mount namespace of its own".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn bundle(with: &Value) -> Result<Bundle, String> {
        let mut config = json!({
            "ociVersion": "1.0.2",
            "process": { "user": { "uid": 0, "gid": 0 }, "args": ["true"], "cwd": "/" },
            "root": { "path": "/" },
            "linux": { "namespaces": [{ "type": "mount" }] },
        });
        fn merge(to: &mut Value, from: &Value) {
            match (to, from) {
                (Value::Object(to), Value::Object(from)) => from.iter().for_each(|(key, value)| {
                    merge(to.entry(key.clone()).or_insert(Value::Null), value);
                }),
                (to, from) => *to = from.clone(),
            }
        }
        merge(&mut config, with);
        Bundle::of("/".into(), config.to_string().as_bytes())
    }

    #[test]
    fn what_is_not_offered_is_named() {
        assert!(bundle(&json!({})).unwrap().warnings.is_empty());
        for (with, name) in [
            (json!({ "linux": { "intelRdt": { "closID": "x" } } }), "linux.intelRdt is not offered"),
            (json!({ "linux": { "madeUp": 1 } }), "linux.madeUp is not known"),
            (json!({ "process": { "apparmorProfile": "docker-default" } }), "process.apparmorProfile"),
            (json!({ "linux": { "resources": { "blockIO": { "weight": 7 } } } }), "linux.resources.blockIO"),
            (json!({ "hooks": { "startContainer": [{ "path": "/x" }] } }), "hooks.startContainer"),
            (json!({ "linux": { "namespaces": [] } }), "mount namespace"),
            (json!({ "linux": { "namespaces": [{ "type": "user" }] } }), "user namespace"),
        ] {
            let why = bundle(&with).unwrap_err();
            assert!(why.contains(name), "{why}");
        }
    }

    #[test]
    fn what_asks_for_nothing_is_no_error_and_what_restricts_nothing_a_warning() {
        let nothing = json!({
            "linux": { "mountLabel": "", "resources": { "blockIO": { "weight": 0 }, "network": {} } },
            "process": { "apparmorProfile": "unconfined", "selinuxLabel": "" },
        });
        assert!(bundle(&nothing).unwrap().warnings.is_empty());
        let left =
            bundle(&json!({ "process": { "ioPriority": { "class": "IOPRIO_CLASS_BE", "priority": 4 } } }));
        assert_eq!(left.unwrap().warnings, ["process.ioPriority is not offered, and has no effect"]);
    }
}
