#!/usr/bin/env python3
"""How fast a scan is, against hashing, reading and other scanners of the same bytes in the same run.

Makes its inputs once in a cache folder (MODELSCAN_BENCH_DIR, default: a folder of the temporary folder), installs the peers
in a virtual environment there, and prints Markdown tables. Peers are Python and take minutes where we take a second, so they
get a smaller input of the same kind, on which we are measured as well. See README.md beside this file.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
MB = 1_000_000


# -- inputs: an emitter of opcodes, so that nothing here depends on how some Python happens to pickle --------------------

def text(value):
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw  # BINUNICODE


def ints(size, out):
    """One list of small integers, appended a thousand at a time as pickle does."""
    out.write(b"\x80\x04]\x94")
    batch = b"(" + b"".join(b"K" + bytes([i % 256]) if i % 3 else b"M" + struct.pack("<H", i * 7) for i in range(1000)) + b"e"
    repeat(batch, size, out)
    out.write(b".")


def tuples(size, out):
    """Floats in memoized pairs."""
    out.write(b"\x80\x04]\x94")
    pair = b"G" + struct.pack(">d", 0.125) + b"G" + struct.pack(">d", -3.5e7) + b"\x86\x94"
    repeat(b"(" + pair * 1000 + b"e", size, out)
    out.write(b".")


def dicts(size, out):
    """Small dicts with every key and dict in the memo under an index of its own (protocol 2, as torch writes)."""
    out.write(b"\x80\x02]q\x00" + b"(X\x02\x00\x00\x00idq\x01X\x04\x00\x00\x00nameq\x02X\x05\x00\x00\x00scoreq\x031")
    written, index = 0, 4  # the keys stay in the memo only
    while written < size:
        batch = [b"("]
        for _ in range(1000):
            batch.append(
                b"}r" + struct.pack("<I", index) + b"(h\x01J" + struct.pack("<I", index) + b"h\x02" + text(f"n{index}")
                + b"r" + struct.pack("<I", index + 1) + b"h\x03G?\xe0\x00\x00\x00\x00\x00\x00u"
            )
            index += 2
        batch.append(b"e")
        written += out.write(b"".join(batch))
    out.write(b".")


def repeat(batch, size, out):
    for _ in range(max(1, size // len(batch))):
        out.write(batch)


def data_pkl(records, numbers):
    """The state dict of a checkpoint with that many tensors, as `torch.save` lays it out."""
    out = [b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01("]
    for i in range(records):
        out.append(
            text(f"layers.{i}.weight") + b"ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage")
            + b"ctorch\nFloatStorage\n" + text(str(i)) + text("cpu") + b"J" + struct.pack("<i", numbers) + b"tQK\x00J"
            + struct.pack("<i", numbers) + b"\x85K\x01\x85\x89h\x00)RtR"
        )
    return b"".join(out) + b"u."


class Sparse:
    """A file in which zeros are left out; it has its full length and takes no room."""

    def __init__(self, path):
        self.file = open(path, "wb")
        self.tell, self.seek, self.flush = self.file.tell, self.file.seek, self.file.flush

    def write(self, data):
        if len(data) > 4096 and not any(data[:64]) and data == bytes(len(data)):
            self.file.seek(len(data), os.SEEK_CUR)
            return len(data)
        return self.file.write(data)


def checkpoint(path, size, records=5000):
    numbers = size // records // 4
    with zipfile.ZipFile(Sparse(path), "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", data_pkl(records, numbers))
        archive.writestr("archive/byteorder", b"little")
        zeros = bytes(numbers * 4)
        for i in range(records):
            archive.writestr(f"archive/data/{i}", zeros)
        archive.writestr("archive/version", b"3\n")


def small(i):
    """Some 300 bytes: a dict of numbers."""
    items = b"".join(text(f"key{k}") + b"M" + struct.pack("<H", i + k) for k in range(24))
    return b"\x80\x04}\x94(" + items + b"u."


KINDS = {"ints": ints, "tuples": tuples, "dicts": dicts}


def make(folder, full, reduced, zip_size):
    """Makes what is missing; a name carries its size, so that another size makes another file."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for kind, emit in KINDS.items():
        for label, size in (("full", full), ("reduced", reduced)):
            made[kind, label] = once(folder / f"{kind}-{size}MB.pkl", lambda path: write(path, emit, size * MB))
    made["zip"] = once(folder / f"checkpoint-{zip_size}MB.pt", lambda path: checkpoint(path, zip_size * MB))
    made["tiny"] = once(folder / "tiny.pkl", lambda path: path.write_bytes(small(1)))
    many = folder / "many"
    if not many.exists():
        many.mkdir()
        for i in range(1000):
            (many / f"{i:04}.pkl").write_bytes(small(i))
    made["many"] = many
    return made


def write(path, emit, size):
    with open(path, "wb") as out:
        emit(size, out)


def once(path, create):
    if not path.exists():
        part = path.with_name(path.name + ".part")
        create(part)
        part.rename(path)
    return path


# -- peers ---------------------------------------------------------------------------------------------------------------

def install(folder, packages):
    venv = folder / "peers"
    if not (venv / "bin" / "pip").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "--quiet", *packages], check=True)
    listed = subprocess.run([venv / "bin" / "pip", "list", "--format", "json"], check=True, capture_output=True).stdout
    versions = {row["name"]: row["version"] for row in json.loads(listed)}
    return venv / "bin", {name: versions[name] for name in packages}


# -- measuring -----------------------------------------------------------------------------------------------------------

