#!/usr/bin/python3
"""Containers by runtime: start to finish of `true` and of Python, and the memory of one that is idle.

tests/benches/containers.py [ROUNDS] RUNTIME…, as root; each round runs everything once, so that what else
the machine does falls on all alike. A runtime is a program with the command line of runc; those that are not
there are left out. The memory is the proportional set size (proc(5)) of all processes that the runtime leaves
running, of several containers at once, by container.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

IDLE = 4
PROGRAMS = ["/bin/true", "/bin/sleep", "/usr/bin/python3.11"]
WORK = {"true": ["/bin/true"], "python3 -c pass": ["/usr/bin/python3.11", "-c", "pass"]}


def make_root(root):
    files = set(PROGRAMS)
    for program in PROGRAMS:
        words = subprocess.run(["ldd", program], capture_output=True, text=True).stdout.split()
        files.update(word for word in words if word.startswith("/"))
    for file in files:
        os.makedirs(root + os.path.dirname(file), exist_ok=True)
        shutil.copy(file, root + file)
    library = "/usr/lib/python3.11"
    ignored = shutil.ignore_patterns("test", "idlelib")
    shutil.copytree(library, root + library, ignore=ignored, dirs_exist_ok=True)
    for name in ["dev", "proc", "sys", "tmp"]:
        os.makedirs(f"{root}/{name}")


def make_bundle(folder, root, args):
    os.makedirs(folder)
    subprocess.run(["runc", "spec"], cwd=folder, check=True)
    with open(f"{folder}/config.json") as file:
        config = json.load(file)
    config["process"].update({"args": args, "terminal": False})
    config["root"] = {"path": root, "readonly": True}
    # What every runtime takes.
    config["mounts"] = [mount for mount in config["mounts"] if mount["type"] not in ("cgroup", "mqueue")]
    with open(f"{folder}/config.json", "w") as file:
        json.dump(config, file)


def command(runtime, scratch, *words):
    options = ["--network=none"] if os.path.basename(runtime) == "runsc" else []
    return [runtime, *options, "--root", f"{scratch}/{os.path.basename(runtime)}", *words]


def quietly(words):
    none = subprocess.DEVNULL
    return subprocess.run(words, stdin=none, stdout=none, stderr=none)


def finished(runtime, scratch, bundle, name):
    begun = time.monotonic()
    done = quietly(command(runtime, scratch, "run", "--bundle", bundle, name))
    assert done.returncode == 0, (runtime, bundle, done.returncode)
    return (time.monotonic() - begun) * 1000


def processes():
    return {int(name) for name in os.listdir("/proc") if name.isdigit()}


def memory_of(pid):
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except OSError:
        return 0


def idle(runtime, scratch, bundle):
    before = processes()
    names = [f"idle-{n}" for n in range(IDLE)]
    for name in names:
        words = command(runtime, scratch, "run", "--detach", "--bundle", bundle, name)
        assert quietly(words).returncode == 0, runtime
    time.sleep(1)
    of_containers = sum(memory_of(pid) for pid in processes() - before)
    for name in names:
        quietly(command(runtime, scratch, "delete", "--force", name))
    return of_containers / 1024 / IDLE


def main():
    words = sys.argv[1:]
    rounds = int(words.pop(0)) if words and words[0].isdigit() else 15
    runtimes = [path for path in map(shutil.which, words) if path]
    with tempfile.TemporaryDirectory() as scratch:
        make_root(f"{scratch}/root")
        for name, args in {**WORK, "idle": ["/bin/sleep", "600"]}.items():
            make_bundle(f"{scratch}/{name}", f"{scratch}/root", args)
        times = {}
        for n in range(rounds):
            for runtime in runtimes:
                for name in WORK:
                    took = finished(runtime, scratch, f"{scratch}/{name}", f"c{n}")
                    times.setdefault((runtime, name), []).append(took)
        print(f"| | {' | '.join(os.path.basename(runtime) for runtime in runtimes)} |")
        print("| --- |" + " --- |" * len(runtimes))
        for name in WORK:
            row = [f"{statistics.median(times[runtime, name]):.0f} ms" for runtime in runtimes]
            print(f"| `{name}` | {' | '.join(row)} |")
        row = [f"{idle(runtime, scratch, f'{scratch}/idle'):.1f} MiB" for runtime in runtimes]
        print(f"| memory of an idle one | {' | '.join(row)} |")


if __name__ == "__main__":
    main()
