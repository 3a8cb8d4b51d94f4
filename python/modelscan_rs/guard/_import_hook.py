"""Replaces the functions that `_libraries` lists, in modules that are imported already and in modules imported
later."""

from __future__ import annotations

import sys
from typing import Any

from . import _config
from ._libraries import CONSTRUCTORS, FUNCTIONS
from ._wrapper import Wrapper

#: Owner, attribute, original and replacement.
_replaced: list[tuple[Any, str, Any, Any]] = []


class _Finder:
    """A meta path finder that patches a listed module after it was executed."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> Any:
        if name not in FUNCTIONS and name not in CONSTRUCTORS:
            return None
        spec = _find_spec_of_others(name, path, target)
        execute = getattr(spec.loader, "exec_module", None) if spec is not None else None
        if execute is not None:

            def exec_module(module: Any) -> None:
                execute(module)
                if _config.current() is not None:
                    _patch(module)

            spec.loader.exec_module = exec_module
        return spec


def _find_spec_of_others(name: str, path: Any, target: Any) -> Any:
    for finder in sys.meta_path:
        if finder is _Finder or not hasattr(finder, "find_spec"):
            continue
        spec = finder.find_spec(name, path, target)
        if spec is not None:
            return spec
    return None


def _patch(module: Any) -> None:
    name = module.__name__
    for attribute, guarded in FUNCTIONS.get(name, {}).items():
        original = module.__dict__.get(attribute)
        if original is not None and not isinstance(original, Wrapper):
            _replace(module, attribute, original, Wrapper(original, guarded))
    if name in CONSTRUCTORS:
        class_name, guarded_constructor = CONSTRUCTORS[name]
        cls = getattr(module, class_name)
        if not any(owner is cls for owner, *_ in _replaced):
            _replace(cls, "__init__", cls.__init__, guarded_constructor(cls.__init__))


def _replace(owner: Any, attribute: str, original: Any, replacement: Any) -> None:
    setattr(owner, attribute, replacement)
    _replaced.append((owner, attribute, original, replacement))


def wrap() -> None:
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)
    for name in [*FUNCTIONS, *CONSTRUCTORS]:
        module = sys.modules.get(name)
        # The finder patches a module that is being imported right now.
        if module is not None and not getattr(getattr(module, "__spec__", None), "_initializing", False):
            _patch(module)


def unwrap() -> None:
    if _Finder in sys.meta_path:
        sys.meta_path.remove(_Finder)
    while _replaced:
        owner, attribute, original, replacement = _replaced.pop()
        # Other modules may hold the wrapper too; without a guard it calls the original.
        if owner.__dict__.get(attribute) is replacement:
            setattr(owner, attribute, original)
