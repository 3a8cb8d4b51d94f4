#!/usr/bin/env python3
"""Random checkpoints, converted by modelscan and read back by the official reader of safetensors, compared with what torch loads.

    convert_live.py MODELSCAN FOLDER [--count N] [--seed N] [--only N]

Writes `N.pt` and `N.safetensors` below FOLDER; those of a failure stay there. Needs torch and safetensors, and says so aloud where they
are missing. The same seed makes the same checkpoints. `--only N` looks at one of them again.
"""

import argparse
import collections
import io
import pathlib
import random
import subprocess
import sys
import zipfile

try:
    import torch
except ImportError:
    print("skipped: torch is not importable")
    sys.exit(0)
try:
    from safetensors import safe_open
except ImportError:
    print("skipped: safetensors is not importable")
    sys.exit(0)

# The second row has storages without a type, which the legacy stream cannot hold.
TYPED = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool", "complex64")
UNTYPED = ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn_x2")
WORDS = ("weight", "bias", "layer", "0", "1", "model", "exp_avg", "a b", "\u00fc", "x.y", "state_dict", "", "optimizer", "\u4e2d")
LONGEST = 60  # seconds for one conversion of a few kilobytes


class Maker:
    """One random checkpoint."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.legacy = self.random.random() < 0.3
        kinds = TYPED if self.legacy else TYPED + UNTYPED
        self.kinds = [getattr(torch, name) for name in kinds if hasattr(torch, name)]
        self.pool = []

    def base(self):
        kind = self.random.choice(self.kinds)
        packed = str(kind) == "torch.float4_e2m1fn_x2"  # two in a byte: the last rank is theirs
        shape = [self.random.choice((0, 1, 2, 3, 4, 5, 7) if self.random.random() < 0.15 else (1, 2, 3, 4, 5, 7)) for _ in range(self.random.randrange(packed, 5))]
        count = 1
        for size in shape:
            count *= size
        width = torch.empty(0, dtype=kind).element_size()
        data = bytearray(self.random.getrandbits(8) for _ in range(count * width))
        if kind == torch.bool:
            data = bytearray(byte & 1 for byte in data)
        if not data:
            return torch.zeros(shape, dtype=torch.uint8).view(kind) if width == 1 else torch.zeros(shape, dtype=kind)
        return torch.frombuffer(data, dtype=torch.uint8).clone().view(kind).reshape(shape)

    def view(self, tensor):
        """A tensor of the same storage, seen another way."""
        packed = str(tensor.dtype) == "torch.float4_e2m1fn_x2"
        for _ in range(self.random.randrange(1, 4)):
            ranks = list(range(tensor.dim() - packed))
            way = self.random.randrange(8)
            if way == 0 and len(ranks) > 1:
                tensor = tensor.transpose(*self.random.sample(ranks, 2))
            elif way == 1 and ranks:
                rank = self.random.choice(ranks)
                if tensor.shape[rank]:
                    tensor = tensor.select(rank, self.random.randrange(tensor.shape[rank]))
            elif way == 2 and ranks:
                rank = self.random.choice(ranks)
                start = self.random.randrange(tensor.shape[rank] + 1)
                place = [slice(None)] * tensor.dim()
                place[rank] = slice(start, None, self.random.randrange(1, 4))
                tensor = tensor[tuple(place)]
            elif way == 3 and not packed:
                tensor = tensor.unsqueeze(self.random.randrange(tensor.dim() + 1))
            elif way == 4 and 1 in tensor.shape[: len(ranks)]:
                shape = [self.random.randrange(1, 4) if size == 1 and rank in ranks else size for rank, size in enumerate(tensor.shape)]
                tensor = tensor.expand(shape)
            elif way == 5 and ranks:
                rank = self.random.choice(ranks)
                if tensor.shape[rank] > 1:
                    tensor = tensor.unfold(rank, 2, 1) if not packed else tensor
            elif way == 6 and tensor.dtype == torch.complex64:
                tensor = tensor.conj()
            elif way == 7 and tensor.dtype in (torch.float32, torch.float64, torch.float16, torch.complex64, torch.int32):
                tensor = torch._neg_view(tensor)
        return tensor

    def tensor(self):
        if self.pool and self.random.random() < 0.35:
            tensor = self.random.choice(self.pool)
            if self.random.random() < 0.6:
                tensor = self.view(tensor)
        else:
            tensor = self.base()
            if self.random.random() < 0.3:
                tensor = self.view(tensor)
        self.pool.append(tensor)
        if tensor.dtype in (torch.float32, torch.float16) and self.random.random() < 0.2:
            return torch.nn.Parameter(tensor, requires_grad=self.random.random() < 0.5)
        return tensor

    def key(self):
        return self.random.randrange(-5, 100) if self.random.random() < 0.2 else self.random.choice(WORDS)

    def leaf(self):
        if self.random.random() < 0.8:
            return self.tensor()
        return self.random.choice((None, 3, -1.5, "text", b"\0\xff", True, (), torch.Size([2, 3]), torch.float16, 1 << 70))

    def module(self):
        torch.manual_seed(self.random.randrange(1 << 30))
        return torch.nn.Sequential(collections.OrderedDict(one=torch.nn.Linear(3, 2), norm=torch.nn.BatchNorm1d(2), inner=torch.nn.Sequential(torch.nn.Embedding(3, 2))))

    def node(self, depth):
        roll = self.random.random()
        if depth == 0 or roll < 0.25 and depth < 5:
            return self.leaf()
        if roll < 0.3 and not self.legacy:
            return self.module()
        many = self.random.randrange(6)
        if roll < 0.75:
            kind = dict if roll < 0.6 else collections.OrderedDict
            return kind((self.key(), self.node(depth - 1)) for _ in range(many))
        return (list if roll < 0.9 else tuple)(self.node(depth - 1) for _ in range(many))

    def root(self):
        """Until there is a tensor in it, and no two of one name."""
        while True:
            self.pool = []
            thing = self.node(5 if self.random.random() < 0.9 else 0)
            if self.random.random() < 0.15:
                thing = {"epoch": 3, "state_dict": thing if isinstance(thing, dict) else {"w": thing}}
            names = [name for name, _ in named(thing)]
            if names and len(names) == len(set(names)):
                return thing

    def saved(self, thing):
        out = io.BytesIO()
        options = {} if self.legacy or self.random.random() < 0.8 else {"_disable_byteorder_record": True}
        torch.save(thing, out, pickle_protocol=self.random.choice((2, 2, 2, 1, 3, 4, 5)), _use_new_zipfile_serialization=not self.legacy, **options)
        data = out.getvalue()
        if not self.legacy and self.random.random() < 0.2:
            out = io.BytesIO()
            with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(out, "w", self.random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as written:
                for name in read.namelist():
                    written.writestr(name, read.read(name))
            data = out.getvalue()
        return data


def found(thing, path=()):
    """Paths and tensors. A part of a path is its text and whether it is a key."""
    if isinstance(thing, torch.Tensor):
        yield path, thing
    elif isinstance(thing, torch.nn.Module):
        for name, value in thing.state_dict().items():
            yield path + ((name, True),), value
    elif isinstance(thing, dict):
        for key, value in thing.items():
            yield from found(value, path + ((str(key), True),))
    elif isinstance(thing, list | tuple):
        for place, value in enumerate(thing):
            yield from found(value, path + ((str(place), False),))


def state_dict_root(path):
    for depth in range(1, len(path)):
        if path[depth - 1] == ("state_dict", True):
            return path[:depth]
    return ()


def named(thing):
    """The names that `modelscan convert` gives: a bare tensor is `tensor`, and what stands under one `state_dict` only is named from there."""
    tensors = list(found(thing))
    roots = {state_dict_root(path) for path, _ in tensors}
    cut = len(roots.pop()) if len(roots) == 1 else 0
    return [(".".join(text for text, _ in path[cut:]) if path else "tensor", tensor) for path, tensor in tensors]


def content(tensor):
    """Type, shape and bytes in row order; types that cannot be copied as themselves are seen as integers."""
    tensor = tensor.detach()
    neg, conj = tensor.is_neg(), tensor.is_conj()
    if (neg or conj) and (tensor.is_complex() or tensor.is_floating_point()):
        # torch's own negative of a signalling NaN depends on type and length. What is meant is the sign, and nothing else.
        tensor = torch._neg_view(tensor) if neg else tensor
        tensor = (tensor.conj() if conj else tensor).clone(memory_format=torch.contiguous_format)
        parts = torch.view_as_real(tensor) if tensor.is_complex() else tensor
        bits = parts.view({2: torch.int16, 4: torch.int32, 8: torch.int64}[parts.element_size()])
        sign = torch.iinfo(bits.dtype).min
        if tensor.is_complex():
            bits[..., 0] ^= sign if neg else 0
            bits[..., 1] ^= sign if neg != conj else 0
        else:
            bits ^= sign if neg else 0
    tensor = tensor.resolve_conj().resolve_neg()
    seen = tensor.view({1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[tensor.element_size()])
    return tensor.dtype, tuple(tensor.shape), seen.clone(memory_format=torch.contiguous_format).numpy().tobytes()


def differences(expected, path, expand):
    """`expected` by name. A tensor that is the same as another may be left out where the metadata says whose name it shares."""
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        read = {name: content(file.get_tensor(name)) for name in file.keys()}
    for name in sorted(set(read) - set(expected)):
        yield f"{name!r} is in the output and not in the checkpoint"
    for name, wanted in expected.items():
        kept = name if name in read else None if expand else metadata.get(name)
        if kept not in read:
            yield f"{name!r} is missing"
            continue
        for what, one, other in zip(("type", "shape", "numbers"), wanted, read[kept]):
            if one != other:
                yield f"{name!r}: {what}: torch has {short(one)}, the output {short(other)}"
                break


def short(thing):
    return thing[:24].hex() if isinstance(thing, bytes) else thing


def attempt(modelscan, source, expand):
    """Everything that is wrong with the conversion of one file."""
    target = source.with_suffix(".safetensors")
    target.unlink(missing_ok=True)
    expected = {name: content(tensor) for name, tensor in named(torch.load(source, weights_only=False))}
    command = [modelscan, "convert", source, "-o", target, "--force"] + ["--expand-tied"] * expand
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return [f"not done after {LONGEST} s"]
    if done.returncode:
        left = ["something is left at the output"] if target.exists() else []
        return [f"code {done.returncode}: {(done.stderr or done.stdout).strip()[-500:]}"] + left
    try:
        return list(differences(expected, target, expand))
    except Exception as error:
        return [f"the official reader says: {error}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modelscan", type=lambda text: str(pathlib.Path(text).resolve()))
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    passed = failed = 0
    for number in range(options.count) if options.only is None else [options.only]:
        maker = Maker(f"{options.seed} {number}")
        source = options.folder / f"{number}.pt"
        source.write_bytes(maker.saved(maker.root()))
        wrong = attempt(options.modelscan, source, expand=number % 3 == 2)
        if wrong:
            failed += 1
            print(f"{source}: " + "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more" if len(wrong) > 5 else ""))
        else:
            passed += 1
            source.unlink()
            source.with_suffix(".safetensors").unlink()
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
