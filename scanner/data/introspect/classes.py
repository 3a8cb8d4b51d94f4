"""Classes of a library that users subclass or name: found in its modules, without being pickled. Runs on CPython 3.6 and later."""

import importlib
import pkgutil


def get(path):
    module, name = path.rsplit(".", 1)
    return getattr(importlib.import_module(module), name)


def modules_of(package, skip):
    """Import every submodule that imports, tests and build files aside."""
    root = importlib.import_module(package)
    yield root
    for info in pkgutil.walk_packages(getattr(root, "__path__", ()), package + ".", onerror=lambda name: None):
        if any(part in skip or part.startswith("test") or part == "conftest" for part in info.name.split(".")):
            continue
        try:
            yield importlib.import_module(info.name)
        except BaseException:
            continue


def listed_classes(package, bases, skip=()):
    bases = tuple(bases)
    for module in modules_of(package, skip):
        for name, found in sorted(vars(module).items()):
            if not isinstance(found, type) or found.__module__ != module.__name__ or found.__qualname__ != name:
                continue
            if issubclass(found, bases):
                yield found


def listings(library):
    """`(package, base classes, parts of module names to leave out)`: whose children are listed unpickled."""
    if library == "sklearn":
        import sklearn.base
        from sklearn.gaussian_process.kernels import Kernel

        yield "sklearn", [sklearn.base.BaseEstimator, Kernel], ("externals", "setup", "datasets")
        yield "sklearn.model_selection", [get("sklearn.model_selection.BaseCrossValidator")], ()
    elif library == "torch":
        import torch

        yield "torch.nn.modules", [torch.nn.Module], ()
        yield "torch.optim", [torch.optim.Optimizer, getattr(torch.optim.lr_scheduler, "LRScheduler", torch.optim.lr_scheduler._LRScheduler)], ("_multi_tensor",)
    elif library == "xgboost":
        yield "xgboost", [get("xgboost.sklearn.XGBModel")], ("spark", "dask", "testing")
    elif library == "lightgbm":
        yield "lightgbm.sklearn", [get("lightgbm.sklearn.LGBMModel")], ()
    elif library == "catboost":
        yield "catboost.core", [get("catboost.core.CatBoost")], ()
