"""A recording unpickler: which names does this CPython ask for when it reads these streams?

    python recorder.py BATCH ANSWERS [--kinds class,plain,function]

BATCH holds streams one after another, each after its length as four little-endian bytes. ANSWERS gets text lines:

    I <stream> <reader> <module as hex of utf-8> <name as hex of utf-8>    a name was asked for (first time in that stream)
    E <stream> <reader> <stop|error text>                                  how that reader ended
    K <stream> <signal>                                                    the stream killed its process (time or memory)
    Z <number of streams>                                                  the whole batch was done

Nothing is imported for a stream and nothing of it is called: find_class is replaced and hands out inert dummies. What it
hands out decides how far a stream gets (NEWOBJ wants a class, BUILD looks for __setstate__ ...), so every stream runs under
several kinds. How bytes reach the C unpickler decides what a FRAME means (NOTES.md), so every stream is fed in several ways.
The work happens in a child process with limits on time and memory; when a stream kills it, the next child goes on behind it.

Runs on Python 2.7 and 3.6 or later.
"""
from __future__ import print_function

import io
import os
import resource
import signal
import struct
import sys

PY2 = sys.version_info[0] == 2
MEMORY = 1 << 30
SECONDS = 2.0


# --- what find_class hands out -------------------------------------------------------------------------------------------

class Taker(object):
    """Accepts any arguments, and every operation an opcode may perform on an object."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return Taker()

    def __setstate__(self, state):
        pass

    def append(self, item):
        pass

    def extend(self, items):
        # a real extend consumes what it is given
        for _ in items:
            pass

    def add(self, item):
        pass

    def __setitem__(self, key, value):
        pass

    def __hash__(self):
        return id(self) >> 4

    def __eq__(self, other):
        return self is other

    def __reduce__(self):
        return (Taker, ())


class Plain(object):
    """A class without __setstate__, so that BUILD writes attributes; append only, so that APPENDS calls it per item."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __call__(self, *args, **kwargs):
        return Plain()

    def append(self, item):
        pass

    def add(self, item):
        pass

    def __setitem__(self, key, value):
        pass


def make_function():
    def function(*args, **kwargs):
        return Taker()
    return function


class OldStyle:
    """In Python 2 a classic class: INST and OBJ make an instance of it without a call."""


KINDS = {
    "class": lambda: Taker,
    "plain": lambda: Plain,
    "function": make_function,
    "instance": Taker,
    "old": lambda: OldStyle,
}


# --- the ways bytes reach an unpickler -----------------------------------------------------------------------------------

class Whole(io.BytesIO):
    """peek() shows everything that is left: the C unpickler then behaves as loads(bytes) does."""

    def peek(self, size=0):
        return self.getvalue()[self.tell():]


def whole(data):
    return Whole(data)


def nopeek(data):
    """BytesIO has no peek(): nothing is read ahead (an unbuffered file behaves the same)."""
    return io.BytesIO(data)


def buffered(data):
    """As open(path, "rb"): peek() shows what is left in a buffer; a small one, to cross its end often."""
    return io.BufferedReader(io.BytesIO(data), buffer_size=32)


# --- one run --------------------------------------------------------------------------------------------------------------

EXTENSION_MODULE = "extension_registry"


def register_extensions():
    """Codes that a stream may use, so that EXT opcodes do not end it. The names are ours, not the stream's."""
    if PY2:
        import copy_reg as registry
    else:
        import copyreg as registry
    for code in (1, 2, 3, 7, 127, 255, 256, 0x1234, 65535, 65536, 0x7FFFFFFF):
        registry.add_extension(EXTENSION_MODULE, "code_%d" % code, code)


