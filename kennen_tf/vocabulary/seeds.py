"""Randomness: one root seed per run, one derived seed per named use."""

import hashlib
import json


def derive_seed(root: int, *path: str | int) -> int:
    """Returns the seed, in [0, 2**31), for one named use of randomness.

    The result depends only on the arguments, so neither the order of work nor the
    number of workers changes a result, and a single classifier can be retrained
    alone: `derive_seed(0, "classifier", "c04211-s017", "dropout")`.
    """
    digest = hashlib.sha256(json.dumps([root, *path]).encode()).digest()
    return int.from_bytes(digest[:4], "little") & 0x7FFF_FFFF
