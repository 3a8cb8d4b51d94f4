#!/usr/bin/env python3
"""What a launch costs: no sandbox, bubblewrap with hardened flags where it is installed, and `modelscan run`, in turns in the same run.

    cargo build --release && benches/sandbox/launch.py [ROUNDS]
"""
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BWRAP = (
    "bwrap --unshare-all --die-with-parent --new-session --cap-drop ALL --clearenv --setenv PATH /usr/bin --ro-bind /usr /usr "
    "--symlink usr/bin /bin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --proc /proc --dev /dev --tmpfs /tmp --"
)
OPENS = "import os\nfor i in range(100000): os.close(os.open('/usr/bin/env', 0))"
LOOP = "x=0\nfor i in range(10000000): x+=i"


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    cases = {"none": [], "modelscan": [str(ROOT / "target/release/modelscan"), "run", "--"]}
    if shutil.which("bwrap"):
        cases["bwrap"] = BWRAP.split()
    else:
        print("bwrap is not installed: left out")
    python = "/usr/bin/python3"
    work = [
        ("true", ["/bin/true"], rounds),
        ("python3 -c pass", [python, "-c", "pass"], rounds),
        ("100,000 opens", [python, "-c", OPENS], max(3, rounds // 12)),
        ("a loop", [python, "-c", LOOP], max(3, rounds // 12)),
    ]
    for what, command, times in work:
        took = {name: [] for name in cases}
        for _ in range(times):
            for name, prefix in cases.items():
                began = time.perf_counter()
                subprocess.run(prefix + command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)
                took[name].append(time.perf_counter() - began)
        base = statistics.median(took["none"])
        for name, values in took.items():
            middle = statistics.median(values)
            print(f"{what:<16} {name:<10} median {middle * 1e3:9.2f} ms   min {min(values) * 1e3:9.2f} ms   x{middle / base:.2f}")


if __name__ == "__main__":
    main()
