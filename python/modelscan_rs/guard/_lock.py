"""The lock of a folder, as `modelscan lock` writes it: what is loaded from there has the content that was locked.

It is read once, when the guard is put up. A file goes by the name it was asked for by and by where its descriptor leads: one of
the two below the folder is enough for the lock to hold.
"""
from __future__ import annotations

import json
import os
import sys
from typing import Dict, Optional

SCHEMA = "modelscan.lock/1"


class Lock:
    """What a folder may hold."""

    def __init__(self, path: str, folder: Optional[str] = None) -> None:
        with open(path, encoding="utf-8") as file:
            try:
                data = json.load(file)
                if data["schema"] != SCHEMA:
                    raise ValueError(f"it is of the layout {data['schema']!r}, and this program reads {SCHEMA}")
                self._files: Dict[str, str] = {row["path"]: row["sha256"] for row in data["files"]}
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path} is no lock: {error}") from error
        self._folder = os.path.realpath(folder if folder is not None else os.path.dirname(os.path.abspath(path)))
        if not os.path.isdir(self._folder):
            raise ValueError(f"{self._folder} is no folder; the lock {path} is of one")
        #: It cannot hold its own hash.
        self._itself = os.path.realpath(path)

    def name(self, path: Optional[str], descriptor: Optional[int]) -> Optional[str]:
        """The name that a file has in the folder, None where it is in another one."""
        if path is not None:
            # Links on the way to it are followed, but not the last one: it is a name of its own.
            name = self._below(os.path.join(os.path.realpath(os.path.dirname(path) or "."), os.path.basename(path)))
            if name is not None:
                return name
        if descriptor is not None and sys.platform == "linux":
            return self._below(os.readlink(f"/proc/self/fd/{descriptor}"))
        return self._below(os.path.realpath(path)) if path is not None else None

    def _below(self, path: str) -> Optional[str]:
        if path == self._itself:
            return None
        start = self._folder.rstrip(os.sep) + os.sep
        return path[len(start):].replace(os.sep, "/") if path.startswith(start) else None

    def against(self, name: str, sha256: str) -> Optional[str]:
        """What the lock has against a file of this content."""
        locked = self._files.get(name)
        if locked is None:
            return f"{name} is not in the lock of {self._folder}"
        return None if locked == sha256 else f"{name} is not what was locked in {self._folder}"
