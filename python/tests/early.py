"""Functions and classes of `pickle` that are imported before the guard, so that only the audit hook applies to them."""

import pickle
from _pickle import loads as early_c_loads
from pickle import Unpickler as EarlyUnpickler
from pickle import load as early_load
from pickle import loads as early_loads

__all__ = [
    "EARLY_PYTHON_UNPICKLER",
    "EarlySubclass",
    "EarlyUnpickler",
    "early_c_loads",
    "early_load",
    "early_loads",
]

EARLY_PYTHON_UNPICKLER = pickle._Unpickler


class EarlySubclass(EarlyUnpickler):
    def find_class(self, module, name):
        return super().find_class(module, name)
