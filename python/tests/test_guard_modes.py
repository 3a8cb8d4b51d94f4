"""The modes of the guard, its errors, its caches and its removal."""

import collections
import concurrent.futures
import io
import os
import pickle
import sys
import threading
import time
import unittest
import unittest.mock

from early import early_loads
from support import FolderTest, PartialPayload, requires

from modelscan_rs import UnsafeFileError, guard


class Modes(FolderTest):
    def test_warn_loads_and_logs(self):
        data = pickle.dumps(PartialPayload)  # a class that no rule knows, and harmless
        with guard.install("warn"), self.assertLogs("modelscan_rs.guard", "WARNING") as logs:
            self.assertIs(pickle.loads(data), PartialPayload)
            self.assertIs(early_loads(data), PartialPayload)
        self.assertIn("unproven", logs.output[0])

    def test_only_the_hash_of_content_allows_it(self):
        data = pickle.dumps(PartialPayload)
        with guard.install():
            error = self.assert_refused(lambda: pickle.loads(data))
        self.assertEqual((error.verdict, len(error.sha256)), ("unproven", 64))
        self.assertIn(f"MODELSCAN_ALLOW_SHA256={error.sha256}", str(error))
        with guard.install(allow_sha256=[error.sha256.upper()]):
            self.assertIs(pickle.loads(data), PartialPayload)
            self.assertIs(pickle.load(open(self.write("a.pkl", data), "rb")), PartialPayload)
            self.assert_refused(lambda: pickle.loads(data + b"."))
        for wrong in ("", "x" * 64, "ab"):
            with self.assertRaises(ValueError):
                guard.install(allow_sha256=[wrong])
        with self.assertRaises(ValueError):
            guard.install("off")

    def test_a_refusal_is_logged(self):
        with guard.install(), self.assertLogs("modelscan_rs.guard", "ERROR") as logs:
            self.assert_refused(lambda: pickle.loads(self.payload()))
            self.assert_refused(lambda: early_loads(self.payload()))
        self.assertEqual(len(logs.output), 2)

    def test_uninstall_restores_everything(self):
        import _pickle

        before = [pickle.load, pickle.loads, pickle.Unpickler, pickle._Unpickler, _pickle.loads, list(sys.meta_path)]
        with guard.install():
            with guard.install("warn"):
                self.assertEqual(guard.active(), "warn")
            self.assertEqual(guard.active(), "deny")
            self.assert_refused(lambda: pickle.loads(self.payload()))
        after = [pickle.load, pickle.loads, pickle.Unpickler, pickle._Unpickler, _pickle.loads, list(sys.meta_path)]
        self.assertEqual(before, after)
        self.assertIsNone(guard.active())
        self.assertEqual(pickle.loads(pickle.dumps(collections.Counter("a"))), {"a": 1})

    def test_an_error_of_the_guard_is_a_refusal(self):
        from modelscan_rs.guard import _admission

        decide = _admission._decide

        def broken(*_):
            raise RuntimeError("broken")

        with guard.install():
            _admission._decide = broken
            try:
                error = self.assert_refused(lambda: pickle.loads(self.payload()))
                self.assertEqual((error.rule, error.verdict), ("guard-failed", "not_scanned"))
                self.assert_refused(lambda: pickle.load(io.BytesIO(pickle.dumps([1]))))
            finally:
                _admission._decide = decide

    @requires("torch")
    def test_convert_reads_a_clean_state_dict_without_torch_load(self):
        import torch

        value = collections.OrderedDict({"a.w": torch.randn(3, 4), "b": torch.ones(2).bfloat16()})
        torch.save(value, self.path("flat.pt"))
        torch.save({"model": value, "epoch": 3}, self.path("deep.pt"))
        torch.save({"model.a": {"b": torch.ones(1)}}, self.path("dots.pt"))
        calls = []
        original = torch.serialization.__dict__["load"]
        with guard.install("convert"):
            wrapped = torch.load
            inner = wrapped.__wrapped__
            wrapped.__wrapped__ = lambda *args, **options: calls.append(1) or inner(*args, **options)
            try:
                found = torch.load(self.path("flat.pt"))
                self.assertEqual(calls, [])
                self.assertEqual(torch.load(self.path("deep.pt"))["epoch"], 3)
                self.assertEqual(list(torch.load(self.path("dots.pt"))), ["model.a"])
                self.assertEqual(len(calls), 2)
            finally:
                wrapped.__wrapped__ = inner
            self.write("evil.pt", self.payload())
            self.assert_refused(lambda: torch.load(self.path("evil.pt"), weights_only=False))
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
            self.assert_refused(lambda: pickle.load(open(path, "rb")))

    def test_a_cached_verdict_takes_less_than_a_millisecond(self):
        data = pickle.dumps([{"a": index, "b": (index, 1.5)} for index in range(2000)])
        with guard.install():
            pickle.loads(data)
            from modelscan_rs.guard import _admission

            times = []
            for _ in range(20):
                start = time.perf_counter()
                _admission.admit_bytes(data, "<bytes>")
                times.append(time.perf_counter() - start)
        self.assertLess(min(times), 0.001)

    def test_a_hundred_parallel_loads_finish(self):
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
