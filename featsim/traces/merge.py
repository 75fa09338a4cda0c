"""Chunks of a run folder put together."""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from featsim.traces.axes import RECORD_AXES
from featsim.traces.files import MissingFileError, TraceError
from featsim.traces.npz import Array, Parts, read_npz

_CHUNK = re.compile(r"chunk-(\d{6,})\.npz")


def chunk_path(folder: Path, number: int) -> Path:
    """Return the file of a chunk; numbers start at 1."""
    return folder / f"chunk-{number:06d}.npz"


def chunk_names(folder: Path) -> list[str]:
    """Return the names of all chunks, in order.

    Parameters
    ----------
    folder : Path
        Run folder.

    Returns
    -------
    list of str
        File names.

    Raises
    ------
    MissingFileError
        If one is missing in between.
    """
    matches = [match for path in folder.iterdir() if (match := _CHUNK.fullmatch(path.name))]
    numbers = sorted(int(match[1]) for match in matches)
    for expected, number in enumerate(numbers, start=1):
        if number != expected:
            raise MissingFileError(f"{chunk_path(folder, expected)} is missing: the run folder is incomplete")
    return [chunk_path(folder, number).name for number in numbers]


def last_step(folder: Path, n_chunks: int) -> int | None:
    """Return the last step in the first `n_chunks` chunks, None if there is none."""
    for number in range(n_chunks, 0, -1):
        _, arrays = read_npz(chunk_path(folder, number), "chunk", ("steps",))
        if arrays["steps"].size:  # else it holds kept weights alone
            return int(arrays["steps"][-1])
    return None


def merge_chunks(
    folder: Path,
    axes: Mapping[str, tuple[str, ...]],
    tail: Mapping[str, Array] | None = None,
    names: Collection[str] | None = None,
) -> dict[str, Array]:
    """Return the recorded arrays of all chunks, joined along their record axis.

    The result is allocated once from the shapes in the headers and filled chunk by
    chunk, so that it takes its own size and that of one chunk.

    Parameters
    ----------
    folder : Path
        Run folder.
    axes : mapping of str to tuple of str
        Axes of the recorded arrays.
    tail : mapping of str to ndarray, optional
        One more chunk, from memory.
    names : collection of str, optional
        Arrays to join, ``"steps"`` among them; all by default.

    Returns
    -------
    dict of str to ndarray
        Only empty ``"steps"`` before the first chunk.

    Raises
    ------
    TraceError
        If a chunk is missing or damaged, or does not fit to the others.
    """
    paths, described = _chunks(folder, tail)
    lengths, layouts = _layout(folder, axes, described)
    wanted = [name for name in lengths if names is None or name in names]
    merged = {name: np.empty((lengths[name], *layouts[name][1]), layouts[name][0]) for name in wanted}
    filled = dict.fromkeys(merged, 0)
    for i in range(len(described)):
        header, arrays = read_npz(paths[i], "chunk", names) if i < len(paths) else ({}, dict(tail or {}))
        if header.get("arrays", described[i]) != described[i]:
            raise MissingFileError(f"{paths[i]} was replaced while it was read")
        for name, array in arrays.items():
            merged[name][filled[name] : filled[name] + len(array)] = array
            filled[name] += len(array)
    if not np.all(np.diff(merged["steps"]) > 0):
        raise TraceError(f"the chunks in {folder} do not follow each other: their steps repeat or go back")
    return merged


def recorded_parts(folder: Path, axes: Mapping[str, tuple[str, ...]]) -> dict[str, Parts]:
    """Describe the recorded arrays of all chunks, each to be read chunk by chunk.

    Parameters
    ----------
    folder : Path
        Run folder.
    axes : mapping of str to tuple of str
        Axes of the recorded arrays.

    Returns
    -------
    dict of str to Parts
        Only empty ``"steps"`` before the first chunk.

    Raises
    ------
    TraceError
        If a chunk is missing or damaged, or does not fit to the others.
    """
    paths, described = _chunks(folder, None)
    lengths, layouts = _layout(folder, axes, described)

    def pieces(name: str) -> Iterator[Array]:
        for path, known in zip(paths, described, strict=True):
            if name not in known:
                continue
            header, arrays = read_npz(path, "chunk", (name,))
            if header["arrays"] != known:
                raise MissingFileError(f"{path} was replaced while it was read")
            yield arrays[name]

    return {
        name: Parts(
            np.dtype(layouts[name][0]), (lengths[name], *layouts[name][1]), functools.partial(pieces, name)
        )
        for name in lengths
    }


def _chunks(folder: Path, tail: Mapping[str, Array] | None) -> tuple[list[Path], list[dict[str, Any]]]:
    """Return the files of all chunks, and the types and shapes in each and in the tail."""
    paths = [folder / name for name in chunk_names(folder)]
    described = [read_npz(path, "chunk", ())[0]["arrays"] for path in paths]
    if tail is not None:
        described.append({name: {"dtype": a.dtype.str, "shape": a.shape} for name, a in tail.items()})
    return paths, described


def _layout(
    folder: Path, axes: Mapping[str, tuple[str, ...]], described: list[dict[str, Any]]
) -> tuple[dict[str, int], dict[str, tuple[str, tuple[int, ...]]]]:
    """Return length, and type and further shape, of every recorded array."""
    lengths: dict[str, int] = {"steps": 0}
    layouts: dict[str, tuple[str, tuple[int, ...]]] = {"steps": ("<i8", ())}
    for chunk in described:
        for name, what in chunk.items():
            if axes.get(name, ())[:1] not in RECORD_AXES or not what["shape"]:
                raise TraceError(
                    f"a chunk in {folder} holds {name}, which the manifest does not list as recorded"
                )
            layout = (what["dtype"], tuple(what["shape"][1:]))
            if layouts.setdefault(name, layout) != layout:
                raise TraceError(f"the chunks in {folder} disagree on the type or shape of {name}")
            lengths[name] = lengths.get(name, 0) + int(what["shape"][0])
    return lengths, layouts