class Measure:
    """Medians over the runs of one command."""

    def __init__(self, command, runs, patience):
        self.walls, self.memory, self.codes = [], [], set()
        command = [str(part) for part in command]
        spent = 0.0
        self.once(command)  # a warm-up: the page cache is warm for all alike
        if self.walls[0] < patience:
            self.walls, self.memory = [], []
            while len(self.walls) < runs and spent < patience:
                self.once(command)
                spent += self.walls[-1]
        self.wall = statistics.median(self.walls)
        self.peak = statistics.median(self.memory)

    def once(self, command):
        nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
        start = time.perf_counter()
        pid = os.posix_spawnp(command[0], command, os.environ, file_actions=nowhere)
        _, status, usage = os.wait4(pid, 0)
        self.walls.append(time.perf_counter() - start)
        self.memory.append(usage.ru_maxrss * 1024)
        self.codes.add(os.waitstatus_to_exitcode(status))

    def __str__(self):
        note = "" if len(self.walls) == 5 else f" ({len(self.walls)} runs)"
        # A child's peak starts at what its parent had when it was started: below that it cannot be seen.
        peak = f"< {FLOOR / MB:.0f} MB" if self.peak <= FLOOR else f"{self.peak / MB:,.0f} MB"
        return f"{seconds(self.wall)}, {peak}{note}"


def floor(runs=3):
    return max(Measure(["true"], runs, 1).memory) * 1.05


FLOOR = 0


def seconds(value):
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"


def ratio(ours, other):
    return f"{ours.wall / other.wall:.2f}" if other else "-"


def report_of(binary, path):
    done = subprocess.run([binary, "scan", "--format", "json", path], capture_output=True, check=False)
    report = json.loads(done.stdout)
    summary = report["summary"]
    # A scan that gave up early would look fast.
    if report["verdict"] != "clean" or summary["clean"] != summary["artifacts"]:
        sys.exit(f"{path}: the inputs are harmless, but the answer is {report['verdict']}: {done.stdout[:2000]!r}")
    return summary


def table(rows, header):
    print("| " + " | ".join(header) + " |")
    print("|" + "---|" * len(header))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target" / "release" / "modelscan")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--patience", type=float, default=60, help="seconds after which a command is not run again")
    parser.add_argument("--pickle-mb", type=int, default=200)
    parser.add_argument("--reduced-mb", type=int, default=10, help="size of the pickles that the peers get")
    parser.add_argument("--zip-mb", type=int, default=2000)
    parser.add_argument("--modelaudit", action="store_true", help="measure modelaudit too; it is slow to install and to run")
    parser.add_argument("--no-peers", action="store_true", help="measure against sha256sum and cat only")
    args = parser.parse_args()
    default = pathlib.Path(tempfile.gettempdir()) / "modelscan-bench"
    folder = pathlib.Path(os.environ.get("MODELSCAN_BENCH_DIR", default))
    if os.environ.get("MODELSCAN_BENCH_MAKE"):
        make(folder, args.pickle_mb, args.reduced_mb, args.zip_mb)
        return
    # In a process of its own: a child's peak memory starts at what its parent ever had.
    subprocess.run([sys.executable, __file__, *sys.argv[1:]], check=True, env={**os.environ, "MODELSCAN_BENCH_MAKE": "1"})
    made = make(folder, args.pickle_mb, args.reduced_mb, args.zip_mb)
    peers, versions = {}, {}
    if not args.no_peers:
        names = ["picklescan"] + ["modelaudit"] * args.modelaudit
        bin_folder, versions = install(folder, names)
        peers["picklescan"] = lambda path: [bin_folder / "picklescan", "-p", path]
        if args.modelaudit:
            peers["modelaudit"] = lambda path: [bin_folder / "modelaudit", "scan", path]
    global FLOOR
    FLOOR = floor()
    measure = lambda command: Measure(command, args.runs, args.patience)
    compare(args.binary, made, measure, args)
    if peers:
        compare_peers(args.binary, made, peers, measure, args)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    print(f"{time.strftime('%Y-%m-%d')}; {cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}; "
          f"median of {args.runs} runs with a warm page cache; " + ", ".join(f"{k} {v}" for k, v in versions.items()))


def inputs(made, label, size):
    for kind in KINDS:
        yield f"pickle of {kind}, {size} MB", made[kind, label]
    yield "checkpoint (zip), 5,000 tensors", made["zip"]
    yield "one tiny pickle", made["tiny"]
    yield "1,000 small pickles", made["many"]


def compare(binary, made, measure, args):
    rows = []
    for name, path in inputs(made, "full", args.pickle_mb):
        summary = report_of(binary, path)
        ours = measure([binary, "scan", "--format", "json", path])
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        hashed, read = measure(["sha256sum", *files]), measure(["cat", *files])
        rows.append([name, str(ours), f"{summary['bytes_read'] / MB:,.2f} of {summary['bytes'] / MB:,.2f} MB",
                     seconds(hashed.wall), seconds(read.wall), ratio(ours, hashed), ratio(ours, read)])
    table(rows, ["input", "modelscan: time, peak memory", "bytes read", "sha256sum", "cat", "to sha256sum", "to cat"])


def compare_peers(binary, made, peers, measure, args):
    rows = []
    for name, path in inputs(made, "reduced", args.reduced_mb):
        ours = measure([binary, "scan", "--format", "json", path])
        theirs = [measure(command(path)) for command in peers.values()]
        rows.append([name, str(ours), *map(str, theirs), *[f"{one.wall / ours.wall:,.0f}x" for one in theirs]])
    table(rows, ["input", "modelscan", *peers, *[f"{peer} takes" for peer in peers]])


if __name__ == "__main__":
    main()
