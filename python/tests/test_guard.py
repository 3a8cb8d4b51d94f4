"""The guard: every way of unpickling that the catalogue of threats lists and Python reaches is tried with a payload that makes
a folder; none may run. What is clean loads as before.
"""
import bz2
import collections
import concurrent.futures
import gzip
import importlib
import io
import multiprocessing
import os
import pickle
import shelve
import sys
import threading
import time
import unittest
import unittest.mock
import zipfile
# Taken before there is a guard: only the net is below these.
from pickle import Unpickler as EarlyUnpickler, load as early_load, loads as early_loads
from _pickle import loads as early_c_loads

import modelscan_rs
from modelscan_rs import UnsafeFileError, guard
from support import Evaluated, Folder, Late, Payload, old, stacked, there

EARLY_PYTHON = pickle._Unpickler


class EarlySubclass(EarlyUnpickler):
    def find_class(self, module, name):
        return super().find_class(module, name)


class Guarded(Folder):
    mode = "deny"

    def setUp(self):
        super().setUp()
        self.guard = guard.install(self.mode)
        self.addCleanup(guard.uninstall)
        import logging

        logging.getLogger("modelscan_rs.guard").setLevel(logging.CRITICAL)


class Pickles(Guarded):
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
        yield "Python's Unpickler taken before", lambda data: EARLY_PYTHON(io.BytesIO(data)).load()
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
        class Own(base):
            def find_class(self, module, name):
                return getattr(importlib.import_module(module), name)

        return Own(io.BytesIO(data)).load()

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
            for kind in (Payload, Evaluated, Late):
                data = pickle.dumps(kind(self.canary), protocol)
                for way, load in self.ways():
                    with self.subTest(way=way, protocol=protocol, kind=kind.__name__):
                        self.refused(lambda: load(data))
                        tried += 1
        self.assertGreater(tried, 500)

    def test_names_by_another_way_are_refused(self):
        canary = repr(self.canary).encode()
        made = [
            b"cposix\nmkdir\n(S" + canary + b"\ntR.", b"(S" + canary + b"\niposix\nmkdir\n.",
            b"(cposix\nmkdir\nS" + canary + b"\no.", b"c__builtin__\neval\n(S\"1\"\ntR.",
            stacked("os", "mkdir") + b"(V" + self.canary.encode() + b"\ntR.",
            stacked("collections", "_sys.modules") + b".", stacked("logging", "os.getcwd") + b")R.",
            b"cpickle\nloads\n(c_codecs\nencode\n(V" + pickle.dumps(Payload(self.canary), 0).decode().replace("\n", "\\u000a").encode()
            + b"\nVlatin1\ntRtR.",
        ]
        for data in made:
            for way, load in (("loads", pickle.loads), ("early", early_loads), ("python", pickle._loads)):
                with self.subTest(way=way, data=data[:30]):
                    self.refused(lambda: load(data))

    def test_what_is_clean_loads_as_before(self):
        value = {"a": [1, 2.5, None, "x", b"y"], "b": collections.OrderedDict(c=(1, 2)), "d": {1, 2}}
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            data = pickle.dumps(value, protocol)
            self.assertEqual(pickle.loads(data), value)
            self.assertEqual(pickle._loads(data), value)
            self.assertEqual(pickle.Unpickler(io.BytesIO(data)).load(), value)

    def test_pickles_in_a_row_are_read_one_by_one(self):
        values = [{"index": index, "set": {index}} for index in range(200)]
        path = self.write("a.pkl", b"".join(pickle.dumps(value) for value in values))
        for file in (open(path, "rb"), io.BytesIO(open(path, "rb").read()), gzip.open(io.BytesIO(gzip.compress(open(path, "rb").read())))):
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
            self.refused(cls(io.BytesIO(out.getvalue())).load)

    def test_persistent_ids_and_buffers_go_on_working(self):
        class Own(pickle.Unpickler):
            def persistent_load(self, pid):
                return "object " + pid

        self.refused(lambda: Own(io.BytesIO(b"Pone\n."[:0] + self.payload())).load())
        buffers = []
        data = pickle.dumps({"a": pickle.PickleBuffer(b"abc")}, 5, buffer_callback=buffers.append)
        try:
            self.assertEqual(bytes(pickle.loads(data, buffers=buffers)["a"]), b"abc")
        except UnsafeFileError as error:
            # What comes out of band cannot be seen.
            self.assertEqual(error.verdict, "unproven")

    def test_what_is_too_large_for_memory_goes_by_its_descriptor(self):
        filler = b"x" * (17 << 20)
        path = self.write("a.pkl", pickle.dumps([collections.Counter("a"), filler]) + pickle.dumps([1]))
        for buffering in (-1, 0):
            with open(path, "rb", buffering) as file:
                self.assertEqual(pickle.load(file)[0], {"a": 1})
                self.assertEqual(pickle.load(file), [1])
        path = self.write("b.pkl", pickle.dumps([filler, Payload(self.canary)]))
        self.refused(lambda: pickle.load(open(path, "rb")))
        # Somebody writes to it after the scan: the names that it asks for then were not seen.
        from modelscan_rs.guard import _admit

        path = self.write("c.pkl", pickle.dumps([collections.Counter("a"), filler]))
        decide = _admit._decide

        def late(*args):
            done = decide(*args)
            with open(path, "r+b") as file:
                file.write(self.payload())
            return done

        with unittest.mock.patch.object(_admit, "_decide", late):
            error = self.refused(lambda: pickle.load(open(path, "rb")))
        self.assertEqual(error.rule, "unguarded-unpickler")

    def test_an_empty_file_is_the_end_and_no_refusal(self):
        with self.assertRaises(EOFError):
            pickle.load(io.BytesIO(b""))
        with self.assertRaises(EOFError):
            pickle.loads(b"")
        with self.assertRaises(TypeError):
            pickle.loads("text")

    def test_a_stream_that_cannot_be_read_ahead_is_refused(self):
        read, write = os.pipe()
        with open(read, "rb") as reader:
            with open(write, "wb") as writer:
                writer.write(self.payload())
            error = self.refused(lambda: pickle.load(reader))
            self.assertEqual(error.rule, "unseekable-stream")

    def test_a_file_that_lies_about_its_descriptor_is_judged_by_what_it_reads(self):
        clean = self.write("clean.pkl", pickle.dumps([1]))

        class Liar(io.BytesIO):
            def fileno(self):
                return opened.fileno()

        with open(clean, "rb") as opened:
            self.refused(lambda: pickle.load(Liar(self.payload())))


