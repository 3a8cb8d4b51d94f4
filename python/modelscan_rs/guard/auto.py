"""Installs the guard as the environment says. The `.pth` file imports this, and ends the process if it fails."""

import os

from . import active, install

_mode = os.environ.get("MODELSCAN_GUARD", "").strip().lower()
if _mode not in ("", "0", "off") and active() is None:
    install(_mode)
