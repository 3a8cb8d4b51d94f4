#!/usr/bin/env python3
"""What a conversion costs, against copying the same bytes and against torch, in the same run.

Makes one input after the other, in memory and then on a disk, measures it with a warm page cache, the commands in turns,
and removes it. A place in memory syncs for nothing; on a disk the peer is a copy that is synced too, as a result of ours is.
With torch (in a virtual environment that is made in MODELSCAN_BENCH_DIR, or --venv) the inputs are what `torch.save` writes;
without it they are laid out as it does. See README.md beside this file.
"""
import argparse
import dataclasses
import json
import os
import pathlib
import pickle
import platform
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import zipfile

from scan import MB, install, once, seconds, table, text

ROOT = pathlib.Path(__file__).resolve().parent.parent


# -- inputs --------------------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Input:
    """Tensors of random floats."""
    title: str
    tensors: int
    shape: tuple
    layout: str = "zip"  # zip, legacy, deflated
    transposed: bool = False

    def length(self):
        """Bytes of one tensor."""
        return self.shape[0] * self.shape[1] * 4

    def name(self):
        turned = "-transposed" * self.transposed
        return f"{self.layout}-{self.tensors}x{self.shape[0]}x{self.shape[1]}{turned}.pt"


INPUTS = {
    "5000": Input("2.2 GB, 5,000 tensors", 5000, (275, 400)),
    "400": Input("2.2 GB, 400 tensors", 400, (1250, 1100)),
    "50000": Input("2.2 GB, 50,000 tensors", 50000, (100, 110)),
    "legacy": Input("2.2 GB, 5,000 tensors, legacy stream", 5000, (275, 400), layout="legacy"),
    "transposed": Input("2.2 GB, 5,000 tensors, all transposed", 5000, (275, 400), transposed=True),
    "deflated": Input("0.44 GB, 1,000 tensors, deflated", 1000, (275, 400), layout="deflated"),
}