class Own(Guarded):
    """What processes of one's own send each other goes on working."""

    def test_multiprocessing_and_pools_of_processes_work(self):
        for method in ("fork", "spawn"):
            context = multiprocessing.get_context(method)
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                self.assertEqual(pool.submit(collections.Counter, "aab").result(60), {"a": 2, "b": 1})
            with context.Pool(1) as pool:
                self.assertEqual(pool.map(collections.OrderedDict, [[(1, 2)]]), [{1: 2}])

    @there("torch")
    def test_workers_of_a_data_loader_work(self):
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        loader = DataLoader(TensorDataset(torch.arange(8.0)), batch_size=4, num_workers=1)
        self.assertEqual([batch[0].sum().item() for batch in loader], [6.0, 22.0])

    def test_what_a_worker_is_told_to_unpickle_is_scanned(self):
        data = self.payload()
        for method in ("fork", "spawn"):
            context = multiprocessing.get_context(method)
            environment = {"MODELSCAN_GUARD": "deny"} if method == "spawn" else {}
            with unittest.mock.patch.dict(os.environ, environment):
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                    self.refused(pool.submit(pickle.loads, data).result)
                with context.Pool(1) as pool:
                    self.refused(lambda: pool.apply(pickle.loads, (data,)))

    @there("joblib")
    def test_workers_of_joblib_work(self):
        import joblib

        with unittest.mock.patch.dict(os.environ, {"MODELSCAN_GUARD": "deny"}):
            self.assertEqual(joblib.Parallel(2)(joblib.delayed(collections.Counter)(text) for text in "ab"), [{"a": 1}, {"b": 1}])
            self.refused(lambda: joblib.Parallel(2)(joblib.delayed(pickle.loads)(data) for data in [self.payload()] * 2))

    def test_a_module_that_is_trusted_by_name_reads_its_pipes(self):
        with self.assertRaises(UnsafeFileError):
            early_loads(pickle.dumps(collections.Counter("a")))
        with guard.install(trust=[__name__]):
            self.assertEqual(early_loads(pickle.dumps(collections.Counter("a"))), {"a": 1})

    def test_a_forked_child_can_scan_and_refuses(self):
        pickle.loads(pickle.dumps(collections.Counter("a")))
        child = os.fork()
        if child == 0:
            try:
                pickle.loads(self.payload())
            except UnsafeFileError:
                os._exit(7)
            os._exit(0)
        deadline = time.time() + 30
        while time.time() < deadline:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                break
            time.sleep(0.01)
        else:
            os.kill(child, 9)
            self.fail("the child hangs")
        self.assertEqual(os.waitstatus_to_exitcode(status), 7)


