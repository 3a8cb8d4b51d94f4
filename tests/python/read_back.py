#!/usr/bin/env python3
"""Reads safetensors files by the official reader and prints a row for each tensor: file, name (as in a JSON string), type,
shape, SHA-256 of its bytes.

    read_back.py FILE...
"""

import hashlib
import json
import sys

import safetensors

for path in sys.argv[1:]:
    with open(path, "rb") as file:
        for name, tensor in safetensors.deserialize(file.read()):
            shape = ",".join(map(str, tensor["shape"]))
            digest = hashlib.sha256(bytes(tensor["data"])).hexdigest()
            print("%s\t%s\t%s\t%s\t%s" % (path, json.dumps(name), tensor["dtype"], shape, digest))
