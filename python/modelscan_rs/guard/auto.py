"""Puts the guard up as the environment says; imported by the line in the `.pth` file, which ends the process if this fails."""
import os

from . import active, install

_mode = os.environ.get("MODELSCAN_GUARD", "").strip().lower()
if _mode not in ("", "0", "off") and active() is None:
    install(_mode)
