"""Where the files of image sets are looked for, and which of them are there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from featsim.images.keras import KERAS_FILE
from featsim.images.published import PUBLISHED

ROOT_VARIABLE = "FEATSIM_DATA"
_IDX_PARTS = {"train": "train", "test": "t10k"}
_BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
_ARCHIVES = {
    "cifar-10-binary.tar.gz": ("cifar-10-batches-bin", ".bin"),
    "cifar-10-python.tar.gz": ("cifar-10-batches-py", ""),
}


@dataclass(frozen=True)
class Form:
    """Files of one split in one of the published formats.

    Attributes
    ----------
    format : str
        ``"idx"``, ``"keras"``, ``"cifar-binary"``, ``"cifar-python"`` or ``"svhn"``.
    files : tuple of Path
        Images and labels, batches, or the one file.
    members : tuple of str
        Members to read where the file is an archive; arrays of the npz file.
    complete : bool
        Whether no published file of the split is missing.
    """

    format: str
    files: tuple[Path, ...]
    members: tuple[str, ...] = ()
    complete: bool = True


def data_root(root: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that image files are read from and downloaded to.

    Parameters
    ----------
    root : path, optional
        The folder.

    Returns
    -------
    Path
        `root`, else the variable ``FEATSIM_DATA``, else ``featsim`` in the system's cache folder
        (``XDG_CACHE_HOME`` or ``~/.cache``; ``~/Library/Caches`` on macOS; ``LOCALAPPDATA`` on Windows).
    """
    given = root if root is not None else os.environ.get(ROOT_VARIABLE)
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        cache = "~/Library/Caches"
    else:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "featsim"


def places(name: str, root: Path) -> list[Path]:
    """Return the folders a set is looked for in: its own, torchvision's, the root itself."""
    own, other = root / name, PUBLISHED[name].torchvision
    return [own, *([root / other] if other else []), root]


def find_form(name: str, split: str, root: Path) -> Form | None:
    """Return the first form of a split that is there.

    Parameters
    ----------
    name : str
        Image set.
    split : {"train", "test"}
        Part.
    root : Path
        See :func:`data_root`.

    Returns
    -------
    Form or None
        Of one folder; binary batches come before python ones.
    """
    forms = (form for place in places(name, root) for form in _forms(name, split, place))
    return next(forms, None)


def _forms(name: str, split: str, place: Path) -> Iterator[Form]:
    if name == "svhn":
        path = place / f"{split}_32x32.mat"
        if _exists(path):
            yield Form("svhn", (path,))
    elif name == "cifar10":
        yield from _batch_forms(split, place)
    else:
        parts = tuple(place / f"{_IDX_PARTS[split]}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
        found = tuple(_plain_or_packed(path) for path in parts)
        if all(path is not None for path in found):
            yield Form("idx", tuple(path for path in found if path is not None))
        if name == "mnist" and _exists(place / KERAS_FILE):
            yield Form("keras", (place / KERAS_FILE,), (f"x_{split}", f"y_{split}"))


def _batch_forms(split: str, place: Path) -> Iterator[Form]:
    for archive, (folder, ending) in _ARCHIVES.items():
        kind = "cifar-binary" if ending else "cifar-python"
        names = tuple(f"{batch}{ending}" for batch in _BATCHES[split])
        files = tuple(place / folder / name for name in names)
        there = tuple(path for path in files if _exists(path))
        if there:
            yield Form(kind, there, complete=len(there) == len(files))
        if _exists(place / archive):
            yield Form(kind, (place / archive,), tuple(f"{folder}/{name}" for name in names))


def _plain_or_packed(path: Path) -> Path | None:
    packed = path.with_name(f"{path.name}.gz")
    return path if _exists(path) else packed if _exists(packed) else None


def _exists(path: Path) -> bool:
    """Whether something is there; what it is, is for the reader to say."""
    return os.path.lexists(path)
