#!/bin/sh
# The main job on a real program: Python reads its own library (allowed) and then tries /etc/shadow (denied).
set -u
rxbox=${CARGO_TARGET_DIR:-target}/release/rxbox
echo '$ rxbox --profile profiles/untrusted.toml /usr/bin/python3 …'
"$rxbox" --profile profiles/untrusted.toml /usr/bin/python3 -c '
import json, os, platform
print("allowed: json from", os.path.dirname(json.__file__), "on", platform.machine())
try:
    open("/etc/shadow")
except OSError as e:
    print("denied:", e)
else:
    raise SystemExit("the denied file was opened")
'
