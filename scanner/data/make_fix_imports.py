#!/usr/bin/env python3
"""Write fix_imports.tsv, the Python 2 to 3 import map, from this CPython's own `_compat_pickle`.

Modules that newer CPythons dropped from their table stay in ours, since older ones still map them.
Run with the newest CPython at hand. With `--check` nothing is written: the file beside this script
must already hold exactly what would be written, else the exit code is 1.
"""

import _compat_pickle
import pathlib
import sys

TARGET = pathlib.Path(__file__).with_name("fix_imports.tsv")
# Removed from _compat_pickle in 3.13, mapped by every CPython 3 before it.
DROPPED_MODULES = {"Tix": "tkinter.tix"}
HEADER = "kind\tpy2_module\tpy2_name\tpy3_module\tpy3_name"


def rows():
    for (module, name), (new_module, new_name) in _compat_pickle.NAME_MAPPING.items():
        yield ("name", module, name, new_module, new_name)
    for module, new_module in {**DROPPED_MODULES, **_compat_pickle.IMPORT_MAPPING}.items():
        yield ("module", module, "*", new_module, "*")


def text():
    # Names stand before modules because that is the order of the look-up; inside a kind, bytewise.
    ordered = sorted(rows(), key=lambda row: (row[0] != "name", [field.encode() for field in row]))
    return "\n".join([HEADER] + ["\t".join(row) for row in ordered]) + "\n"


def main():
    wanted = text()
    if "--check" in sys.argv[1:]:
        same = TARGET.exists() and TARGET.read_text() == wanted
        print("fix_imports.tsv", "agrees with" if same else "DIFFERS from", sys.version.split()[0])
        return 0 if same else 1
    TARGET.write_text(wanted)
    print(f"{TARGET.name}: {wanted.count(chr(10)) - 1} rows from CPython {sys.version.split()[0]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
