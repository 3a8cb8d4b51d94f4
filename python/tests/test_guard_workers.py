"""Process pools and other workers under the guard."""

import collections
import concurrent.futures
import multiprocessing
import os
import pickle
import time
import unittest
import unittest.mock

from early import early_loads
from support import GuardedTest, requires

from modelscan_rs import UnsafeFileError, guard


class Workers(GuardedTest):
    def test_multiprocessing_and_pools_of_processes_work(self):
        for method in ("fork", "spawn"):
            context = multiprocessing.get_context(method)
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                self.assertEqual(pool.submit(collections.Counter, "aab").result(60), {"a": 2, "b": 1})
            with context.Pool(1) as pool:
                self.assertEqual(pool.map(collections.OrderedDict, [[(1, 2)]]), [{1: 2}])

    @requires("torch")
    def test_workers_of_a_data_loader_work(self):
        import torch
        from torch.utils.data import DataLoader, TensorDataset

        loader = DataLoader(TensorDataset(torch.arange(8.0)), batch_size=4, num_workers=1)
        self.assertEqual([batch[0].sum().item() for batch in loader], [6.0, 22.0])

    def test_a_worker_scans_data_that_it_unpickles(self):
        data = self.payload()
        for method in ("fork", "spawn"):
            context = multiprocessing.get_context(method)
            environment = {"MODELSCAN_GUARD": "deny"} if method == "spawn" else {}
            with unittest.mock.patch.dict(os.environ, environment):
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                    self.assert_refused(pool.submit(pickle.loads, data).result)
                with context.Pool(1) as pool:
                    self.assert_refused(lambda: pool.apply(pickle.loads, (data,)))

    @requires("joblib")
    def test_workers_of_joblib_work(self):
        import joblib

        with unittest.mock.patch.dict(os.environ, {"MODELSCAN_GUARD": "deny"}):
            self.assertEqual(
                joblib.Parallel(2)(joblib.delayed(collections.Counter)(text) for text in "ab"), [{"a": 1}, {"b": 1}]
            )
            self.assert_refused(
                lambda: joblib.Parallel(2)(joblib.delayed(pickle.loads)(data) for data in [self.payload()] * 2)
            )

    def test_a_trusted_module_may_unpickle(self):
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


if __name__ == "__main__":
    unittest.main()
