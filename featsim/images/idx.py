"""IDX, the format of MNIST and Fashion-MNIST: a big-endian header and raw bytes, plain or in gzip."""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from featsim.images.contents import UNPACKED_CAP, Content, unpacked_rest, unpacked_start
from featsim.images.published import MIB

ByteArray = npt.NDArray[np.uint8]

_KINDS = {2051: "images", 2049: "labels"}
_DIMENSIONS = {"images": 3, "labels": 1}


def read_idx(content: Content, kind: str) -> ByteArray:
    """Return the array in an IDX file.

    Parameters
    ----------
    content : Content
        The file; unpacked if its name ends in ``.gz``.
    kind : {"images", "labels"}
        What it must hold.

    Returns
    -------
    ndarray of uint8, shape (n, height, width) or (n,)
        Its entries.

    Raises
    ------
    ImageFileError
        If it is damaged, truncated, of another kind, or announces more than the cap; the latter is known
        from the header, before anything is unpacked.
    """
    axes = _DIMENSIONS[kind]
    packed = content.path.suffix == ".gz"
    head_size = 4 + 4 * axes
    if packed:
        head, engine = unpacked_start(content, head_size)
    else:
        head = content.data[:head_size]
    magic = struct.unpack(">I", head[:4])[0] if len(head) >= 4 else None
    if magic != 2048 + axes or len(head) < head_size:
        other = _KINDS.get(magic) if magic is not None else None
        what = f"it is an IDX file of {other}, not of {kind}" if other else f"it is not an IDX file of {kind}"
        if not packed and content.data.startswith(b"\x1f\x8b"):
            what = "it is compressed and its name does not end in .gz; rename it"
        raise content.damaged(what)
    shape = struct.unpack(f">{axes}I", head[4:])
    length = int(np.prod([int(side) for side in shape], dtype=object))
    if length > UNPACKED_CAP:
        raise content.damaged(
            f"its header announces {shape}, more than the {UNPACKED_CAP // MIB} MiB that are unpacked"
        )
    body = unpacked_rest(content, engine, length) if packed else content.data[head_size:]
    if len(body) != length:
        raise content.damaged(f"its header announces {length} bytes and {len(body)} follow")
    return np.frombuffer(body, dtype=np.uint8).reshape(shape)