class Libraries(Guarded):
    @there("torch")
    def test_torch(self):
        import torch
        import torch.package
        import torch.utils.data.datapipes.utils.decoder as decoder

        evil = Payload(self.canary)
        files = {}
        for name, layout in (("zip.pt", True), ("legacy.pt", False)):
            torch.save({"w": torch.ones(2), "x": evil}, self.path(name), _use_new_zipfile_serialization=layout)
            files[name] = open(self.path(name), "rb").read()
        files["plain.pt"] = self.payload(2)
        files["text.pt"] = self.payload(0)
        for name, data in files.items():
            path = self.write(name, data)
            ways = {
                "path": lambda: torch.load(path, weights_only=False),
                "default": lambda: torch.load(path),
                "weights_only": lambda: torch.load(path, weights_only=True),
                "pathlib": lambda: torch.load(__import__("pathlib").Path(path), weights_only=False),
                "mmap": lambda: torch.load(path, weights_only=False, mmap=True),
                "file": lambda: torch.load(open(path, "rb"), weights_only=False),
                "bytes": lambda: torch.load(io.BytesIO(data), weights_only=False),
                "serialization": lambda: torch.serialization.load(path, weights_only=False),
                "pickle_module": lambda: torch.load(path, pickle_module=pickle, weights_only=False),
                "storage": lambda: torch.storage._load_from_bytes(data),
                "hub": lambda: self.hub(torch, path),
                "jit": lambda: torch.jit.load(path),
                "jit, bytes": lambda: torch.jit.load(io.BytesIO(data)),
                "package": lambda: torch.package.PackageImporter(path),
                "original": lambda: torch.load.__wrapped__(path, weights_only=False),
            }
            for way, load in ways.items():
                with self.subTest(file=name, way=way):
                    self.refused(load, Exception if way == "original" else None)
        with self.subTest(way="basichandlers"):
            self.refused(lambda: decoder.basichandlers("pickle", self.payload()))
        from torch.utils._config_module import ConfigModule

        with self.subTest(way="load_config"):
            self.refused(lambda: ConfigModule.load_config(None, self.payload()))

    def hub(self, torch, path):
        return torch.hub.load_state_dict_from_url("file://" + path, model_dir=os.path.dirname(path), weights_only=False)

    @there("torch")
    def test_clean_checkpoints_load_as_before(self):
        import torch

        value = {"w": torch.randn(3, 4), "nested": {"step": 3, "m": torch.ones(2)}}
        for layout in (True, False):
            path = self.path("a.pt")
            torch.save(value, path, _use_new_zipfile_serialization=layout)
            with open(path, "rb") as file, io.BytesIO(file.read()) as memory:
                file.seek(0)
                found = [torch.load(path), torch.load(path, weights_only=False), torch.load(file, weights_only=False),
                         torch.load(memory), torch.load(path, "cpu"), torch.load(path, map_location=torch.device("cpu"))]
                if layout:
                    found.append(torch.load(path, mmap=True))
            for one in found:
                self.assertTrue(torch.equal(one["w"], value["w"]))
                self.assertEqual(one["nested"]["step"], 3)
        torch.save(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), path)
        self.assertIsInstance(torch.load(path, weights_only=False), torch.nn.Sequential)

    @there("torch", "safetensors")
    def test_safetensors_load_as_before_and_broken_ones_are_refused(self):
        import safetensors
        import safetensors.torch
        import torch

        path = self.path("a.safetensors")
        safetensors.torch.save_file({"w": torch.ones(3)}, path)
        self.assertTrue(torch.equal(safetensors.torch.load_file(path)["w"], torch.ones(3)))
        with safetensors.safe_open(path, "pt") as file:
            self.assertEqual(list(file.keys()), ["w"])
        self.assertTrue(torch.equal(torch.load(path)["w"], torch.ones(3)))
        self.assertTrue(torch.equal(safetensors.torch.load(open(path, "rb").read())["w"], torch.ones(3)))
        self.write("a.safetensors", self.payload())
        self.refused(lambda: safetensors.torch.load_file(path))
        self.refused(lambda: safetensors.torch.load(self.payload()))

    @there("numpy")
    def test_numpy(self):
        import numpy

        array = numpy.array([Payload(self.canary), 1], object)
        numpy.save(self.path("a.npy"), array, allow_pickle=True)
        numpy.savez(self.path("a.npz"), a=array, b=numpy.ones(2))
        self.write("a.pkl", self.payload())
        for way, load in {
            "npy": lambda: numpy.load(self.path("a.npy"), allow_pickle=True),
            "npy, file": lambda: numpy.load(open(self.path("a.npy"), "rb"), allow_pickle=True),
            "npz": lambda: numpy.load(self.path("a.npz"), allow_pickle=True)["a"],
            "pickle": lambda: numpy.load(self.path("a.pkl"), allow_pickle=True),
            "pickle, mapped": lambda: numpy.load(self.path("a.pkl"), "r", True),
            "read_array": lambda: numpy.lib.format.read_array(open(self.path("a.npy"), "rb"), allow_pickle=True),
            "original": lambda: numpy.load.__wrapped__(self.path("a.npy"), allow_pickle=True),
        }.items():
            with self.subTest(way=way):
                # numpy says in its own words that it could not unpickle.
                self.refused(load, (UnsafeFileError, pickle.UnpicklingError))
        clean = numpy.array([{"a": 1}, None], object)
        numpy.save(self.path("b.npy"), clean, allow_pickle=True)
        numpy.savez(self.path("b.npz"), a=clean)
        self.assertEqual(numpy.load(self.path("b.npy"), allow_pickle=True)[0], {"a": 1})
        self.assertEqual(numpy.load(self.path("b.npz"), allow_pickle=True)["a"][0], {"a": 1})
        numpy.save(self.path("c.npy"), numpy.arange(4))
        self.assertEqual(numpy.load(self.path("c.npy"), mmap_mode="r")[3], 3)

    @there("joblib", "sklearn")
    def test_joblib_and_scikit_learn(self):
        import joblib
        import numpy
        from sklearn.linear_model import LinearRegression
        from sklearn.preprocessing import StandardScaler

        for compress in (0, 3, ("bz2", 3), ("lzma", 1)):
            joblib.dump({"w": numpy.ones(20), "x": Payload(self.canary)}, self.path("a.joblib"), compress=compress)
            for way, load in {
                "path": lambda: joblib.load(self.path("a.joblib")),
                "file": lambda: joblib.load(open(self.path("a.joblib"), "rb")),
                "mapped": lambda: joblib.load(self.path("a.joblib"), mmap_mode="r"),
                "numpy_pickle": lambda: joblib.numpy_pickle.load(self.path("a.joblib")),
            }.items():
                with self.subTest(way=way, compress=compress):
                    self.refused(load)
            model = StandardScaler().fit(numpy.arange(12.0).reshape(4, 3))
            joblib.dump(model, self.path("b.joblib"), compress=compress)
            numpy.testing.assert_array_equal(joblib.load(self.path("b.joblib")).mean_, model.mean_)
        model = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
        self.assertAlmostEqual(pickle.loads(pickle.dumps(model)).predict([[2.0]])[0], 5.0)

    @there("pandas")
    def test_pandas(self):
        import pandas
        import pandas.compat.pickle_compat as compat

        for name in ("a.pkl", "a.pkl.gz", "a.pkl.bz2", "a.pkl.xz", "a.pkl.zip"):
            pandas.to_pickle(Payload(self.canary), self.path(name))
            with self.subTest(file=name):
                self.refused(lambda: pandas.read_pickle(self.path(name)))
                pandas.to_pickle(pandas.DataFrame({"a": [1, 2]}), self.path(name))
                self.assertEqual(list(pandas.read_pickle(self.path(name))["a"]), [1, 2])
        self.refused(lambda: pandas.read_pickle(io.BytesIO(self.payload())))
        for name in ("loads", "load"):
            load = getattr(compat, name, None)
            if load is not None:
                self.refused(lambda: load(self.payload() if name == "loads" else io.BytesIO(self.payload())))
        self.refused(lambda: compat.Unpickler(io.BytesIO(self.payload())).load())

    @there("cloudpickle")
    def test_cloudpickle(self):
        import cloudpickle

        canary = self.canary
        self.refused(lambda: cloudpickle.loads(cloudpickle.dumps(Payload(canary))))
        self.refused(lambda: cloudpickle.load(io.BytesIO(cloudpickle.dumps(lambda: os.mkdir(canary)))))

    @there("keras")
    def test_keras(self):
        import keras

        with zipfile.ZipFile(self.path("a.keras"), "w") as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
            archive.writestr("config.json", '{"module": "os", "class_name": "mkdir", "config": {"path": "%s"}}' % self.canary)
            archive.writestr("model.weights.h5", b"")
        for load in (keras.saving.load_model, keras.models.load_model):
            self.refused(lambda: load(self.path("a.keras")))


