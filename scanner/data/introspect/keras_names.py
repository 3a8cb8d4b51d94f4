#!/usr/bin/env python3
"""Write ../keras.tsv: what the configuration of a Keras model may name and Keras itself makes without anything of the file's choosing.

    pip install keras numpy scipy jax h5py
    KERAS_BACKEND=numpy python keras_names.py

Classes that Keras saves (with `from_config`), under the names that it exports and those of the modules where they stand, and the functions
that stand for themselves in a configuration: activations, losses, metrics. What runs code, reads files or calls what the
configuration gives it is left out below by hand, each with its reason, and so is everything that no configuration of a model needs.
"""

import importlib
import inspect
import os
import pathlib
import pkgutil

os.environ.setdefault("KERAS_BACKEND", "numpy")

import keras  # noqa: E402
from keras.src.api_export import REGISTERED_NAMES_TO_OBJS  # noqa: E402
from keras.src.saving.keras_saveable import KerasSaveable  # noqa: E402

LEFT_OUT = {
    "Lambda": "calls a marshalled function",
    "TFSMLayer": "loads a SavedModel from a path of the configuration",
    "TorchModuleWrapper": "unpickles with torch.load",
    "JaxLayer": "calls a function of the configuration",
    "FlaxLayer": "calls a function of the configuration",
    # Operations that call a function which they are given.
    **dict.fromkeys(("AssociativeScan", "Cond", "CustomGradient", "ForiLoop", "Map", "Scan", "Switch", "VectorizedMap", "WhileLoop", "Vectorize"), "calls a function"),
}
# Packages of classes; `keras` itself exports Sequential, Model and so on.
CLASSES = ["keras", "keras.constraints", "keras.dtype_policies", "keras.initializers", "keras.layers", "keras.losses", "keras.metrics", "keras.models",
           "keras.optimizers", "keras.optimizers.schedules", "keras.quantizers", "keras.random", "keras.regularizers"]
INTERNAL = ["keras.src." + name for name in ("constraints", "dtype_policies", "initializers", "layers", "losses", "metrics", "models", "ops", "optimizers",
                                             "quantizers", "random", "regularizers")]
FUNCTIONS = ["keras.activations", "keras.losses", "keras.metrics"]
# Functions that look up or make something else by a name.
NOT_THESE = {"get", "serialize", "deserialize"}
# Where earlier releases had the classes whose own module is saved (Keras 2, `tf.keras`), and second names that Keras exports.
EARLIER = [("keras.engine.functional", "Functional"), ("keras.src.engine.functional", "Functional"), ("keras.src.engine.sequential", "Sequential"),
           ("keras.engine.sequential", "Sequential"), ("keras.src.engine.training", "Model"), ("keras.engine.training", "Model"),
           ("keras.mixed_precision", "Policy"), ("keras.models", "Model"), ("keras.models", "Sequential")]


def saved(thing):
    return inspect.isclass(thing) and issubclass(thing, KerasSaveable) or hasattr(thing, "from_config")


def modules(root):
    package = importlib.import_module(root)
    yield package
    for found in pkgutil.walk_packages(getattr(package, "__path__", []), root + "."):
        if not found.name.endswith("_test") and ".applications" not in found.name:
            try:
                yield importlib.import_module(found.name)
            except ImportError:
                print("not here:", found.name)


def main():
    rows = {(module, name): ("class", "earlier") for module, name in EARLIER}
    version = "keras " + keras.__version__
    for full, thing in REGISTERED_NAMES_TO_OBJS.items():
        module, name = full.rsplit(".", 1)
        if module in CLASSES and saved(thing) and name not in LEFT_OUT:
            rows[module, name] = ("class", version)
        elif module in FUNCTIONS and inspect.isfunction(thing) and name not in NOT_THESE:
            rows[module, name] = ("function", version)
    for root in INTERNAL:
        for module in modules(root):
            for name, thing in vars(module).items():
                own = inspect.isclass(thing) and thing.__module__ == module.__name__ and thing.__name__ == name
                if own and saved(thing) and name not in LEFT_OUT and not name.startswith("_"):
                    rows[module.__name__, name] = ("class", version)
    table = pathlib.Path(__file__).resolve().parents[1] / "keras.tsv"
    lines = ["\t".join((*pair, *row)) for pair, row in sorted(rows.items(), key=lambda item: [part.encode() for part in item[0]])]
    table.write_text("module\tname\tkind\trelease\n" + "\n".join(lines) + "\n")
    print(len(lines), "rows")


if __name__ == "__main__":
    main()
