"""The guard in trees of processes: through the environment, the command line, and in an unchanged server."""

import concurrent.futures
import json
import os
import pathlib
import pickle
import socket
import subprocess
import sys
import time
import unittest
import urllib.error
import urllib.request

from support import FolderTest, Payload, requires

import modelscan_rs

HERE = pathlib.Path(__file__).resolve().parent


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MODELSCAN_")}
    return {**kept, **more}


class Environment(FolderTest):
    def python(self, code, *args, **more):
        return subprocess.run(
            [sys.executable, "-c", code, *args], capture_output=True, text=True, env=environment(**more), timeout=120
        )

    def test_a_variable_guards_every_process_from_its_start(self):
        path = self.write("a.pkl", self.payload())
        code = "import pickle, sys; print(pickle.load(open(sys.argv[1], 'rb')))"
        for mode in ("deny", "convert", " DENY "):
            done = self.python(code, path, MODELSCAN_GUARD=mode)
            self.assertIn("UnsafeFileError", done.stderr)
            self.assertNotEqual(done.returncode, 0)
        grandchild = (
            f"import subprocess, sys;sys.exit(subprocess.run([sys.executable, '-c', {code!r}, sys.argv[1]]).returncode)"
        )
        self.assertNotEqual(self.python(grandchild, path, MODELSCAN_GUARD="deny").returncode, 0)
        spawned = (
            "import concurrent.futures as f, multiprocessing as m, pathlib, pickle, sys\n"
            "if __name__ == '__main__':\n"
            "    data = pathlib.Path(sys.argv[1]).read_bytes()\n"
            "    pool = f.ProcessPoolExecutor(1, mp_context=m.get_context('spawn'))\n"
            "    print(pool.submit(pickle.loads, data).result())\n"
        )
        script = self.write("s.py", spawned.encode())
        done = subprocess.run(
            [sys.executable, script, path],
            capture_output=True,
            text=True,
            env=environment(MODELSCAN_GUARD="deny"),
            timeout=120,
        )
        self.assertIn("UnsafeFileError", done.stderr)
        self.assertFalse(os.path.exists(self.canary))

    def test_without_the_variable_there_is_no_guard(self):
        for value in ({}, {"MODELSCAN_GUARD": ""}, {"MODELSCAN_GUARD": "off"}):
            done = self.python("import sys; print('modelscan_rs' in sys.modules)", **value)
            self.assertEqual(done.stdout.strip(), "True" if value.get("MODELSCAN_GUARD") else "False", done.stderr)
            done = self.python("from modelscan_rs import guard; print(guard.active())", **value)
            self.assertEqual(done.stdout.strip(), "None")

    def test_a_process_that_cannot_install_the_guard_exits(self):
        for more in ({"MODELSCAN_GUARD": "denny"}, {"MODELSCAN_GUARD": "deny", "MODELSCAN_ALLOW_SHA256": "abc"}):
            done = self.python("print('runs')", **more)
            self.assertEqual((done.returncode, done.stdout), (78, ""))
            self.assertIn("cannot be installed", done.stderr)

    def test_content_is_allowed_by_its_hash(self):
        path = self.write("a.pkl", pickle.dumps(FolderTest))
        code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
        done = self.python(code, path, MODELSCAN_GUARD="deny", PYTHONPATH=str(HERE))
        self.assertIn("UnsafeFileError", done.stderr)
        sha256 = modelscan_rs.scan(path, sha256=True).artifacts[0].sha256
        done = self.python(code, path, MODELSCAN_GUARD="deny", MODELSCAN_ALLOW_SHA256=sha256, PYTHONPATH=str(HERE))
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_command_guards_another_command(self):
        path = self.write("a.pkl", self.payload())
        code = "import pickle, sys; pickle.load(open(sys.argv[1], 'rb'))"
        line = [sys.executable, "-m", "modelscan_rs", "guard"]
        for start in (line, [*line, "--mode", "convert"], [*line, "--mode=deny"]):
            done = subprocess.run(
                [*start, "--", "python", "-c", code, path], capture_output=True, text=True, env=environment()
            )
            self.assertIn("UnsafeFileError", done.stderr)
        for wrong in (
            ["--mode", "maybe", "--", "true"],
            [],
            ["--"],
            ["--what", "--", "true"],
            ["--", "/no/such/command"],
        ):
            done = subprocess.run([*line, *wrong], capture_output=True, text=True, env=environment())
            self.assertEqual(done.returncode, 1, wrong)
        done = subprocess.run(
            [sys.executable, "-m", "modelscan_rs", "scan", path], capture_output=True, text=True, env=environment()
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("unsafe-callable", done.stdout)
        self.assertFalse(os.path.exists(self.canary))

    def test_nothing_starts_where_the_guard_is_not_installed(self):
        os.symlink(os.path.dirname(modelscan_rs.__file__), os.path.join(self.folder, "modelscan_rs"))
        # The package is on the path of that Python, but its `.pth` file is in another environment.
        other = os.path.realpath(sys.executable)
        line = [other, "-m", "modelscan_rs", "guard", "--", "python", "-c", "print('started')"]
        done = subprocess.run(line, capture_output=True, text=True, env=environment(PYTHONPATH=self.folder))
        self.assertEqual((done.returncode, done.stdout), (78, ""), done.stderr)
        self.assertIn("starts without the guard", done.stderr)


@requires("fastapi", "uvicorn")
class Server(FolderTest):
    def setUp(self):
        super().setUp()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = open(self.path("log"), "w+b")
        self.addCleanup(self.log.close)
        serve = ["python", "-m", "uvicorn", "server:app", "--port", str(self.port), "--log-level", "warning"]
        self.server = subprocess.Popen(
            [sys.executable, "-m", "modelscan_rs", "guard", "--", *serve],
            cwd=HERE,
            env=environment(),
            stdout=self.log,
            stderr=self.log,
        )
        self.addCleanup(self.stop)
        deadline = time.time() + 90
        while time.time() < deadline and self.server.poll() is None:
            try:
                self.torch = self.request("health")[1]["torch"]
                return
            except OSError:
                time.sleep(0.1)
        self.fail("the server does not answer: " + self.log_text())

    def stop(self):
        self.server.terminate()
        self.server.wait(30)

    def log_text(self):
        self.log.flush()
        return pathlib.Path(self.path("log")).read_text()

    def request(self, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def test_the_server_refuses_a_malicious_checkpoint_and_keeps_running(self):
        evil = self.write("evil.pt", self.payload(2))
        clean = self.write("clean.pt", pickle.dumps({"a": 1, "b": 2}, 2))
        if self.torch:
            import torch

            torch.save({"w": torch.ones(2), "x": Payload(self.canary)}, evil)
            torch.save({"a": torch.ones(2), "b": torch.ones(2)}, clean)
        status, answer = self.request("load?path=" + evil)
        self.assertEqual(status, 422)
        self.assertIn("UnsafeFileError", answer["detail"])
        self.assertIn("posix.mkdir", answer["detail"])
        self.assertEqual(self.request("load?path=" + clean), (200, {"keys": ["a", "b"]}))
        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            answers = [pool.submit(self.request, "load?path=" + (evil if index % 2 else clean)) for index in range(100)]
            self.assertEqual([one.result(120)[0] for one in answers], [200, 422] * 50)
        self.assertEqual(self.request("health")[0], 200)
        self.assertIsNone(self.server.poll())
        self.assertFalse(os.path.exists(self.canary), "the payload ran")
        self.assertIn("it is dangerous", self.log_text())


if __name__ == "__main__":
    unittest.main()
