#!/usr/bin/env python3
"""What a launch costs: no sandbox, bubblewrap with hardened flags where it is installed, and `modelscan run`, in turns in the same run;
and the memory of the sandbox. Medians, and the lower quarter, which other work on the machine disturbs less.

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


def low(values):
    return sorted(values)[len(values) // 4]


def memory(prefix):
    """The supervisor and the first process inside: pages of their own, and their share of those that others use, too."""
    run = subprocess.Popen(prefix + ["/bin/sleep", "2"], stdin=subprocess.DEVNULL)
    time.sleep(0.5)
    first = pathlib.Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()[0]
    held = 0
    for pid in (run.pid, first):
        fields = dict(line.split(":") for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
        held += int(fields["Pss"].split()[0])
    run.wait()
    print(f"sandbox memory  {held / 1024:.1f} MiB (supervisor and first process, proportional)")


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
            middle, quarter = statistics.median(values), low(values)
            print(
                f"{what:<16} {name:<10} median {middle * 1e3:9.2f} ms x{middle / base:.2f}"
                f"   quarter {quarter * 1e3:9.2f} ms x{quarter / low(took['none']):.2f}   min {min(values) * 1e3:9.2f} ms"
            )
    memory(cases["modelscan"])


if __name__ == "__main__":
    main()
