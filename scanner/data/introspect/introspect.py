#!/usr/bin/env python3
"""Write `../libraries/*.tsv`: the classes and functions that real releases of well-known libraries pickle.

    introspect.py build            make the environments of releases.toml (needs pyenv and a package index)
    introspect.py probe            run probe.py in each and keep what it prints
    introspect.py write            judge the results by reviewed.tsv and write the tables
    introspect.py review           like write, but only print what nobody has reviewed

Environments and results live under $MODELSCAN_VENVS (default ~/.cache/modelscan-venvs), outside the repository.
A class enters as `construct`, or as `value` when pickles only name it; what pickles call with REDUCE enters as
`call` only if reviewed.tsv says why. Nothing with an unreviewed hook enters. Needs CPython 3.11 or later.
"""

import csv
import fnmatch
import json
import os
import pathlib
import subprocess
import sys
import tomllib

HERE = pathlib.Path(__file__).parent
DATA = HERE.parent
VENVS = pathlib.Path(os.environ.get("MODELSCAN_VENVS", pathlib.Path.home() / ".cache/modelscan-venvs"))
PYENV = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv")) / "versions"
RANK = {"value": 0, "construct": 1, "call": 2}
# Top-level names that are no package of their own: compiled modules that lost their package's name.
OWNER = {"_loss": "sklearn"}


def environments():
    return tomllib.loads((HERE / "releases.toml").read_text())["environment"]


