"""What the tests share: a folder, payloads that only make a folder of their own, and what is installed."""
import importlib
import importlib.util
import os
import pickle
import shutil
import struct
import tempfile
import unittest

# Without one keras asks for the largest.
os.environ.setdefault("KERAS_BACKEND", "torch" if importlib.util.find_spec("torch") else "numpy")


def there(*names):
    """Skips a test where a library is missing, and says which."""
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError as error:
            return unittest.skip(f"{name} is not there: {error}")
    return lambda test: test


class Payload:
    """Unpickled, it makes a folder: that tells that it ran."""

    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (self.canary,)


class Evaluated(Payload):
    def __reduce__(self):
        return eval, (f"__import__('os').mkdir({self.canary!r})",)


class Late(Payload):
    """By a state that is set, behind a harmless start."""

    def __reduce__(self):
        import functools

        return functools.partial(os.mkdir, self.canary), ()


class Folder(unittest.TestCase):
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

    def refused(self, load, error=None):
        """It raises, and nothing ran."""
        from modelscan_rs import UnsafeFileError

        with self.assertRaises(error or UnsafeFileError) as caught:
            load()
        self.assertFalse(os.path.exists(self.canary), "the payload ran")
        return caught.exception


def old(file):
    """Sets the times of a file back, so that what is known of it may be kept."""
    os.utime(file, (1, 1))


def stacked(*names):
    """A pickle of protocol 4 that asks for a dotted name."""
    module, name = (text.encode() for text in names)
    return b"\x80\x04\x8c" + struct.pack("B", len(module)) + module + b"\x8c" + struct.pack("B", len(name)) + name + b"\x93"
