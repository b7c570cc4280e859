//! What `packaging/kubernetes` offers: every key is one that Kubernetes or containerd has, and containerd
//! reads what is written for its version.

use rxbox_tests::Scratch;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value};

fn offered(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/kubernetes").join(name)
}

/// The fields of a RuntimeClass: <https://kubernetes.io/docs/reference/kubernetes-api/>, node.k8s.io/v1.
const RUNTIME_CLASS: [&str; 9] = [
    "apiVersion",
    "handler",
    "kind",
    "metadata",
    "metadata.name",
    "overhead.podFixed",
    "scheduling",
    "scheduling.nodeSelector",
    "scheduling.tolerations",
];

/// The ways to keys and their values in YAML that has nothing but maps, one key to a line.
fn leaves(yaml: &str) -> Vec<(String, String)> {
    let mut way: Vec<&str> = Vec::new();
    let mut leaves = Vec::new();
    for line in yaml.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let (key, value) = line.trim().split_once(':').expect("a key");
        way.truncate((line.len() - line.trim_start().len()) / 2);
        way.push(key);
        leaves.push((way.join("."), value.trim().trim_matches('"').to_owned()));
    }
    leaves
}

#[test]
fn the_runtime_class_has_fields_of_the_api() {
    let leaves = leaves(&fs::read_to_string(offered("runtimeclass.yaml")).expect("a manifest"));
    let value = |key: &str| leaves.iter().find(|(way, _)| way == key).map(|(_, value)| value.as_str());
    assert_eq!(value("apiVersion"), Some("node.k8s.io/v1"));
    assert_eq!(value("kind"), Some("RuntimeClass"));
    // What containerd's configuration calls it.
    assert_eq!(value("handler"), Some("rxbox"));
    assert!(value("metadata.name").is_some());
    for (way, _) in &leaves {
        let label = way.starts_with("scheduling.nodeSelector.");
        assert!(label || RUNTIME_CLASS.contains(&way.as_str()), "{way}");
    }
}

/// Keys of a runtime and of its options: containerd's `docs/cri/config.md`, and `Options` of its runc shim.
const OF_RUNTIME: [&str; 4] = ["container_annotations", "options", "pod_annotations", "runtime_type"];
const OF_OPTIONS: [&str; 2] = ["BinaryName", "SystemdCgroup"];

#[test]
fn containerd_knows_the_runtime_that_pods_name() {
    for (version, plugin) in [(2, "io.containerd.grpc.v1.cri"), (3, "io.containerd.cri.v1.runtime")] {
        let file = offered(&format!("containerd-v{version}.toml"));
        let text = fs::read_to_string(&file).expect("a configuration");
        let settings: Table = text.parse().expect("TOML");
        assert_eq!(settings["version"].as_integer(), Some(version));
        let of_plugin = settings["plugins"].as_table().expect("a table");
        assert_eq!(of_plugin.keys().collect::<Vec<_>>(), [plugin]);
        let runtime = &of_plugin[plugin]["containerd"]["runtimes"]["rxbox"];
        let keys = |value: &Value| value.as_table().expect("a table").keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            (keys(runtime), keys(&runtime["options"])),
            (OF_RUNTIME.map(str::to_owned).to_vec(), OF_OPTIONS.map(str::to_owned).to_vec())
        );
        // The containerd of this host, which is of the first major version, reads the one for that.
        if version == 2 {
            let scratch = Scratch::new("kubernetes");
            let copy = scratch.file("config.toml", &text);
            let dump = Command::new("containerd").arg("-c").arg(copy).args(["config", "dump"]).output();
            let dump = String::from_utf8(dump.expect("containerd").stdout).expect("TOML");
            let whole: Table = dump.parse().expect("TOML");
            let read = &whole["plugins"][plugin]["containerd"]["runtimes"]["rxbox"];
            for key in OF_RUNTIME {
                let same = |of: &str| read[key].get(of) == runtime[key].get(of);
                let options = key == "options" && OF_OPTIONS.iter().all(|of| same(of));
                assert!(options || read[key] == runtime[key], "{key}: {}", read[key]);
            }
        }
    }
}
