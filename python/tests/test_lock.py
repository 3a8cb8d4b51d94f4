"""The guard with a lock: a file of the locked folder loads only with the locked content, through every loader."""

import gzip
import io
import json
import os
import pickle
import subprocess
import sys

from support import FolderTest, requires

from modelscan_rs import UnsafeFileError, guard

LOCK = "modelscan.lock"


class Locked(FolderTest):
    def setUp(self):
        super().setUp()
        self.addCleanup(guard.uninstall)
        import logging

        logging.getLogger("modelscan_rs.guard").setLevel(logging.CRITICAL)
        os.mkdir(self.path("m"))
        os.mkdir(self.path("other"))
        for name in ("m/a.pkl", "m/b.pkl", "other/a.pkl"):
            self.write(name, pickle.dumps([1, 2, 3]))
        with gzip.open(self.path("m/c.pkl.gz"), "wb") as file:
            file.write(pickle.dumps([4]))

    def lock(self, *args):
        from modelscan_rs._run import command

        done = subprocess.run([command(), "lock", self.path("m"), *args], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def locked_out(self, load):
        with self.assertRaises(UnsafeFileError) as caught:
            load()
        self.assertEqual(caught.exception.rule, "not-as-locked")
        return caught.exception

    def open_and_load(self, name):
        with open(self.path(name), "rb") as file:
            return pickle.load(file)

    def test_only_locked_content_loads(self):
        self.lock()
        guard.install(lock=self.path("m/" + LOCK))
        self.assertEqual(self.open_and_load("m/a.pkl"), [1, 2, 3])
        self.assertEqual(pickle.load(gzip.open(self.path("m/c.pkl.gz"))), [4])
        self.write("m/a.pkl", pickle.dumps([1, 2, 4]))
        self.assertIn("a.pkl", str(self.locked_out(lambda: self.open_and_load("m/a.pkl"))))
        self.write("m/new.pkl", pickle.dumps(1))
        self.assertIn("not in the lock", str(self.locked_out(lambda: self.open_and_load("m/new.pkl"))))
        with gzip.open(self.path("m/c.pkl.gz"), "wb") as file:
            file.write(pickle.dumps([5]))
        self.locked_out(lambda: pickle.load(gzip.open(self.path("m/c.pkl.gz"))))
        # For other folders and for bytes, the scan alone decides.
        self.write("other/a.pkl", pickle.dumps([9]))
        self.assertEqual(self.open_and_load("other/a.pkl"), [9])
        self.assertEqual(pickle.load(io.BytesIO(pickle.dumps(7))), 7)

    def test_another_name_of_a_file_does_not_bypass_the_lock(self):
        self.lock()
        os.symlink(self.path("m"), self.path("link"))
        os.symlink(self.path("m/a.pkl"), self.path("other/link.pkl"))
        guard.install(lock=self.path("m/" + LOCK))
        self.assertEqual(self.open_and_load("link/a.pkl"), [1, 2, 3])
        self.write("m/a.pkl", pickle.dumps([1, 2, 4]))
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.path("other"))
        for name in (self.path("link/a.pkl"), self.path("other/link.pkl"), "../m/a.pkl", "../other/../m/a.pkl"):

            def load():
                with open(name, "rb") as file:
                    return pickle.load(file)

            self.locked_out(load)
        # A file opened by its descriptor has a number as its name.
        descriptor = os.open(self.path("m/a.pkl"), os.O_RDONLY)
        with open(descriptor, "rb") as file:
            self.locked_out(lambda: pickle.load(file))

    def test_several_pickles_in_one_locked_file_load(self):
        self.write("m/a.pkl", b"".join(pickle.dumps(number) for number in range(5)))
        self.lock()
        guard.install(lock=self.path("m/" + LOCK))
        with open(self.path("m/a.pkl"), "rb") as file:
            self.assertEqual([pickle.load(file) for _ in range(5)], list(range(5)))

    def test_a_lock_outside_its_folder(self):
        self.lock("-o", self.path("m.lock"))
        guard.install(lock=self.path("m.lock"), lock_folder=self.path("m"))
        self.assertEqual(self.open_and_load("m/a.pkl"), [1, 2, 3])
        self.write("m/a.pkl", pickle.dumps(0))
        error = self.locked_out(lambda: self.open_and_load("m/a.pkl"))
        # A hash in allow_sha256 overrides the lock.
        guard.install(lock=self.path("m.lock"), lock_folder=self.path("m"), allow_sha256=[error.sha256])
        self.assertEqual(self.open_and_load("m/a.pkl"), 0)
        guard.install("warn", lock=self.path("m.lock"), lock_folder=self.path("m"))
        self.assertEqual(self.open_and_load("m/a.pkl"), 0)
        # A dangerous file is refused, locked or not.
        self.write("m/a.pkl", self.payload())
        self.lock("-o", self.path("m.lock"), "--force", "--record-dangerous")
        guard.install(lock=self.path("m.lock"), lock_folder=self.path("m"))
        self.assert_refused(lambda: self.open_and_load("m/a.pkl"))

    def test_an_invalid_lock_installs_no_guard(self):
        self.write("no.lock", b"{}")
        for path, error in ((self.path("no.lock"), ValueError), (self.path("none.lock"), OSError)):
            with self.assertRaises(error):
                guard.install(lock=path)
        self.lock()
        with open(self.path("m/" + LOCK)) as file:
            lock = json.load(file)
        lock["schema"] = "modelscan.lock/9"
        self.write("m/" + LOCK, json.dumps(lock).encode())
        with self.assertRaises(ValueError):
            guard.install(lock=self.path("m/" + LOCK))
        self.assertIsNone(guard.active())

    @requires("numpy", "joblib", "safetensors")
    def test_every_loader_checks_the_lock(self):
        import joblib
        import numpy
        import safetensors.numpy

        def save(value):
            numpy.save(self.path("m/n.npy"), numpy.array([value]))
            numpy.save(self.path("m/o.npy"), numpy.array([value, None], dtype=object))
            joblib.dump([value], self.path("m/j.joblib"))
            safetensors.numpy.save_file({"a": numpy.array([value])}, self.path("m/s.safetensors"))

        loads = (
            lambda: numpy.load(self.path("m/n.npy")),
            lambda: numpy.load(self.path("m/n.npy"), mmap_mode="r"),
            lambda: numpy.load(self.path("m/o.npy"), allow_pickle=True),
            lambda: joblib.load(self.path("m/j.joblib")),
            lambda: safetensors.numpy.load_file(self.path("m/s.safetensors")),
        )
        save(1)
        self.lock()
        guard.install(lock=self.path("m/" + LOCK))
        for load in loads:
            load()
        save(2)
        for load in loads:
            self.locked_out(load)

    def test_a_lock_from_the_command_line(self):
        self.lock()
        code = f"import pickle; print(pickle.load(open({self.path('m/a.pkl')!r}, 'rb')))"
        command = [
            sys.executable,
            "-m",
            "modelscan_rs",
            "guard",
            "--lock",
            os.path.join("m", LOCK),
            "--",
            "python",
            "-c",
            code,
        ]
        run = lambda: subprocess.run(command, cwd=self.folder, capture_output=True, text=True)  # noqa: E731
        self.assertEqual(run().stdout, "[1, 2, 3]\n")
        self.write("m/a.pkl", pickle.dumps(0))
        done = run()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("not what was locked", done.stderr)
