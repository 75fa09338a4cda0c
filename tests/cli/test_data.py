"""``featsim data``."""

import gzip
import json
import struct

import numpy as np
import pytest


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part in ("train", "t10k"):
        for kind, array in (
            ("images-idx3", np.zeros((3, 28, 28), np.uint8)),
            ("labels-idx1", np.arange(3, dtype=np.uint8)),
        ):
            head = struct.pack(f">{array.ndim + 1}I", 2048 + array.ndim, *array.shape)
            (folder / f"{part}-{kind}-ubyte.gz").write_bytes(gzip.compress(head + array.tobytes()))
    return tmp_path


def test_list_and_verify(featsim, root):
    code, out, _ = featsim("data", "list", "--root", str(root))
    assert code == 0 and "digits" in out and "absent; `featsim data fetch svhn`" in out
    listed = json.loads(featsim("data", "list", str(root), "--json")[1])
    assert {row["name"]: row["available"] for row in listed["sets"]} == {
        "digits": True, "mnist": True, "fashion-mnist": False, "cifar10": False, "svhn": False,
    }  # fmt: skip
    code, out, _ = featsim("data", "verify", str(root))
    assert code == 0 and "3 images, a subset or changed" in out
    (root / "mnist/train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    code, out, _ = featsim("data", "verify", str(root))
    assert code == 1 and "damaged" in out
    states = {
        (row["name"], row["split"]): row["state"]
        for row in json.loads(featsim("data", "verify", str(root), "--json")[1])
    }
    assert states["mnist", "train"] == "damaged" and states["mnist", "test"] == "intact"


def test_impossible_requests(featsim, root):
    for words, message in (
        (("fetch",), "fetch must be given the name of an image set: mnist"),
        (("fetch", "mnits"), "did you mean mnist?"),
        (("verify", str(root), "--root", str(root)), "ROOT must be given once"),
        (("burn",), "invalid choice"),
    ):
        code, _, err = featsim("data", *words)
        assert code == 2 and message in err
