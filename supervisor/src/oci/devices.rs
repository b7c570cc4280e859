//! Whether the devices that config.json names are all to be opened as files are.
//!
//! A container has the devices that are named and no others, without a cgroup that watches over opening them.
//! So a rule of `linux.resources.devices` is kept by what there is, but for one that lets a named device be
//! read and not written, or the reverse, or not opened at all: that is not offered.

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType};

/// Checks the rules on each named device. The last one that speaks of a way to open it decides, as the kernel
/// has it (Documentation/admin-guide/cgroup-v1/devices.rst).
///
/// # Errors
/// One may be opened in fewer ways than there are.
pub(super) fn check(linux: &Linux) -> Result<(), String> {
    let rules = linux.resources().as_ref().and_then(|resources| resources.devices().as_deref());
    let rules = rules.unwrap_or_default();
    for device in linux.devices().iter().flatten() {
        let allowed = |way| {
            let about = rules.iter().rev().find(|rule| speaks_of(rule, device, way));
            about.is_none_or(LinuxDeviceCgroup::allow)
        };
        if device.typ() != LinuxDeviceType::P && !(allowed('r') && allowed('w')) {
            let path = device.path().display();
            return Err(format!(
                "linux.resources.devices: {path} that is not for reading and writing is not offered"
            ));
        }
    }
    Ok(())
}

/// Whether a rule speaks of opening a device for this, `r` or `w`.
fn speaks_of(rule: &LinuxDeviceCgroup, device: &LinuxDevice, way: char) -> bool {
    let kind = match rule.typ().unwrap_or(LinuxDeviceType::A) {
        LinuxDeviceType::A => true,
        LinuxDeviceType::C | LinuxDeviceType::U => {
            matches!(device.typ(), LinuxDeviceType::C | LinuxDeviceType::U)
        }
        kind => kind == device.typ(),
    };
    // A negative number means all, as a missing one does.
    let is = |asked: Option<i64>, number| asked.is_none_or(|n| n < 0 || n == number);
    let ways = rule.access().as_deref().filter(|ways| !ways.is_empty());
    kind && is(rule.major(), device.major())
        && is(rule.minor(), device.minor())
        && ways.is_none_or(|ways| ways.contains(way))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn checked(rules: &Value) -> Result<(), String> {
        let linux = json!({
            "devices": [{ "path": "/dev/fuse", "type": "c", "major": 10, "minor": 229 }],
            "resources": { "devices": rules },
        });
        check(&serde_json::from_value(linux).unwrap())
    }

    #[test]
    fn a_device_is_opened_in_all_ways_or_the_rule_is_an_error() {
        let none = json!({ "allow": false, "access": "rwm" });
        let all = json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rwm" });
        let read = json!({ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "r" });
        let any = json!({ "allow": true, "type": "c", "major": -1, "minor": -1, "access": "rw" });
        let other = json!({ "allow": false, "type": "b", "major": 10, "minor": 229, "access": "rwm" });
        let made = json!({ "allow": false, "type": "c", "access": "m" });
        for fine in [json!([]), json!([none, all]), json!([none, any]), json!([none, all, other, made])] {
            assert_eq!(checked(&fine), Ok(()), "{fine}");
        }
        for narrower in [json!([none]), json!([none, read]), json!([all, none])] {
            assert!(checked(&narrower).unwrap_err().contains("/dev/fuse"), "{narrower}");
        }
    }
}
