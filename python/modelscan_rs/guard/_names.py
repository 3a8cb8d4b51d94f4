"""The names that an unpickler may import while it loads scanned data."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Optional

#: Pairs of module and name. None allows every name.
Names = Optional[frozenset[tuple[str, str]]]
#: For data that is loaded although it is not clean: its hash is allowed, or the mode is `warn`.
ANY_NAME: Names = None

#: NumPy 2 renamed this package. NumPy reads pickles of either name under the other.
_RENAMED_PACKAGES = (("numpy.core", "numpy._core"), ("numpy._core", "numpy.core"))


def with_aliases(imports: Iterable[tuple[str, str]]) -> Names:
    """The names that a scan found, and the current names that libraries import in their place."""
    # Pandas has a table from the old to the new names of its classes. It is empty unless pandas is imported.
    moved: dict[Any, Any] = getattr(sys.modules.get("pandas.compat.pickle_compat"), "_class_locations_map", {})
    names = set()
    for module, name in imports:
        names.add((module, name))
        if module == "torch.tensor":
            names.add(("torch._tensor", name))
        if (module, name) in moved:
            new_module, new_name = moved[module, name]
            names.add((new_module, new_name))
        for old, new in _RENAMED_PACKAGES:
            if module == old or module.startswith(old + "."):
                names.add((new + module[len(old) :], name))
    return frozenset(names)
