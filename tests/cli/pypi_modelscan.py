"""Runs the Python tool `modelscan` on each path of its arguments, as its command would be run, and prints what it answered.

Each run is a process of its own, forked after the imports, which take seconds. The tool reads pickles with `pickletools`; nothing is
unpickled here or there.
"""

import json
import os
import sys
import tempfile

import modelscan.cli


def answer(path):
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "report.json")
        child = os.fork()
        if child == 0:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
            sys.argv = ["modelscan", "-p", path, "-r", "json", "--show-skipped", "-o", out]
            try:
                modelscan.cli.main()
            except SystemExit as end:
                sys.stdout.flush()
                os._exit(end.code or 0)
            os._exit(101)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        try:
            with open(out, encoding="utf-8") as file:
                report = json.load(file)
        except OSError:
            report = None
        return {"code": code, "report": report}


print(json.dumps({path: answer(path) for path in sys.argv[1:]}))
