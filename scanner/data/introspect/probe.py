"""Runs inside one environment of releases.toml: make objects, pickle them, print what their pickles name.

    python probe.py sklearn scipy ... > result.json

Never unpickles anything. Runs on CPython 3.6 and later. An object that a release does not have or cannot
pickle is skipped and counted; introspect.py prints the counts, so that a recipe that never works is seen.
"""

import functools
import importlib
import inspect
import io
import json
import os
import pickle
import sys
import types
import warnings

import pickle_uses
import recipes
from classes import listed_classes, listings

warnings.simplefilter("ignore")

# What may run when the class is named in a pickle, an instance is made by NEWOBJ, filled by BUILD and
# dropped again. introspect.py wants a reviewed reason for whoever defines one of them.
HOOKS = ("__new__", "__del__", "__setstate__", "__setattr__", "__getattr__", "__getattribute__", "__hash__", "__eq__", "_missing_")
TRUSTED = (object, dict, list, tuple, set, frozenset, int, float, str, bytes, type, BaseException, Exception)


def dumps(thing):
    """The streams the standard pickler and joblib write for one object."""
    for protocol in range(0, min(5, pickle.HIGHEST_PROTOCOL) + 1):
        try:
            yield pickle.dumps(thing, protocol)
        except Exception:
            if protocol >= 2:
                raise
    try:
        from joblib.numpy_pickle import NumpyArrayWrapper, NumpyPickler
    except ImportError:
        return
    # joblib writes raw array bytes between opcodes; without them the stream reads as one pickle.
    kept = NumpyArrayWrapper.write_array
    NumpyArrayWrapper.write_array = lambda self, array, pickler: None
    try:
        out = io.BytesIO()
        NumpyPickler(out).dump(thing)
        yield out.getvalue()
    finally:
        NumpyArrayWrapper.write_array = kept


def torch_dumps(thing):
    import zipfile

    import torch

    for zipped in (True, False):
        out = io.BytesIO()
        try:
            torch.save(thing, out, _use_new_zipfile_serialization=zipped)
        except TypeError:  # before 1.4 there is only one way
            torch.save(thing, out)
        raw = out.getvalue()
        if raw[:2] == b"PK":
            with zipfile.ZipFile(io.BytesIO(raw)) as archive:
                yield from (archive.read(n) for n in archive.namelist() if n.endswith("data.pkl"))
        else:
            rest = io.BytesIO(raw)
            for _ in range(4):
                start = rest.tell()
                for _ in pickle_uses.pickletools.genops(rest):
                    pass
                yield raw[start : rest.tell()]


def hooks_of(cls):
    """`definer.hook` for every hook that a library class (not the interpreter) defines for this class."""
    found = set()
    for hook in HOOKS:
        for base in cls.__mro__:
            if hook in vars(base):
                if base not in TRUSTED and base.__module__.split(".")[0] not in ("builtins", "enum", "abc", "datetime", "typing", "collections"):
                    if vars(base)[hook] is not None:
                        found.add("%s.%s.%s" % (base.__module__, base.__qualname__, hook))
                break
    return sorted(found)


def resolve(module, name):
    try:
        return functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except Exception:
        return None


def kind_of(thing):
    if isinstance(thing, type):
        import enum

        return "enum" if issubclass(thing, enum.Enum) else "class"
    if isinstance(thing, types.ModuleType):
        return "module"
    return "function" if callable(thing) else "value"


def main():
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries talk on standard output
    uses, failed, made = {}, {}, 0
    for library in sys.argv[1:]:
        writers = [dumps] + ([torch_dumps] if library in ("torch", "transformers") else [])
        for label, thing in recipes.objects(library):
            print(label, file=sys.stderr)  # a native crash has no other trace
            if isinstance(thing, Exception):
                failed[label] = repr(thing)[:200]
                continue
            for writer in writers:
                try:
                    for stream in writer(thing):
                        for pair, how in pickle_uses.uses_of(stream).items():
                            uses.setdefault(pair, set()).update(how)
                    made += 1
                except Exception as error:
                    failed[label] = repr(error)[:200]
        for package, bases, skip in listings(library):
            for cls in listed_classes(package, bases, skip):
                uses.setdefault((cls.__module__, cls.__qualname__), set()).add("listed")
    rows = []
    for (module, name), how in sorted(uses.items()):
        thing = resolve(module, name)
        row = {"module": module, "name": name, "how": sorted(how), "kind": kind_of(thing) if thing is not None else "gone"}
        if isinstance(thing, type):
            row["hooks"] = hooks_of(thing)
            row["abstract"] = inspect.isabstract(thing)
        rows.append(row)
    versions = {name: str(found.__version__) for name, found in list(sys.modules.items()) if "." not in name and hasattr(found, "__version__")}
    versions = {name: version for name, version in versions.items() if name not in sys.builtin_module_names}
    json.dump({"versions": versions, "made": made, "failed": failed, "rows": rows}, result, indent=0)


if __name__ == "__main__":
    main()
