"""The public functions: scan, load_file, convert, run."""

import gc
import io
import json
import os
import pathlib
import pickle
import subprocess
import sys
import threading
import time
import unittest

from support import FolderTest, requires

import modelscan_rs

FIXTURES = pathlib.Path(os.environ.get("MODELSCAN_FIXTURES", pathlib.Path(__file__).resolve().parents[2] / "fixtures"))


class Scan(FolderTest):
    def test_path_descriptor_bytes_and_file_give_the_same_findings(self):
        data = self.payload()
        path = self.write("a.pkl", data)
        by_path = modelscan_rs.scan(path)
        self.assertEqual((by_path.verdict, by_path.is_clean), ("dangerous", False))
        with open(path, "rb") as file:
            by_fd = modelscan_rs.scan(file.fileno(), name=path)
            by_file = modelscan_rs.scan(file)
            self.assertEqual(file.tell(), 0)
        by_bytes = [modelscan_rs.scan(kind(data), name=path) for kind in (bytes, bytearray, memoryview)]
        for other in [by_fd, by_file, *by_bytes]:
            self.assertEqual(other.findings, by_path.findings)
        finding = by_path.worst
        self.assertEqual(
            (finding.rule, finding.severity, finding.callable), ("unsafe-callable", "critical", "posix.mkdir")
        )
        self.assertIsInstance(finding.offset, int)

    def test_the_report_equals_that_of_the_command(self):
        path = self.write("a.pkl", self.payload())
        done = subprocess.run([modelscan_rs.command(), "scan", "--format", "json", path], capture_output=True)
        self.assertEqual(json.loads(done.stdout), modelscan_rs.scan(path).to_dict())
        self.assertEqual([one.path for one in modelscan_rs.scan(self.folder).artifacts], [path])

    def test_a_deleted_file_is_scanned_through_its_descriptor(self):
        path = self.write("a.pkl", self.payload())
        with open(path, "rb") as file:
            os.unlink(path)
            self.write("a.pkl", b"N.")
            self.assertEqual(modelscan_rs.scan(file.fileno()).verdict, "dangerous")

    def test_invalid_sources_raise(self):
        with self.assertRaises(FileNotFoundError):
            modelscan_rs.scan(self.path("nothing"))
        for wrong in (True, None, 1.5, io.StringIO("x")):
            with self.assertRaises(TypeError):
                modelscan_rs.scan(wrong)
        self.assertEqual(modelscan_rs.scan(b"").verdict, "not_scanned")

    def test_a_scan_releases_the_interpreter_lock(self):
        data = pickle.dumps([{"a": (index, str(index))} for index in range(400_000)], 2)
        ticks, stop = [], threading.Event()

        def tick():
            while not stop.is_set():
                ticks.append(time.perf_counter())
                time.sleep(0.001)

        thread = threading.Thread(target=tick)
        thread.start()
        start = time.perf_counter()
        modelscan_rs.scan(data)
        end = time.perf_counter()
        stop.set()
        thread.join()
        within = sum(start < one < end for one in ticks)
        self.assertGreater(within, 3, f"{within} ticks in {end - start:.3f} s")