def table(path):
    with open(path, newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def build():
    for one in environments():
        where = VENVS / one["name"]
        if not where.exists():
            subprocess.run([PYENV / one["python"] / "bin/python", "-m", "venv", where], check=True)
        subprocess.run([where / "bin/pip", "install", "-q", "--only-binary", ":all:", *one["packages"]], check=True)


def probe():
    for one in environments():
        python = VENVS / one["name"] / "bin/python"
        done = subprocess.run([python, "probe.py", *one["libraries"]], cwd=HERE, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{one['name']}: ended with {done.returncode} after {done.stderr.splitlines()[-1:]}")
        (VENVS / f"{one['name']}.json").write_text(done.stdout)
        result = json.loads(done.stdout)
        print(f"{one['name']}: {result['made']} objects pickled, {len(result['failed'])} recipes do not apply")


def python3_names():
    """How a pickle of protocol 2 and below spells what Python 3 calls otherwise."""
    names, modules = {}, {}
    for row in table(DATA / "fix_imports.tsv"):
        new = (row["py3_module"], row["py3_name"])
        if row["kind"] == "name":
            names[row["py2_module"], row["py2_name"]] = new
        else:
            modules[row["py2_module"]] = row["py3_module"]
    return lambda pair: names.get(pair, (modules.get(pair[0], pair[0]), pair[1]))


class Review:
    def __init__(self):
        self.rows = table(HERE / "reviewed.tsv")
        self.missing = {}
        self.used = set()

    def find(self, kind, first, name="-"):
        for number, row in enumerate(self.rows):
            if row["kind"] == kind and fnmatch.fnmatchcase(first, row["pattern"]) and fnmatch.fnmatchcase(name, row["name"]):
                self.used.add(number)
                return row
        return None

    def want(self, text, where):
        self.missing.setdefault(text, set()).add(where)

    def use(self, row, where):
        """`(use, rule)` of one row of a probe, or None."""
        module, name, how, kind = row["module"], row["name"], set(row["how"]), row["kind"]
        if self.find("refuse", module, name) or row.get("abstract") and "NEWOBJ" not in how:
            return None
        blocked = [hook for hook in row.get("hooks", ()) if kind != "enum" or not hook.endswith("__new__")]
        blocked = [hook for hook in blocked if not self.find("hook", hook)]
        for hook in blocked:
            self.want(f"hook {hook}", where)
        if blocked:
            return None
        if kind == "enum":
            return "call", "enum-member"
        if "REDUCE" in how:
            found = self.find("call", module, name)
            if not found:
                self.want(f"call {module} {name}", where)
            return found and ("call", found["rule"])
        if kind == "class":
            return ("construct" if how & {"NEWOBJ", "listed"} else "value"), "-"
        found = self.find("value", module, name)
        if not found:
            self.want(f"value {module} {name}", where)
        return found and ("value", "-")


def seen_use(row):
    if "REDUCE" in row["how"]:
        return "call"
    return "construct" if {"NEWOBJ", "listed"} & set(row["how"]) else "value"


def judge(review):
    """`{pair: [use, rule, releases, how]}` over all environments, the pairs of callables.tsv aside."""
    python3 = python3_names()
    by_hand = {(row["module"], row["name"]): row for row in table(DATA / "callables.tsv")}
    pairs = {}
    for one in environments():
        result = json.loads((VENVS / f"{one['name']}.json").read_text())
        for row in result["rows"]:
            pair = python3((row["module"], row["name"]))
            top = OWNER.get(pair[0].split(".")[0], pair[0].split(".")[0])
            if row["kind"] == "gone" or top not in result["versions"]:
                continue
            hand = by_hand.get(pair)
            if hand:
                if hand["effect"] != "inert" or RANK[hand["use"]] < RANK[seen_use(row)]:
                    print(f"callables.tsv says {hand['effect']} {hand['use']}, {one['name']} shows {seen_use(row)}: {' '.join(pair)}")
                continue
            judged = review.use({**row, "module": pair[0], "name": pair[1]}, one["name"])
            if judged is None:
                continue
            use, rule = judged
            known = pairs.setdefault(pair, [use, rule, {}, set()])
            if RANK[use] > RANK[known[0]]:
                known[:2] = use, rule
            known[2][result["versions"][top].split("+")[0]] = None
            known[3].update(row["how"])
    for row in table(HERE / "alias.tsv"):
        pairs.setdefault((row["module"], row["name"]), [row["use"], row["rule"], {"alias": None}, {"alias"}])
    return pairs


def write():
    review = Review()
    pairs = judge(review)
    files, rules = {}, {}
    for (module, name), (use, rule, releases, how) in pairs.items():
        top = OWNER.get(module.split(".")[0], module.split(".")[0])
        files.setdefault(top, []).append((module, name, use, ",".join(releases), ",".join(sorted(how))))
        if rule != "-":
            rules[module, name] = rule
    folder = DATA / "libraries"
    before = {(row["module"], row["name"]) for path in folder.glob("*.tsv") for row in table(path)}
    for path in folder.glob("*.tsv"):
        path.unlink()
    order = lambda row: (row[0].encode(), row[1].encode())
    for top, rows in files.items():
        save(folder / f"{top}.tsv", ("module", "name", "use", "releases", "how"), sorted(rows, key=order))
    kept = [tuple(row.values()) for row in table(DATA / "arguments.tsv") if (row["module"], row["name"]) not in before | set(rules)]
    kept += [(*pair, rule) for pair, rule in rules.items()]
    save(DATA / "arguments.tsv", ("module", "name", "rule"), sorted(kept, key=order))
    print(", ".join(f"{top} {len(rows)}" for top, rows in sorted(files.items())))
    return show(review)


def save(path, header, rows):
    path.write_text("".join("\t".join(row) + "\n" for row in [header, *rows]))


def show(review):
    for text, where in sorted(review.missing.items()):
        print(f"not reviewed: {text} ({', '.join(sorted(where))})")
    for number, row in enumerate(review.rows):
        if number not in review.used and row["kind"] != "refuse":
            print(f"never met: {row['kind']} {row['pattern']} {row['name']}")
    return 1 if review.missing else 0


def review_only():
    review = Review()
    judge(review)
    return show(review)


if __name__ == "__main__":
    commands = {"build": build, "probe": probe, "write": write, "review": review_only}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    sys.exit(commands[sys.argv[1]]())
