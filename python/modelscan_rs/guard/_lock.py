"""The lock of a folder, as `modelscan lock` writes it: the SHA-256 of each file. `docs/schemas/lock.json` has the
layout."""

from __future__ import annotations

import json
import os
import sys

SCHEMA = "modelscan.lock/1"


class Lock:
    """A lock file, read once.

    A file has two names: the path that the caller used, and the path of its descriptor. The lock applies if either is
    in the folder, so that a link does not bypass it.
    """

    def __init__(self, path: str | os.PathLike[str], folder: str | os.PathLike[str] | None = None) -> None:
        """Reads the lock at `path` of `folder`, by default the folder that the lock file is in.

        Raises `ValueError` if the file is not a lock or `folder` is not a folder, and `OSError` if it cannot be read.
        """
        with open(path, encoding="utf-8") as file:
            try:
                data = json.load(file)
                if data["schema"] != SCHEMA:
                    raise ValueError(f"its schema is {data['schema']!r}; this version reads {SCHEMA}")
                self._sha256_by_name: dict[str, str] = {row["path"]: row["sha256"] for row in data["files"]}
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path} is not a lock: {error}") from error
        self._folder = os.path.realpath(folder if folder is not None else os.path.dirname(os.path.abspath(path)))
        if not os.path.isdir(self._folder):
            raise ValueError(f"{self._folder}, the folder of the lock {path}, is not a folder")
        # The lock file is exempt, since it cannot contain its own hash.
        self._lock_path = os.path.realpath(path)

    def name_of(self, path: str | None, descriptor: int | None) -> str | None:
        """The name of a file relative to the folder, with `/`, or None for a file outside it."""
        if path is not None:
            # Resolve links in the folders of the path but not in its last part: a link in the folder has a name of its
            # own.
            parent = os.path.realpath(os.path.dirname(path) or ".")
            name = self._relative_name(os.path.join(parent, os.path.basename(path)))
            if name is not None:
                return name
        if descriptor is not None and sys.platform == "linux":
            return self._relative_name(os.readlink(f"/proc/self/fd/{descriptor}"))
        return self._relative_name(os.path.realpath(path)) if path is not None else None

    def _relative_name(self, path: str) -> str | None:
        if path == self._lock_path:
            return None
        prefix = self._folder.rstrip(os.sep) + os.sep
        return path[len(prefix) :].replace(os.sep, "/") if path.startswith(prefix) else None

    def mismatch(self, name: str, sha256: str) -> str | None:
        """The reason why a file of this name and hash is not as locked, or None if it is."""
        locked = self._sha256_by_name.get(name)
        if locked is None:
            return f"{name} is not in the lock of {self._folder}"
        return None if locked == sha256 else f"{name} is not what was locked in {self._folder}"
