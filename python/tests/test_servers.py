"""The vLLM plugin, and folders for `from_pretrained`.

vLLM is too large for a test. A stand-in has the methods of its loader in version 0.33 that the plugin uses.
"""

import dataclasses
import glob
import importlib.metadata
import os
import pickle
import sys
import types
import unittest
from unittest import mock

from support import FolderTest, Payload, requires

import modelscan_rs


@dataclasses.dataclass
class LoadConfig:
    load_format: str = "auto"


class DefaultModelLoader:
    """As vllm/model_executor/model_loader/default_loader.py: finds the files, and whether they are safetensors."""

    def __init__(self, load_config):
        self.load_config = load_config

    def _prepare_weights(self, model_name_or_path, subfolder, revision, fall_back_to_pt, allow_patterns_overrides):
        if self.load_config.load_format != "hf":
            raise ValueError(f"Unknown load_format: {self.load_config.load_format}")
        for pattern in ("*.safetensors", "*.bin", "*.pt"):
            files = sorted(glob.glob(os.path.join(model_name_or_path, pattern)))
            if files:
                return model_name_or_path, files, pattern == "*.safetensors", "model.safetensors.index.json"
        raise RuntimeError(f"Cannot find any model weights with `{model_name_or_path}`")


class VLLM(FolderTest):
    def setUp(self):
        super().setUp()
        self.formats = {}
        loader = types.ModuleType("vllm.model_executor.model_loader")
        loader.register_model_loader = lambda name: lambda cls: self.formats.setdefault(name, cls)
        default = types.ModuleType("vllm.model_executor.model_loader.default_loader")
        default.DefaultModelLoader = DefaultModelLoader
        executor = types.ModuleType("vllm.model_executor")
        executor.model_loader = loader
        modules = {
            "vllm": types.ModuleType("vllm"),
            executor.__name__: executor,
            loader.__name__: loader,
            default.__name__: default,
        }
        patch = mock.patch.dict(sys.modules, modules)
        patch.start()
        self.addCleanup(patch.stop)
        patch = mock.patch.dict(os.environ, {"MODELSCAN_CACHE": self.path("cache")})
        patch.start()
        self.addCleanup(patch.stop)
        os.mkdir(self.path("model"))

    def prepare(self):
        (point,) = [
            one
            for one in importlib.metadata.distribution("modelscan-rs").entry_points
            if one.group == "vllm.general_plugins"
        ]
        point.load()()
        config = LoadConfig("modelscan")
        loader = self.formats["modelscan"](config)
        self.assertEqual(config.load_format, "modelscan")
        return loader._prepare_weights(self.path("model"), None, None, True, None)

    @requires("numpy")
    def test_pickled_weights_are_converted(self):
        import numpy

        weights = {"layer.w": numpy.arange(6.0).reshape(2, 3)}
        self.write("model/pytorch_model-00001-of-00002.bin", pickle.dumps(weights))
        self.write("model/pytorch_model-00002-of-00002.bin", pickle.dumps({"layer.b": numpy.ones(3)}))
        for _ in range(2):
            folder, files, use_safetensors, _index = self.prepare()
            self.assertTrue(use_safetensors and folder.startswith(self.path("cache")))
            self.assertEqual(
                [os.path.basename(file) for file in files],
                ["pytorch_model-00001-of-00002.safetensors", "pytorch_model-00002-of-00002.safetensors"],
            )
        numpy.testing.assert_array_equal(modelscan_rs.load_file(files[0], "numpy")["layer.w"], weights["layer.w"])

    @requires("numpy")
    def test_weights_that_are_not_clean_stop_the_start(self):
        import numpy

        self.write("model/pytorch_model.bin", pickle.dumps({"w": numpy.ones(3), "x": Payload(self.canary)}))
        self.assert_refused(self.prepare)
        # Safetensors are preferred, and scanned too.
        self.write("model/model.safetensors", self.payload())
        self.assert_refused(self.prepare)
        self.assertFalse(os.path.exists(self.path("cache")) and os.listdir(self.path("cache/vllm")))

    def test_without_weights_there_is_an_error(self):
        with self.assertRaises(RuntimeError):
            self.prepare()


class Pretrained(FolderTest):
    @requires("transformers", "torch")
    def test_from_pretrained_prefers_the_converted_file(self):
        import torch
        from transformers import BertConfig, BertModel

        small = BertConfig(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=10
        )
        model = BertModel(small)
        small.save_pretrained(self.folder)
        torch.save(model.state_dict(), self.path("pytorch_model.bin"))
        modelscan_rs.convert(self.path("pytorch_model.bin"), self.path("model.safetensors"))
        self.write("pytorch_model.bin", self.payload())
        loaded = BertModel.from_pretrained(self.folder)
        for name, tensor in model.state_dict().items():
            self.assertTrue(torch.equal(loaded.state_dict()[name], tensor), name)


if __name__ == "__main__":
    unittest.main()