def state_dict(kind, storage):
    """The object as torch describes it (protocol 2); `storage` gives the persistent id of a tensor's numbers."""
    rows, columns = kind.shape
    size, stride = ((columns, rows), (1, columns)) if kind.transposed else ((rows, columns), (columns, 1))
    pair = lambda a, b: b"M" + struct.pack("<H", a) + b"M" + struct.pack("<H", b) + b"\x86"
    out = [b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01("]
    for i in range(kind.tensors):
        out.append(text(f"layers.{i}.weight") + b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(i, rows * columns)
                   + b"QK\x00" + pair(*size) + pair(*stride) + b"\x89h\x00)RtR")
    return b"".join(out) + b"u."


def storage_id(i, count, view=b""):
    return (b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text(str(i)) + text("cpu") + b"J"
            + struct.pack("<i", count) + view + b"t")


def numbers(kind):
    """Tensor after tensor, cut out of one block of random bytes at places that do not repeat soon."""
    length, block = kind.length(), os.urandom(64 << 20)
    for i in range(kind.tensors):
        at = i * 7_919_113 % (len(block) - length)
        yield memoryview(block)[at:at + length]


def write_plain(kind, path):
    if kind.layout == "legacy":
        with open(path, "wb") as out:
            sizes = {"short": 2, "int": 4, "long": 4}
            for value in (0x1950a86a20f9469cfc6c, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}):
                pickle.dump(value, out, protocol=2)
            out.write(state_dict(kind, lambda i, count: storage_id(i, count, b"N")))
            pickle.dump([str(i) for i in range(kind.tensors)], out, protocol=2)
            for data in numbers(kind):
                out.write(struct.pack("<q", len(data) // 4))
                out.write(data)
        return
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        def record(name, data):
            # Records start at multiples of 64 bytes: what is lacking is a field of zeros, as torch does it.
            info = zipfile.ZipInfo(f"archive/{name}")
            room = -(archive.fp.tell() + 30 + len(info.filename) + 4) % 64
            info.extra = struct.pack("<2sH", b"FB", room) + bytes(room)
            archive.writestr(info, data)
        record("data.pkl", state_dict(kind, storage_id))
        record("byteorder", b"little")
        for i, data in enumerate(numbers(kind)):
            record(f"data/{i}", bytes(data))
        record("version", b"3\n")


def write_torch(kind, path):
    import torch
    def tensor():
        numbers = torch.randint(-2**31, 2**31, kind.shape, dtype=torch.int32).view(torch.float32)
        return numbers.t() if kind.transposed else numbers
    tensors = {f"layers.{i}.weight": tensor() for i in range(kind.tensors)}
    torch.save(tensors, path, _use_new_zipfile_serialization=kind.layout != "legacy")


def write_deflated(kind, path, write):
    """The records of a zip packed: of each number the lower half is zero, as in what was widened from bf16."""
    stored = path.with_name(path.name + ".stored")
    write(dataclasses.replace(kind, layout="zip"), stored)
    with zipfile.ZipFile(stored) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for name in source.namelist():
            data = source.read(name)
            if len(data) == kind.length():
                data = bytearray(data)
                data[0::4] = data[1::4] = bytes(len(data) // 4)
            packed.writestr(name, bytes(data), zipfile.ZIP_DEFLATED if len(data) == kind.length() else zipfile.ZIP_STORED)
    stored.unlink()


def make(name, path, with_torch):
    kind, write = INPUTS[name], write_torch if with_torch else write_plain
    if kind.layout == "deflated":
        return once(path, lambda part: write_deflated(kind, part, write))
    return once(path, lambda part: write(kind, part))


# -- peers that need torch: run by the interpreter of the environment -----------------------------------------------------

def peer_convert(source, out):
    import torch
    from safetensors.torch import save_file
    save_file({name: tensor.contiguous() for name, tensor in torch.load(source, weights_only=True).items()}, out)


def peer_load(source, converted):
    """Times of one process, in milliseconds, imports left out."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import load_file
    times = {}

    def timed(what, work):
        start = time.perf_counter()
        work()
        times[what] = (time.perf_counter() - start) * 1000

    def first():
        with safe_open(converted, "pt") as file:
            file.get_tensor("layers.0.weight").sum()

    def mapped():
        with safe_open(converted, "pt") as file:
            for key in file.keys():
                file.get_tensor(key)

    def copied():
        with safe_open(converted, "pt") as file:
            kept = [file.get_tensor(key).clone() for key in file.keys()]
        return kept

    torch.zeros(1).sum()
    timed("torch.load(mmap=True)", lambda: torch.load(source, weights_only=True, mmap=True))
    timed("torch.load", lambda: torch.load(source, weights_only=True))
    timed("safe_open, first", first)
    timed("safe_open, all mapped", mapped)
    timed("safe_open, all copied", copied)
    timed("load_file", lambda: load_file(converted))
    print(json.dumps(times))


# -- measuring -----------------------------------------------------------------------------------------------------------

class Tool:
    """One command, run again and again; `{out}` is a file that it makes."""

    def __init__(self, name, command):
        self.name, self.command = name, [str(part) for part in command]
        self.walls, self.cpus, self.peaks = [], [], []

    def once(self, out, noted=True):
        command = [part.replace("{out}", str(out)) for part in self.command]
        nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)]
        start = time.perf_counter()
        pid = os.posix_spawnp(command[0], command, os.environ, file_actions=nowhere)
        _, status, usage = os.wait4(pid, 0)
        wall = time.perf_counter() - start
        if os.waitstatus_to_exitcode(status) or not out.exists():
            sys.exit(f"{' '.join(command)}: ended with {os.waitstatus_to_exitcode(status)}")
        size = out.stat().st_size
        out.unlink()  # with what is not written yet: the next one does not pay for it
        if noted:
            self.walls.append(wall)
            self.cpus.append(usage.ru_utime + usage.ru_stime)
            self.peaks.append(usage.ru_maxrss * 1024)
        return size

    wall = property(lambda self: statistics.median(self.walls))
    cpu = property(lambda self: statistics.median(self.cpus))
    peak = property(lambda self: statistics.median(self.peaks))


def tools(args, source, python, every):
    convert = [args.binary, "convert", "--quiet", source, "-o", "{out}"]
    found = [
        Tool("cp", ["cp", source, "{out}"]),
        Tool("cp, then sync", ["sh", "-c", f'cp "{source}" "{{out}}" && sync "{{out}}"']),
        Tool("convert", convert),
    ]
    if every:
        found += [
            Tool("convert --sha256", [*convert, "--sha256"]),
            Tool("convert --sha256 --verify", [*convert, "--sha256", "--verify"]),
            Tool("convert --dtype bf16", [*convert, "--dtype", "bf16"]),
        ]
    if python:
        found.append(Tool("torch.load, save_file", [python, __file__, "--peer-convert", source, "{out}"]))
    return found


def warm(path):
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def measure(name, place, args, python):
    source = place / INPUTS[name].name()
    # In a process of its own: a child's peak memory starts at what its parent ever had.
    how = [] if python else ["--no-peers"]
    made = subprocess.run([python or sys.executable, __file__, "--make", name, source, *how], check=False)
    if made.returncode:
        sys.exit(f"{source} could not be made")
    every = name == "5000"
    runs = tools(args, source, python, every)
    warm(source)
    out = place / "out"
    wanted = INPUTS[name].tensors * INPUTS[name].length()
    for tool in runs if args.warm_up else []:
        size = tool.once(out, noted=False)
        lacking = wanted // 2 if "bf16" in tool.name else wanted
        if "cp" not in tool.name and size < lacking:
            sys.exit(f"{tool.name}: {size} bytes are too few")
    for _ in range(args.runs):
        for tool in runs:
            tool.once(out)
    copy, synced = runs[0], runs[1]
    peak = lambda tool: f"{tool.peak / MB:,.0f} MB"
    rows = [[tool.name, seconds(tool.wall), seconds(tool.cpu), peak(tool), f"{min(tool.walls):.2f} to {max(tool.walls):.2f}",
             f"{tool.wall / copy.wall:.2f}", f"{tool.wall / synced.wall:.2f}", f"{tool.cpu / copy.cpu:.2f}"] for tool in runs]
    print(f"{INPUTS[name].title}; {'in memory' if in_memory(place) else 'on a disk'}; load {os.getloadavg()[0]:.1f}\n")
    table(rows, ["", "wall", "CPU", "peak memory", "wall, from to (s)", "wall to cp", "wall to cp and sync", "CPU to cp"])
    if every and args.load_bench.exists():
        library(source, out, args, python)
    if not args.keep:
        source.unlink()


def library(source, converted, args, python):
    """Loading: ours and theirs in turns, a new process each time."""
    subprocess.run([args.binary, "convert", "--quiet", source, "-o", converted], check=True)
    ours, theirs = {}, {}
    for _ in range(args.runs):
        lines = subprocess.run([args.load_bench, source, "1"], check=True, capture_output=True, text=True).stdout
        for what, value in (line.split("\t") for line in lines.splitlines()):
            ours.setdefault(what, []).append(float(value))
        if python:
            done = subprocess.run([python, __file__, "--peer-load", source, converted], check=True, capture_output=True)
            for what, value in json.loads(done.stdout).items():
                theirs.setdefault(what, []).append(value)
    converted.unlink()
    median = lambda times: f"{statistics.median(times):,.1f} ms"
    plan = [opened - cleared for opened, cleared in zip(ours["open"], ours["clear"])]
    titles = {
        "open": "`loader::open`: cleared and planned", "clear": "of that, clearing",
        "first": "from start to the numbers of the first tensor", "each": "from start, all read, one at a time",
        "all": "from start, all read and kept",
    }
    rows = [[title, median(ours[what])] for what, title in titles.items()]
    rows.insert(2, ["of that, planning (the difference)", median(plan)])
    both = [opened + mapped for opened, mapped in zip(ours["open"], ours["mapped"])]
    rows.append(["from start to all tensors mapped", median(both)])
    table(rows + [[what, median(times)] for what, times in theirs.items()], ["library, 5,000 tensors", "time"])


def in_memory(place):
    done = subprocess.run(["stat", "-f", "-c", "%T", place], check=True, capture_output=True, text=True)
    return done.stdout.strip() in ("tmpfs", "ramfs")


def environment(args, folder):
    """The interpreter that has torch, and what is in it."""
    if args.no_peers:
        return None, ""
    names = ["torch", "safetensors", "numpy"]
    if args.venv:
        python = args.venv / "bin" / "python"
        asked = "import torch, safetensors; print(torch.__version__, safetensors.__version__)"
        found = subprocess.run([python, "-c", asked], check=True, capture_output=True, text=True).stdout.split()
        return python, f"torch {found[0]}, safetensors {found[1]}"
    bin_folder, versions = install(folder, names)
    return bin_folder / "python", ", ".join(f"{name} {versions[name]}" for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target" / "release" / "modelscan")
    parser.add_argument("--load-bench", type=pathlib.Path, default=ROOT / "target" / "release" / "examples" / "load_bench")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--inputs", default=",".join(INPUTS), help="in memory, which of " + ", ".join(INPUTS))
    parser.add_argument("--disk-inputs", default="5000", help="on the disk, which of them")
    parser.add_argument("--disk-runs", type=int, help="as --runs, on the disk")
    parser.add_argument("--memory", type=pathlib.Path, default=pathlib.Path("/dev/shm"), help="a folder in memory; 12 GB free")
    parser.add_argument("--venv", type=pathlib.Path, help="an environment that has torch and safetensors")
    parser.add_argument("--no-peers", action="store_true", help="measure against cp only, with inputs made without torch")
    parser.add_argument("--no-warm-up", dest="warm_up", action="store_false", help="count the first run of each command too")
    parser.add_argument("--keep", action="store_true", help="keep the inputs")
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--peer-convert", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--peer-load", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that inputs and outputs go
    if args.make:
        make(args.make[0], pathlib.Path(args.make[1]), not args.no_peers)
        return
    if args.peer_convert:
        peer_convert(*args.peer_convert)
        return
    if args.peer_load:
        peer_load(*args.peer_load)
        return
    folder = pathlib.Path(os.environ.get("MODELSCAN_BENCH_DIR", pathlib.Path(tempfile.gettempdir()) / "modelscan-bench"))
    folder.mkdir(parents=True, exist_ok=True)
    python, versions = environment(args, folder)
    for place, names in ((args.memory, args.inputs), (folder, args.disk_inputs)):
        names = [name for name in names.split(",") if name]
        if not names:
            continue
        here = pathlib.Path(tempfile.mkdtemp(prefix="convert-", dir=place))
        if place == folder and args.disk_runs:
            args.runs = args.disk_runs
        try:
            for name in names:
                measure(name, here, args, python)
        finally:
            if not args.keep:
                shutil.rmtree(here)
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown")
    print(f"{time.strftime('%Y-%m-%d')}; {cpu}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}; "
          f"medians with a warm page cache; {versions}")


if __name__ == "__main__":
    main()