class Modes(Folder):
    def test_warn_loads_and_says_so(self):
        data = pickle.dumps(Late)  # a class of these tests: unknown, and harmless
        with guard.install("warn"), self.assertLogs("modelscan_rs.guard", "WARNING") as logs:
            self.assertIs(pickle.loads(data), Late)
            self.assertIs(early_loads(data), Late)
        self.assertIn("unproven", logs.output[0])

    def test_content_is_allowed_by_its_hash_and_by_nothing_else(self):
        data = pickle.dumps(Late)
        with guard.install():
            error = self.refused(lambda: pickle.loads(data))
        self.assertEqual((error.verdict, len(error.sha256)), ("unproven", 64))
        self.assertIn(f"MODELSCAN_ALLOW_SHA256={error.sha256}", str(error))
        with guard.install(allow_sha256=[error.sha256.upper()]):
            self.assertIs(pickle.loads(data), Late)
            self.assertIs(pickle.load(open(self.write("a.pkl", data), "rb")), Late)
            self.refused(lambda: pickle.loads(data + b"."))
        for wrong in ("", "x" * 64, "ab"):
            with self.assertRaises(ValueError):
                guard.install(allow_sha256=[wrong])
        with self.assertRaises(ValueError):
            guard.install("off")

    def test_a_refusal_is_logged(self):
        with guard.install(), self.assertLogs("modelscan_rs.guard", "ERROR") as logs:
            self.refused(lambda: pickle.loads(self.payload()))
            self.refused(lambda: early_loads(self.payload()))
        self.assertEqual(len(logs.output), 2)

    def test_everything_is_as_before_when_the_guard_goes(self):
        import _pickle

        before = [pickle.load, pickle.loads, pickle.Unpickler, pickle._Unpickler, _pickle.loads, list(sys.meta_path)]
        with guard.install():
            with guard.install("warn"):
                self.assertEqual(guard.active(), "warn")
            self.assertEqual(guard.active(), "deny")
            self.refused(lambda: pickle.loads(self.payload()))
        after = [pickle.load, pickle.loads, pickle.Unpickler, pickle._Unpickler, _pickle.loads, list(sys.meta_path)]
        self.assertEqual(before, after)
        self.assertIsNone(guard.active())
        self.assertEqual(pickle.loads(pickle.dumps(collections.Counter("a"))), {"a": 1})

    def test_an_error_within_the_guard_is_a_refusal(self):
        from modelscan_rs.guard import _admit

        decide = _admit._decide

        def broken(*_):
            raise RuntimeError("broken")

        with guard.install():
            _admit._decide = broken
            try:
                error = self.refused(lambda: pickle.loads(self.payload()))
                self.assertEqual((error.rule, error.verdict), ("guard-failed", "not_scanned"))
                self.refused(lambda: pickle.load(io.BytesIO(pickle.dumps([1]))))
            finally:
                _admit._decide = decide

    @there("torch")
    def test_convert_answers_a_clean_state_dict_from_our_reader(self):
        import torch

        value = collections.OrderedDict({"a.w": torch.randn(3, 4), "b": torch.ones(2).bfloat16()})
        torch.save(value, self.path("flat.pt"))
        torch.save({"model": value, "epoch": 3}, self.path("deep.pt"))
        torch.save({"model.a": {"b": torch.ones(1)}}, self.path("dots.pt"))
        asked = []
        original = torch.serialization.__dict__["load"]
        with guard.install("convert"):
            wrapped = torch.load
            inner = wrapped.__wrapped__
            wrapped.__wrapped__ = lambda *args, **options: asked.append(1) or inner(*args, **options)
            try:
                found = torch.load(self.path("flat.pt"))
                self.assertEqual(asked, [])
                self.assertEqual(torch.load(self.path("deep.pt"))["epoch"], 3)
                self.assertEqual(list(torch.load(self.path("dots.pt"))), ["model.a"])
                self.assertEqual(len(asked), 2)
            finally:
                wrapped.__wrapped__ = inner
            self.write("evil.pt", self.payload())
            self.refused(lambda: torch.load(self.path("evil.pt"), weights_only=False))
        self.assertIs(torch.serialization.__dict__["load"], original)
        self.assertEqual(list(found), list(value))
        for name in value:
            self.assertTrue(torch.equal(found[name], value[name]))

    def test_a_changed_file_is_scanned_again(self):
        path = self.write("a.pkl", pickle.dumps(collections.Counter("ab")))
        with guard.install():
            for _ in range(3):
                self.assertEqual(pickle.load(open(path, "rb")), {"a": 1, "b": 1})
            self.write("a.pkl", self.payload())
            os.utime(path, (1, 1))
            self.refused(lambda: pickle.load(open(path, "rb")))

    def test_what_was_seen_costs_less_than_a_millisecond(self):
        data = pickle.dumps([{"a": index, "b": (index, 1.5)} for index in range(2000)])
        with guard.install():
            pickle.loads(data)
            from modelscan_rs.guard import _admit

            times = []
            for _ in range(20):
                start = time.perf_counter()
                _admit.of_bytes(data, "<bytes>")
                times.append(time.perf_counter() - start)
        self.assertLess(min(times), 0.001)

    def test_a_hundred_loads_at_once_end(self):
        values = [{"index": index, "counter": collections.Counter(str(index))} for index in range(100)]
        paths = [self.write(f"{index}.pkl", pickle.dumps(value)) for index, value in enumerate(values)]
        evil = self.write("evil.pkl", self.payload())
        barrier = threading.Barrier(100)

        def load(index):
            barrier.wait(30)
            for _ in range(3):
                with open(evil, "rb") as file:
                    try:
                        pickle.load(file)
                        return "loaded"
                    except UnsafeFileError:
                        pass
                with open(paths[index], "rb") as file:
                    if pickle.load(file) != values[index]:
                        return "another value"
            return None

        with guard.install():
            pool = concurrent.futures.ThreadPoolExecutor(100)
            try:
                done = [pool.submit(load, index) for index in range(100)]
                self.assertEqual({one.result(60) for one in done}, {None})
            finally:
                pool.shutdown(wait=False)
        self.assertFalse(os.path.exists(self.canary))


if __name__ == "__main__":
    unittest.main()