def readers():
    """[(label, feeder, run)]: run(file, seen, kind) loads one pickle and calls seen(module, name)."""
    found = []
    if PY2:
        import cPickle
        import cStringIO
        import pickle

        def run_c(stream, seen, kind):
            unpickler = cPickle.Unpickler(stream)

            def find_global(module, name):
                seen(module, name)
                return kind()
            unpickler.find_global = find_global
            unpickler.persistent_load = lambda pid: Taker()
            return unpickler.load()

        def run_python(stream, seen, kind):
            unpickler = pickle.Unpickler(stream)

            def find_class(module, name):
                seen(module, name)
                return kind()
            unpickler.find_class = find_class
            unpickler.persistent_load = lambda pid: Taker()
            return unpickler.load()

        found.append(("c-cstring", cStringIO.StringIO, run_c))
        found.append(("c-other", io.BytesIO, run_c))
        found.append(("py-bytesio", io.BytesIO, run_python))
        return found

    import pickle
    import _pickle

    def runner(base, encoding):
        class Recorder(base):
            def __init__(self, stream, seen, kind):
                base.__init__(self, stream, encoding=encoding, **BUFFERS)
                self.seen = seen
                self.kind = kind

            def find_class(self, module, name):
                self.seen(module, name)
                return self.kind()

            def persistent_load(self, pid):
                return Taker()

        return lambda stream, seen, kind: Recorder(stream, seen, kind).load()

    class Buffers(object):
        """Out-of-band buffers without end."""
        def __iter__(self):
            while True:
                yield bytearray(b"buffer")

    BUFFERS = {}
    if sys.version_info >= (3, 8):
        BUFFERS = {"buffers": Buffers()}

    for encoding in ("latin1", "bytes"):
        c = runner(_pickle.Unpickler, encoding)
        python = runner(pickle._Unpickler, encoding)
        found.append(("c-whole-" + encoding, whole, c))
        if encoding == "latin1":
            found.append(("c-nopeek-" + encoding, nopeek, c))
            found.append(("c-buffered-" + encoding, buffered, c))
        found.append(("py-" + encoding, nopeek, python))
    return found


def as_hex(text):
    if PY2:
        data = text if isinstance(text, str) else text.encode("utf-8")
        return data.encode("hex") or "-"
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass").hex() or "-"
    return "!" + type(text).__name__


def record(index, data, kinds, write):
    """Runs one stream under every reader and kind; writes each name when it is asked for, before anything can go wrong."""
    asked = set()
    for label, feed, run in READERS:
        for kind in kinds:
            full = label + "/" + kind

            def seen(module, name):
                pair = (as_hex(module), as_hex(name))
                if pair[0] == EXTENSION_HEX or pair in asked:
                    return
                asked.add(pair)
                write("I %d %s %s %s\n" % (index, full, pair[0], pair[1]))

            signal.setitimer(signal.ITIMER_REAL, SECONDS)
            try:
                run(feed(data), seen, KINDS[kind])
                end = "stop"
            except (Exception, RecursionError if not PY2 else RuntimeError) as error:
                end = "%s: %s" % (type(error).__name__, error)
            signal.setitimer(signal.ITIMER_REAL, 0)
            if VERBOSE:
                write("E %d %s %s\n" % (index, full, end.replace("\n", " ")[:160].encode("ascii", "replace").decode("ascii")))


def read_batch(path):
    streams = []
    with open(path, "rb") as batch:
        while True:
            head = batch.read(4)
            if len(head) < 4:
                return streams
            streams.append(batch.read(struct.unpack("<I", head)[0]))


def work(streams, start, answers, kinds, progress):
    """The child: goes on until it is done or dies. `progress` is a pipe that takes the number of the stream at hand."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def write(line):
        os.write(answers, line.encode("ascii"))

    for index in range(start, len(streams)):
        os.write(progress, struct.pack("<I", index))
        record(index, streams[index], kinds, write)


def main():
    arguments = [a for a in sys.argv[1:] if not a.startswith("--")]
    kinds = ["class", "plain", "function"]
    for option in sys.argv[1:]:
        if option.startswith("--kinds="):
            kinds = option.split("=", 1)[1].split(",")
    streams = read_batch(arguments[0])
    answers = os.open(arguments[1], os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
    start = 0
    while start < len(streams):
        receive, send = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.close(receive)
                work(streams, start, answers, kinds, send)
                code = 0
            finally:
                os._exit(code)
        os.close(send)
        at = start
        rest = b""
        while True:
            got = os.read(receive, 65536)
            if not got:
                break
            rest += got
            while len(rest) >= 4:
                at = struct.unpack("<I", rest[:4])[0]
                rest = rest[4:]
        os.close(receive)
        _, status = os.waitpid(child, 0)
        if status == 0:
            break
        os.write(answers, ("K %d %d\n" % (at, status & 0x7F or status)).encode("ascii"))
        start = at + 1
    os.write(answers, ("Z %d\n" % len(streams)).encode("ascii"))


VERBOSE = "--verbose" in sys.argv
if __name__ == "__main__":
    register_extensions()
    READERS = readers()
    EXTENSION_HEX = as_hex(EXTENSION_MODULE)
    main()
