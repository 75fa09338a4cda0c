"""Downloading the published files, with pooch, from the first address that has the right one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from featsim.images.contents import FILE_CAP, read_content
from featsim.images.folders import data_root
from featsim.images.published import MIB, PUBLISHED, PublishedFile, PublishedSet
from featsim.validation import check_choice

MIRROR_VARIABLE = "FEATSIM_MIRROR"
_TIMEOUT = 60.0
# Otherwise a server may pack what is packed already, and requests unpacks both.
_AS_STORED = {"Accept-Encoding": "identity"}


def fetch(
    name: str,
    root: str | os.PathLike[str] | None = None,
    *,
    mirror: str | None = None,
    progress: bool = False,
) -> list[Path]:
    """Download the published files of an image set that are not there yet.

    Every address is tried in turn until one gives the file of the published checksum; a file of another
    checksum or size is not kept.

    Parameters
    ----------
    name : {"mnist", "fashion-mnist", "cifar10", "svhn"}
        Image set.
    root : path, optional
        Where to put it, as ``root/NAME/``; see :func:`featsim.images.data_root`.
    mirror : str, optional
        Another address to try first: a folder that holds the files under their names. By default the
        variable ``FEATSIM_MIRROR``.
    progress : bool
        Whether pooch draws a progress bar (needs tqdm).

    Returns
    -------
    list of Path
        The files, downloaded or there before.

    Raises
    ------
    ValueError
        If there is no such set, or a file of another content is in the way.
    OSError
        If pooch is missing, the folder cannot be written, or no address gives the file; the message names
        files, folder, addresses and checksums.

    References
    ----------
    .. [1] The checksums are those that torchvision, Keras and TensorFlow Datasets carry [source].
    """
    check_choice("name", name, tuple(PUBLISHED), hint="the digits ship in the package")
    entry, folder = PUBLISHED[name], data_root(root) / name
    first = mirror if mirror is not None else os.environ.get(MIRROR_VARIABLE)
    missing: list[PublishedFile] = []
    for file in entry.downloads:
        path = folder / file.name
        if not os.path.lexists(path):
            missing.append(file)
        elif (found := read_content(path).sha256) != file.sha256:
            raise ValueError(
                f"{path} must have sha256 {file.sha256} or be absent, got {found}; move it away, or leave "
                "it there and load it as it is, as a subset"
            )
    if missing:
        pooch = _pooch(folder, missing)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(
                f"{folder} must be a folder that can be written ({error}); give another root"
            ) from None
        try:
            for file in missing:
                _download(pooch, entry, file, folder, first, progress)
        finally:
            _remove_if_empty(folder)
    return [folder / file.name for file in entry.downloads]


def _remove_if_empty(folder: Path) -> None:
    """Leave no folder behind in which nothing arrived."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def _pooch(folder: Path, missing: list[PublishedFile]) -> ModuleType:
    try:
        import pooch
    except ImportError:
        raise OSError(
            "pooch must be installed for downloads: pip install 'featsim[images]'; "
            f"or {by_hand(missing, folder)}"
        ) from None
    module: ModuleType = pooch
    return module


def by_hand(files: list[PublishedFile], folder: Path) -> str:
    """Return how to get files without this program."""
    listed = "; ".join(
        f"{file.name} from {' or '.join(file.mirrors)} (sha256 {file.sha256})" for file in files
    )
    return f"put into {folder}: {listed}"


def _download(
    pooch: Any, entry: PublishedSet, file: PublishedFile, folder: Path, mirror: str | None, progress: bool
) -> None:
    """Try every address of one file."""
    addresses = ([f"{mirror.rstrip('/')}/{file.name}"] if mirror else []) + list(file.mirrors)
    failures = []
    for address in addresses:
        try:
            # Pooch downloads to a temporary name, compares the checksum and renames.
            pooch.retrieve(
                url=address,
                known_hash=f"sha256:{file.sha256}",
                fname=file.name,
                path=folder,
                downloader=_Downloader(file.size or FILE_CAP, progress),
            )
            return
        # Of a server anything can come, and every failure means the next address.
        except Exception as error:
            failures.append(f"{address}: {' '.join(str(error).split())[:160] or type(error).__name__}")
    raise OSError(
        f"{file.name} of {entry.title} could not be downloaded ({'; '.join(failures)}). "
        f"Without a network, {by_hand([file], folder)}"
    )


class _Downloader:
    """Streams an address to a file and stops once it is larger than the published file."""

    def __init__(self, size: int, progress: bool) -> None:
        self.size, self.progress = size, progress

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download; `output_file` is the temporary file's name."""
        import requests

        bar = None
        if self.progress:
            from tqdm import tqdm

            bar = tqdm(total=self.size, unit="B", unit_scale=True, desc=url.rpartition("/")[2])
        written = 0
        with (
            requests.get(url, stream=True, timeout=_TIMEOUT, headers=_AS_STORED) as answer,
            open(output_file, "wb") as target,
        ):
            answer.raise_for_status()
            for part in answer.iter_content(chunk_size=MIB):
                written += len(part)
                if written > self.size:
                    raise ValueError(f"it is larger than the {self.size} bytes of the published file")
                target.write(part)
                if bar is not None:
                    bar.update(len(part))
        if bar is not None:
            bar.close()
