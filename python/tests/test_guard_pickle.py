"""Every way to unpickle with `pickle` and `_pickle` under the guard: no payload runs; clean data loads as before."""

import bz2
import collections
import concurrent.futures
import gzip
import importlib
import io
import os
import pickle
import shelve
import threading
import unittest
import unittest.mock

from early import EARLY_PYTHON_UNPICKLER, EarlySubclass, EarlyUnpickler, early_c_loads, early_load, early_loads
from support import EvalPayload, GuardedTest, PartialPayload, Payload, stack_global

from modelscan_rs import UnsafeFileError


class Pickles(GuardedTest):
    def ways(self):
        import _pickle

        yield "pickle.loads", pickle.loads
        yield "pickle.loads, encoding", lambda data: pickle.loads(data, encoding="latin1", fix_imports=True)
        yield "pickle.loads, bytearray", lambda data: pickle.loads(bytearray(data))
        yield "pickle.loads, memoryview", lambda data: pickle.loads(memoryview(data))
        yield "pickle.load", lambda data: pickle.load(io.BytesIO(data))
        yield "pickle.load, file", lambda data: pickle.load(open(self.write("w.pkl", data), "rb"))
        yield "pickle.load, unbuffered", lambda data: pickle.load(open(self.write("w.pkl", data), "rb", buffering=0))
        yield "pickle.load, gzip", lambda data: pickle.load(gzip.open(io.BytesIO(gzip.compress(data))))
        yield "pickle.load, bz2", lambda data: pickle.load(bz2.open(io.BytesIO(bz2.compress(data))))
        yield "pickle.load, behind a clean one", self.second
        yield "pickle.Unpickler", lambda data: pickle.Unpickler(io.BytesIO(data)).load()
        yield "pickle.Unpickler, subclass", lambda data: type("U", (pickle.Unpickler,), {})(io.BytesIO(data)).load()
        yield "pickle.Unpickler, own find_class", lambda data: self.own_find_class(pickle.Unpickler, data)
        yield "pickle._Unpickler", lambda data: pickle._Unpickler(io.BytesIO(data)).load()
        yield "pickle._Unpickler, own find_class", lambda data: self.own_find_class(pickle._Unpickler, data)
        yield "pickle._loads", pickle._loads
        yield "pickle._load", lambda data: pickle._load(io.BytesIO(data))
        yield "_pickle.loads", _pickle.loads
        yield "_pickle.load", lambda data: _pickle.load(io.BytesIO(data))
        yield "_pickle.Unpickler", lambda data: _pickle.Unpickler(io.BytesIO(data)).load()
        yield "__wrapped__", pickle.loads.__wrapped__
        yield "loads taken before", early_loads
        yield "C loads taken before", early_c_loads
        yield "load taken before", lambda data: early_load(io.BytesIO(data))
        yield "Unpickler taken before", lambda data: EarlyUnpickler(io.BytesIO(data)).load()
        yield "subclass made before", lambda data: EarlySubclass(io.BytesIO(data)).load()
        yield "Python's Unpickler taken before", lambda data: EARLY_PYTHON_UNPICKLER(io.BytesIO(data)).load()
        yield "a fresh copy of the module", self.fresh_module
        yield "shelve", self.shelf
        yield "a thread", lambda data: self.in_thread(lambda: pickle.loads(data))
        yield "a pool of threads", self.thread_pool
        yield "copyreg extension", self.extension

    def second(self, data):
        with open(self.write("w.pkl", pickle.dumps([1]) + data), "rb") as file:
            pickle.load(file)
            pickle.load(file)

    def own_find_class(self, base, data):
        class OwnFindClass(base):
            def find_class(self, module, name):
                return getattr(importlib.import_module(module), name)

        return OwnFindClass(io.BytesIO(data)).load()

    def fresh_module(self, data):
        spec = importlib.util.find_spec("pickle")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module._loads(data)

    def shelf(self, data):
        import dbm.dumb

        with dbm.dumb.open(self.path("shelf"), "c") as store:
            store[b"key"] = data
        return shelve.Shelf(dbm.dumb.open(self.path("shelf"), "r"))["key"]

    def in_thread(self, act):
        caught = []

        def run():
            try:
                act()
            except BaseException as error:
                caught.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        if caught:
            raise caught[0]

    def thread_pool(self, data):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            return pool.submit(pickle.loads, data).result()

    def extension(self, data):
        import copyreg

        copyreg.add_extension("posix", "mkdir", 0x77)
        canary = self.canary.encode()
        try:
            pickle.loads(b"\x80\x02\x82\x77X" + len(canary).to_bytes(4, "little") + canary + b"\x85R.")
        finally:
            copyreg.remove_extension("posix", "mkdir", 0x77)

    def test_no_way_of_unpickling_runs_a_payload(self):
        tried = 0
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            for kind in (Payload, EvalPayload, PartialPayload):
                data = pickle.dumps(kind(self.canary), protocol)
                for way, load in self.ways():
                    with self.subTest(way=way, protocol=protocol, kind=kind.__name__):
                        self.assert_refused(lambda: load(data))
                        tried += 1
        self.assertGreater(tried, 500)

    def test_unusual_spellings_of_names_are_refused(self):
        canary = repr(self.canary).encode()
        made = [
            b"cposix\nmkdir\n(S" + canary + b"\ntR.",
            b"(S" + canary + b"\niposix\nmkdir\n.",
            b"(cposix\nmkdir\nS" + canary + b"\no.",
            b'c__builtin__\neval\n(S"1"\ntR.',
            stack_global("os", "mkdir") + b"(V" + self.canary.encode() + b"\ntR.",
            stack_global("collections", "_sys.modules") + b".",
            stack_global("logging", "os.getcwd") + b")R.",
            b"cpickle\nloads\n(c_codecs\nencode\n(V"
            + pickle.dumps(Payload(self.canary), 0).decode().replace("\n", "\\u000a").encode()
            + b"\nVlatin1\ntRtR.",
        ]
        for data in made:
            for way, load in (("loads", pickle.loads), ("early", early_loads), ("python", pickle._loads)):
                with self.subTest(way=way, data=data[:30]):
                    self.assert_refused(lambda: load(data))

    def test_clean_data_loads_as_before(self):
        value = {"a": [1, 2.5, None, "x", b"y"], "b": collections.OrderedDict(c=(1, 2)), "d": {1, 2}}
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            data = pickle.dumps(value, protocol)
            self.assertEqual(pickle.loads(data), value)
            self.assertEqual(pickle._loads(data), value)
            self.assertEqual(pickle.Unpickler(io.BytesIO(data)).load(), value)

    def test_several_pickles_in_one_file_are_read_one_by_one(self):
        values = [{"index": index, "set": {index}} for index in range(200)]
        path = self.write("a.pkl", b"".join(pickle.dumps(value) for value in values))
        for file in (
            open(path, "rb"),
            io.BytesIO(open(path, "rb").read()),
            gzip.open(io.BytesIO(gzip.compress(open(path, "rb").read()))),
        ):
            read = []
            with file:
                while True:
                    try:
                        read.append(pickle.load(file))
                    except EOFError:
                        break
            self.assertEqual(read, values)
        with open(path, "rb") as file:
            unpickler = pickle.Unpickler(file)
            self.assertEqual([unpickler.load(), unpickler.load()], values[:2])

    def test_a_pickle_that_refers_to_the_memo_of_an_earlier_one_is_refused(self):
        out = io.BytesIO()
        pickler = pickle.Pickler(out)
        shared = ["shared"]
        pickler.dump(shared)
        pickler.dump((shared, 1))
        for cls in (pickle.Unpickler, pickle._Unpickler):
            self.assert_refused(cls(io.BytesIO(out.getvalue())).load)

    def test_persistent_ids_and_buffers_keep_working(self):
        class Own(pickle.Unpickler):
            def persistent_load(self, pid):
                return "object " + pid

        self.assert_refused(lambda: Own(io.BytesIO(b"Pone\n."[:0] + self.payload())).load())
        buffers = []
        data = pickle.dumps({"a": pickle.PickleBuffer(b"abc")}, 5, buffer_callback=buffers.append)
        try:
            self.assertEqual(bytes(pickle.loads(data, buffers=buffers)["a"]), b"abc")
        except UnsafeFileError as error:
            # The scan does not see out-of-band buffers.
            self.assertEqual(error.verdict, "unproven")

    def test_a_large_file_is_loaded_through_its_descriptor(self):
        filler = b"x" * (17 << 20)
        path = self.write("a.pkl", pickle.dumps([collections.Counter("a"), filler]) + pickle.dumps([1]))
        for buffering in (-1, 0):
            with open(path, "rb", buffering) as file:
                self.assertEqual(pickle.load(file)[0], {"a": 1})
                self.assertEqual(pickle.load(file), [1])
        path = self.write("b.pkl", pickle.dumps([filler, Payload(self.canary)]))
        self.assert_refused(lambda: pickle.load(open(path, "rb")))
        # The file changes after the scan, and then imports a name that the scan did not find.
        from modelscan_rs.guard import _admission

        path = self.write("c.pkl", pickle.dumps([collections.Counter("a"), filler]))
        decide = _admission._decide

        def late(*args):
            done = decide(*args)
            with open(path, "r+b") as file:
                file.write(self.payload())
            return done

        with unittest.mock.patch.object(_admission, "_decide", late):
            error = self.assert_refused(lambda: pickle.load(open(path, "rb")))
        self.assertEqual(error.rule, "unguarded-unpickler")

    def test_an_empty_file_raises_eof_error(self):
        with self.assertRaises(EOFError):
            pickle.load(io.BytesIO(b""))
        with self.assertRaises(EOFError):
            pickle.loads(b"")
        with self.assertRaises(TypeError):
            pickle.loads("text")

    def test_a_stream_that_cannot_seek_is_refused(self):
        read, write = os.pipe()
        with open(read, "rb") as reader:
            with open(write, "wb") as writer:
                writer.write(self.payload())
            error = self.assert_refused(lambda: pickle.load(reader))
            self.assertEqual(error.rule, "unseekable-stream")

    def test_a_file_with_a_false_descriptor_is_scanned_by_its_content(self):
        clean = self.write("clean.pkl", pickle.dumps([1]))

        class Liar(io.BytesIO):
            def fileno(self):
                return opened.fileno()

        with open(clean, "rb") as opened:
            self.assert_refused(lambda: pickle.load(Liar(self.payload())))


if __name__ == "__main__":
    unittest.main()