class Load(FolderTest):
    @requires("torch")
    def test_tensors_equal_those_of_torch(self):
        import torch

        value = {
            "layer.weight": torch.randn(300, 70),
            "half": torch.randn(5).half(),
            "brain": torch.randn(2, 2).bfloat16(),
            "float8": torch.randn(8).to(torch.float8_e4m3fn),
            "bool": torch.tensor([True, False]),
            "empty": torch.empty(0, 3),
            "scalar": torch.tensor(7),
            "turned": torch.randn(4, 6).t(),
            "every-other": torch.arange(10)[::2],
            "complex": torch.randn(3, dtype=torch.complex64),
            "int8": torch.arange(-5, 5, dtype=torch.int8),
        }
        value["tied"] = value["layer.weight"]
        for layout in (True, False):
            torch.save(value, self.path("a.pt"), _use_new_zipfile_serialization=layout)
            for mmap in (False, True):
                ours = modelscan_rs.load_file(self.path("a.pt"), mmap=mmap)
                self.assertEqual(set(ours), set(value))
                for name, tensor in value.items():
                    self.assertEqual((ours[name].dtype, ours[name].shape), (tensor.dtype, tensor.shape), name)
                    same = torch.equal(
                        ours[name].contiguous().view(-1).view(torch.uint8) if tensor.dim() else ours[name],
                        tensor.contiguous().view(-1).view(torch.uint8) if tensor.dim() else tensor,
                    )
                    self.assertTrue(same, name)
                self.assertEqual(ours["tied"].data_ptr(), ours["layer.weight"].data_ptr())
                ours["half"] += 1
        self.assertFalse(
            torch.equal(modelscan_rs.load_file(self.path("a.pt"))["half"], ours["half"]), "the file was written"
        )

    @requires("torch")
    def test_fixtures_load_as_in_torch(self):
        import torch

        compared = 0
        for path in sorted((FIXTURES / "clean/torch").rglob("*.pt")):
            try:
                value = torch.load(path, weights_only=True, map_location="cpu")
                ours = modelscan_rs.load_file(path, "torch")
            except Exception:
                continue
            if not isinstance(value, dict):
                continue
            for name, tensor in value.items():
                if (
                    isinstance(tensor, torch.Tensor)
                    and name in ours
                    and tensor.layout == torch.strided
                    and not tensor.is_quantized
                ):
                    self.assertEqual(ours[name].dtype, tensor.dtype, f"{path} {name}")
                    self.assertTrue(
                        torch.equal(ours[name].nan_to_num(), tensor.detach().resolve_conj().resolve_neg().nan_to_num())
                        if tensor.dtype.is_floating_point and tensor.element_size() > 1
                        else ours[name].shape == tensor.shape,
                        f"{path} {name}",
                    )
                    compared += 1
        self.assertGreater(compared, 30)

    @requires("numpy")
    def test_arrays_equal_those_of_numpy(self):
        import numpy

        value = {
            "a": numpy.arange(12.0).reshape(3, 4),
            "b": numpy.array([1, 2], ">i4"),
            "c": numpy.asfortranarray(numpy.eye(3)),
        }
        numpy.savez(self.path("a.npz"), **value)
        numpy.savez_compressed(self.path("b.npz"), **value)
        self.write("c.pkl", pickle.dumps(value))
        for name in ("a.npz", "b.npz", "c.pkl"):
            ours = modelscan_rs.load_file(self.path(name), "numpy")
            for key, array in value.items():
                numpy.testing.assert_array_equal(ours[key], array)
                ours[key].flat[0] = 9

    @requires("numpy")
    def test_a_refusal_has_verdict_rule_path_and_report(self):
        path = self.write("a.pkl", self.payload())
        error = self.assert_refused(lambda: modelscan_rs.load_file(path, "numpy"))
        self.assertEqual((error.verdict, error.rule, error.path), ("dangerous", "unsafe-callable", path))
        self.assertEqual(error.report.findings[0].callable, "posix.mkdir")
        with self.assertRaises(OSError):
            modelscan_rs.load_file(self.path("nothing"), "numpy")
        with self.assertRaises(ValueError):
            modelscan_rs.load_file(path, "tensorflow")

    @requires("numpy")
    def test_a_conversion_keeps_the_values(self):
        import numpy

        value = {"a": numpy.arange(12.0).reshape(3, 4)}
        numpy.savez(self.path("a.npz"), **value)
        report = modelscan_rs.convert(self.path("a.npz"), self.path("a.safetensors"), verify=True, sha256=True)
        self.assertEqual(report["outcome"], "written")
        numpy.testing.assert_array_equal(modelscan_rs.load_file(self.path("a.safetensors"), "numpy")["a"], value["a"])
        with self.assertRaises(modelscan_rs.ModelscanError):
            modelscan_rs.convert(self.path("a.npz"), self.path("a.safetensors"))
        modelscan_rs.convert(self.path("a.npz"), self.path("a.safetensors"), dtype="bf16", force=True)
        self.assert_refused(
            lambda: modelscan_rs.convert(self.write("b.pkl", self.payload()), self.path("b.safetensors"))
        )
        self.assertFalse(os.path.exists(self.path("b.safetensors")))

    @requires("numpy")
    def test_no_descriptor_stays_open(self):
        import numpy

        numpy.savez(self.path("a.npz"), a=numpy.zeros(1 << 20))
        for _ in range(3):
            array = modelscan_rs.load_file(self.path("a.npz"), "numpy")["a"]
        del array
        gc.collect()
        self.assertFalse([fd for fd in os.listdir("/proc/self/fd") if self.folder in self.target(fd)])

    def target(self, descriptor):
        try:
            return os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            return ""


class Run(FolderTest):
    @unittest.skipUnless(sys.platform == "linux", "the sandbox needs Linux")
    def test_a_command_runs_in_the_sandbox_or_not_at_all(self):
        result = modelscan_rs.run(["cat"], input=b"hello")
        if result.outcome == "not_started":
            self.assertEqual(result.code, 125)
            self.skipTest(f"no sandbox on this host: {result.report.get('reason')}")
        self.assertEqual((result.code, result.stdout), (0, b"hello"))
        self.assertEqual(result.report["enforced"]["network"], "none")
        self.assertEqual(modelscan_rs.run(["sh", "-c", "exit 7"]).code, 7)
        self.assertNotEqual(modelscan_rs.run(["cat", __file__]).code, 0, "a file outside the sandbox was read")

    def test_the_command_is_installed_under_its_name(self):
        done = subprocess.run([modelscan_rs.command(), "--version"], capture_output=True, text=True)
        self.assertIn(modelscan_rs.__version__, done.stdout)


if __name__ == "__main__":
    unittest.main()
