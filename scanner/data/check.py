#!/usr/bin/env python3
"""Verify the judgement tables: order, duplicates, vocabulary, and that they agree with each other.

Prints one line a problem and ends with code 1 if there is any. Needs nothing but Python 3.8.
"""

import fnmatch
import pathlib
import sys

HERE = pathlib.Path(__file__).parent
EFFECTS = {"inert", "unknown", "high", "critical"}
USES = {"value", "construct", "call"}
SEEN = {"NEWOBJ", "REDUCE", "BUILD", "import", "listed", "alias"}
CALLABLES = ["module", "name", "effect", "use", "category", "why", "source"]
LIBRARY = ["module", "name", "use", "releases", "how"]
SHAPES = ["module_pattern", "name_pattern", "effect", "why", "source"]
ARGUMENTS = ["module", "name", "rule"]
KERAS = ["module", "name", "kind", "release"]

problems = []


def complain(place, text):
    problems.append(f"{place}: {text}")


def read(path, header, key=2, ordered=True):
    """Rows of one table with their places, after checking what holds for all tables."""
    raw = path.read_bytes()
    if not raw.endswith(b"\n") or b"\r" in raw:
        complain(path.name, "must end with a newline and hold no carriage return")
    lines = raw.decode("utf-8").split("\n")[:-1]
    if not lines or lines[0].split("\t") != header:
        complain(path.name, f"header must be {' '.join(header)}")
        return []
    rows, before = [], None
    for number, line in enumerate(lines[1:], 2):
        place = f"{path.name}:{number}"
        fields = line.split("\t")
        if len(fields) != len(header):
            complain(place, f"{len(fields)} columns, wanted {len(header)}")
            continue
        if any(not field or field != field.strip() for field in fields):
            complain(place, "empty field or stray blank")
        this = tuple(field.encode() for field in fields[:key])
        if ordered and before is not None and this <= before:
            complain(place, "duplicate" if this == before else "not sorted")
        before = this
        rows.append((place, fields))
    return rows


def matches(pattern, text):
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]").replace("?", "[?]"))


def check_callables():
    table = {}
    for place, (module, name, effect, use, *_) in read(HERE / "callables.tsv", CALLABLES):
        if effect not in EFFECTS:
            complain(place, f"effect {effect}")
        if (effect == "inert") != (use in USES) or (effect != "inert" and use != "-"):
            complain(place, f"use {use} with effect {effect}")
        if effect == "inert" and "*" in module + name:
            complain(place, "a wildcard is never inert")
        if "*" in module or ("*" in name and name != "*"):
            complain(place, "patterns belong in shapes.tsv")
        table[module, name] = (effect, use)
    return table


def check_libraries(table):
    inert = {pair: use for pair, (effect, use) in table.items() if effect == "inert"}
    for path in sorted((HERE / "libraries").glob("*.tsv")):
        for place, (module, name, use, releases, how) in read(path, LIBRARY):
            if use not in USES:
                complain(place, f"use {use}")
            if "*" in module + name:
                complain(place, "a library has no wildcards")
            if not set(how.split(",")) <= SEEN:
                complain(place, f"how {how}")
            if (releases == "alias") != (how == "alias"):
                complain(place, "alias stands in both columns or in none")
            parts = module.split(".")
            for end in range(1, len(parts) + 1):
                whole = table.get((".".join(parts[:end]), "*"))
                if whole:
                    complain(place, f"stands in {'.'.join(parts[:end])}, which callables.tsv calls {whole[0]}")
            known = table.get((module, name))
            if known is not None and known != ("inert", use):
                complain(place, f"callables.tsv says {' '.join(known)}")
            if inert.setdefault((module, name), use) != use:
                complain(place, "another library file says otherwise")
    return inert


def check_shapes(inert):
    for place, (module, name, effect, *_) in read(HERE / "shapes.tsv", SHAPES):
        if effect not in EFFECTS - {"inert"}:
            complain(place, f"effect {effect}")
        if "*" not in module + name:
            complain(place, "no pattern: belongs in callables.tsv")
        if name == "*.*":
            continue  # tried after the exact pairs
        for pair in inert:
            if matches(module, pair[0]) and matches(name, pair[1]):
                complain(place, f"hides the inert pair {pair[0]} {pair[1]}")


def check_arguments(inert):
    readme = (HERE / "README.md").read_text()
    for place, (module, name, rule) in read(HERE / "arguments.tsv", ARGUMENTS):
        if inert.get((module, name)) != "call":
            complain(place, "not an inert call")
        if f"| `{rule}` |" not in readme:
            complain(place, f"rule {rule} is not in README.md")


def check_fix_imports(table):
    rows = read(HERE / "fix_imports.tsv", ["kind", "py2_module", "py2_name", "py3_module", "py3_name"], 3, False)
    kinds = [fields[0] for _, fields in rows]
    if kinds != sorted(kinds, key=["name", "module"].index):
        complain("fix_imports.tsv", "names stand before modules")
    for place, (kind, old, old_name, new, new_name) in rows:
        for (module, name), judged in table.items() if kind == "name" else ():
            if (module, name) == (old, old_name) and judged[0] == "inert":
                target = table.get((new, new_name), ("absent", "-"))
                if target[0] != "inert":
                    complain(place, f"{old} {old_name} is inert but {new} {new_name} is {target[0]}")


def check_keras(table):
    for place, (module, name, kind, _release) in read(HERE / "keras.tsv", KERAS):
        if kind not in {"class", "function"}:
            complain(place, f"kind {kind}")
        if "*" in module + name:
            complain(place, "a configuration has no wildcards")
        parts = module.split(".")
        for pair in [(module, name)] + [(".".join(parts[:end]), "*") for end in range(1, len(parts) + 1)]:
            if pair in table and table[pair][0] != "inert":
                complain(place, f"callables.tsv says {table[pair][0]}")


def main():
    table = check_callables()
    inert = check_libraries(table)
    check_shapes(inert)
    check_arguments(inert)
    check_fix_imports(table)
    check_keras(table)
    for problem in problems:
        print(problem)
    print(f"{len(table)} pairs in callables.tsv, {len(inert)} inert in all, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
