"""A common server: it loads the checkpoint that a request names, and does not use the guard itself."""

import pickle

from fastapi import FastAPI, HTTPException

try:
    import torch
except ImportError:
    torch = None

app = FastAPI()


@app.get("/health")
def health():
    return {"alive": True, "torch": torch is not None}


@app.get("/load")
def load(path: str):
    try:
        if torch is not None:
            value = torch.load(path, weights_only=False)
        else:
            with open(path, "rb") as file:
                value = pickle.load(file)
    except Exception as error:
        raise HTTPException(422, f"{type(error).__name__}: {error}") from error
    return {"keys": sorted(value)}
