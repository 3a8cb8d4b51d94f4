"""The loaders of libraries under the guard."""

import io
import json
import os
import pickle
import unittest
import unittest.mock
import zipfile

from support import GuardedTest, Payload, requires

from modelscan_rs import UnsafeFileError


class Libraries(GuardedTest):
    @requires("torch")
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
                    self.assert_refused(load, Exception if way == "original" else UnsafeFileError)
        with self.subTest(way="basichandlers"):
            self.assert_refused(lambda: decoder.basichandlers("pickle", self.payload()))
        from torch.utils._config_module import ConfigModule

        with self.subTest(way="load_config"):
            self.assert_refused(lambda: ConfigModule.load_config(None, self.payload()))

    def hub(self, torch, path):
        return torch.hub.load_state_dict_from_url("file://" + path, model_dir=os.path.dirname(path), weights_only=False)

    @requires("torch")
    def test_clean_checkpoints_load_as_before(self):
        import torch

        value = {"w": torch.randn(3, 4), "nested": {"step": 3, "m": torch.ones(2)}}
        for layout in (True, False):
            path = self.path("a.pt")
            torch.save(value, path, _use_new_zipfile_serialization=layout)
            with open(path, "rb") as file, io.BytesIO(file.read()) as memory:
                file.seek(0)
                found = [
                    torch.load(path),
                    torch.load(path, weights_only=False),
                    torch.load(file, weights_only=False),
                    torch.load(memory),
                    torch.load(path, "cpu"),
                    torch.load(path, map_location=torch.device("cpu")),
                ]
                if layout:
                    found.append(torch.load(path, mmap=True))
            for one in found:
                self.assertTrue(torch.equal(one["w"], value["w"]))
                self.assertEqual(one["nested"]["step"], 3)
        torch.save(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU()), path)
        self.assertIsInstance(torch.load(path, weights_only=False), torch.nn.Sequential)

    @requires("torch", "safetensors")
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
        self.assert_refused(lambda: safetensors.torch.load_file(path))
        self.assert_refused(lambda: safetensors.torch.load(self.payload()))

    @requires("numpy")
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
                # numpy may turn the refusal into its own error.
                self.assert_refused(load, (UnsafeFileError, pickle.UnpicklingError))
        clean = numpy.array([{"a": 1}, None], object)
        numpy.save(self.path("b.npy"), clean, allow_pickle=True)
        numpy.savez(self.path("b.npz"), a=clean)
        self.assertEqual(numpy.load(self.path("b.npy"), allow_pickle=True)[0], {"a": 1})
        self.assertEqual(numpy.load(self.path("b.npz"), allow_pickle=True)["a"][0], {"a": 1})
        numpy.save(self.path("c.npy"), numpy.arange(4))
        self.assertEqual(numpy.load(self.path("c.npy"), mmap_mode="r")[3], 3)

    @requires("joblib", "sklearn")
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
                    self.assert_refused(load)
            model = StandardScaler().fit(numpy.arange(12.0).reshape(4, 3))
            joblib.dump(model, self.path("b.joblib"), compress=compress)
            numpy.testing.assert_array_equal(joblib.load(self.path("b.joblib")).mean_, model.mean_)
        model = LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0])
        self.assertAlmostEqual(pickle.loads(pickle.dumps(model)).predict([[2.0]])[0], 5.0)

    @requires("pandas")
    def test_pandas(self):
        import pandas
        import pandas.compat.pickle_compat as compat

        for name in ("a.pkl", "a.pkl.gz", "a.pkl.bz2", "a.pkl.xz", "a.pkl.zip"):
            pandas.to_pickle(Payload(self.canary), self.path(name))
            with self.subTest(file=name):
                self.assert_refused(lambda: pandas.read_pickle(self.path(name)))
                pandas.to_pickle(pandas.DataFrame({"a": [1, 2]}), self.path(name))
                self.assertEqual(list(pandas.read_pickle(self.path(name))["a"]), [1, 2])
        self.assert_refused(lambda: pandas.read_pickle(io.BytesIO(self.payload())))
        for name in ("loads", "load"):
            load = getattr(compat, name, None)
            if load is not None:
                self.assert_refused(lambda: load(self.payload() if name == "loads" else io.BytesIO(self.payload())))
        self.assert_refused(lambda: compat.Unpickler(io.BytesIO(self.payload())).load())

    @requires("cloudpickle")
    def test_cloudpickle(self):
        import cloudpickle

        canary = self.canary
        self.assert_refused(lambda: cloudpickle.loads(cloudpickle.dumps(Payload(canary))))
        self.assert_refused(lambda: cloudpickle.load(io.BytesIO(cloudpickle.dumps(lambda: os.mkdir(canary)))))

    @requires("keras")
    def test_keras(self):
        import keras

        with zipfile.ZipFile(self.path("a.keras"), "w") as archive:
            archive.writestr("metadata.json", '{"keras_version": "3.0.0"}')
            archive.writestr(
                "config.json", json.dumps({"module": "os", "class_name": "mkdir", "config": {"path": self.canary}})
            )
            archive.writestr("model.weights.h5", b"")
        for load in (keras.saving.load_model, keras.models.load_model):
            self.assert_refused(lambda: load(self.path("a.keras")))


if __name__ == "__main__":
    unittest.main()
