"""Shared by the tests: a temporary folder, payloads that only make a folder, and skips for missing libraries."""

import importlib
import importlib.util
import logging
import os
import pickle
import shutil
import struct
import tempfile
import unittest

from modelscan_rs import UnsafeFileError, guard

# Without this variable Keras picks TensorFlow, which is not installed.
os.environ.setdefault("KERAS_BACKEND", "torch" if importlib.util.find_spec("torch") else "numpy")


def requires(*names):
    """Skips a test if a library cannot be imported."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            return unittest.skip(f"{name} cannot be imported: {error}")
    return lambda test: test


class Payload:
    """An object whose pickle makes the folder `canary` when it is loaded, which shows that it ran."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (self.canary,)


class EvalPayload(Payload):
    def __reduce__(self):
        return eval, (f"__import__('os').mkdir({self.canary!r})",)


class PartialPayload(Payload):
    """Calls `os.mkdir` through `functools.partial`."""

    def __reduce__(self):
        import functools

        return functools.partial(os.mkdir, self.canary), ()


class FolderTest(unittest.TestCase):
    """A test with a temporary folder and a canary in it."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="modelscan-python-")
        self.canary = os.path.join(self.folder, "canary")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def payload(self, protocol=4):
        return pickle.dumps(Payload(self.canary), protocol)

    def assert_refused(self, load, error=UnsafeFileError):
        """Asserts that `load` raises and that no payload ran; returns the exception."""
        with self.assertRaises(error) as caught:
            load()
        self.assertFalse(os.path.exists(self.canary), "the payload ran")
        return caught.exception


class GuardedTest(FolderTest):
    """A test under the guard."""

    def setUp(self):
        super().setUp()
        guard.install()
        self.addCleanup(guard.uninstall)
        logging.getLogger("modelscan_rs.guard").setLevel(logging.CRITICAL)


def stack_global(module, name):
    """A pickle of protocol 4 up to STACK_GLOBAL, which imports `module.name`."""
    module, name = module.encode(), name.encode()
    head = b"\x80\x04\x8c" + struct.pack("B", len(module)) + module
    return head + b"\x8c" + struct.pack("B", len(name)) + name + b"\x93"
