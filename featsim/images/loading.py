"""The one function that loads a named set of images."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from featsim.images.batch_pickle import read_batch_pickle
from featsim.images.contents import BATCH_CAP, Content, read_content, tar_members
from featsim.images.digits import DIGITS_CITATION, DIGITS_LICENCE, DIGITS_SHA256, read_digits
from featsim.images.folders import ROOT_VARIABLE, Form, data_root, find_form, places
from featsim.images.idx import ByteArray, read_idx
from featsim.images.image_set import SPLITS, ImageSet
from featsim.images.keras import read_keras
from featsim.images.matlab import read_matlab
from featsim.images.published import PUBLISHED, PublishedFile, PublishedSet
from featsim.validation import IntArray, check_bool, check_choice, check_integer

SETS = ("digits", *PUBLISHED)
"""Names for :func:`load`."""
_RECORD = 3073
_WHITE = 255.0
_CLASSES = 10


@dataclasses.dataclass(frozen=True)
class Pixels:
    """One split as the files hold it.

    Attributes
    ----------
    images : ndarray of uint8, shape (N, H, W, C)
        Pixels 0..255.
    labels : ndarray of int64, shape (N,)
        Labels 0..9.
    official : bool or None
        See :class:`ImageSet`.
    sha256, source : str
        Checksum, and where it was found.
    """

    images: ByteArray
    labels: IntArray
    official: bool | None
    sha256: str
    source: str


def load(
    name: str,
    split: str = "train",
    *,
    root: str | os.PathLike[str] | None = None,
    classes: Sequence[int] | None = None,
    n: int | None = None,
    seed: int = 0,
    download: bool = False,
) -> ImageSet:
    """Load a named set of images.

    The number of images comes from the files, so that subsets load like the published files; `official`
    of the result tells them apart. Files are read in their original formats: IDX with or without gzip,
    Keras' ``mnist.npz``, binary or python batches of CIFAR-10 or the archive of either, MATLAB files of
    SVHN, in folders of their own, as torchvision lays them out, or in the root itself. Python batches are
    pickles; they are read without running anything in them.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion-mnist", "cifar10", "svhn"}
        Which set; the digits ship in the package.
    split : {"train", "test"}
        Which part. The digits have 1,300 training and 497 test images.
    root : path, optional
        Folder of data files, with ``root/mnist/train-images-idx3-ubyte.gz`` and the like; by default the
        variable ``FEATSIM_DATA``, else ``featsim`` in the system's cache folder. The digits need none.
    classes : sequence of int, optional
        Keep only images with these labels. Labels are not renumbered, see
        :meth:`ImageSet.relabel`.
    n : int, optional
        Number of images; the first `n` of a permutation of the (kept) split by
        ``numpy.random.default_rng(seed)``. By default all, in the order of the split.
    seed : int
        Seed of that permutation; used only with `n`.
    download : bool
        Whether to download files that are missing, which needs pooch: ``pip install featsim[images]``.
        Otherwise the network is never used.

    Returns
    -------
    ImageSet
        The images.

    Raises
    ------
    ValueError
        If the set, split or classes do not exist, `n` is more than there is, or the
        data are damaged.
    FileNotFoundError
        If the data are missing; the message says what to put where.
    """
    check_choice("name", name, SETS, hint="these are the image sets this version can read")
    check_choice("split", split, SPLITS)
    check_bool("download", download)
    if name == "digits":
        return _chosen(_load_digits(split), classes, n, seed)
    entry = PUBLISHED[name]
    pixels = read_pixels(entry, split, data_root(root), download=download)
    # Chosen as bytes: a whole set as floats would be eight times as large.
    rows = _rows(pixels.labels, _CLASSES, classes, n, seed)
    index = np.arange(len(pixels.labels)) if rows is None else rows
    images = pixels.images if rows is None else pixels.images[rows]
    return ImageSet(
        X=images / _WHITE,
        y=pixels.labels[index],
        name=name,
        split=split,
        official=pixels.official,
        n_classes=_CLASSES,
        licence=entry.licence,
        citation=entry.citation,
        index=index.astype(np.int64),
        sha256=pixels.sha256,
        source=pixels.source,
    )


def _rows(
    labels: IntArray, n_classes: int, classes: Sequence[int] | None, n: int | None, seed: int
) -> IntArray | None:
    """Return which images are asked for; None for all of them."""
    rows = None
    if classes is not None:
        wanted = [check_integer("classes", c, minimum=0, maximum=n_classes - 1) for c in classes]
        rows = np.flatnonzero(np.isin(labels, wanted)).astype(np.int64)
        if not rows.size:
            raise ValueError(f"classes must name at least one label of the images, got {tuple(classes)}")
    if n is None:
        return rows
    seed = check_integer("seed", seed, minimum=0)
    there = len(labels) if rows is None else len(rows)
    n = check_integer("n", n, minimum=1, maximum=there, hint="the split has no more such images")
    order = np.random.default_rng(seed).permutation(there)[:n]
    return order if rows is None else rows[order]


def _chosen(images: ImageSet, classes: Sequence[int] | None, n: int | None, seed: int) -> ImageSet:
    rows = _rows(images.y, images.n_classes, classes, n, seed)
    return images if rows is None else images.select(rows)


def _load_digits(split: str) -> ImageSet:
    pixels, labels, index = read_digits(split)
    return ImageSet(
        X=pixels,
        y=labels,
        name="digits",
        split=split,
        official=True,
        n_classes=_CLASSES,
        licence=DIGITS_LICENCE,
        citation=DIGITS_CITATION,
        index=index,
        sha256=DIGITS_SHA256,
        source="featsim/images/digits.npz",
    )


def read_pixels(entry: PublishedSet, split: str, root: Path, *, download: bool = False) -> Pixels:
    """Read one split of a published set.

    Parameters
    ----------
    entry : PublishedSet
        The set.
    split : {"train", "test"}
        Part.
    root : Path
        See :func:`data_root`.
    download : bool
        Whether to download what is missing.

    Returns
    -------
    Pixels
        The split.

    Raises
    ------
    FileNotFoundError
        If there are no files.
    ValueError
        If a file is damaged, or belongs to another set.
    """
    form = find_form(entry.name, split, root)
    if form is None and download:
        from featsim.images.fetch import fetch

        fetch(entry.name, root)
        form = find_form(entry.name, split, root)
    if form is None:
        raise FileNotFoundError(missing_message(entry, split, root))
    contents = _contents(form, split)
    _refuse_other_sets(entry, contents)
    images, labels = _read(form, contents)
    if images.shape[1:] != entry.shape:
        raise contents[0].damaged(
            f"its images have shape {images.shape[1:]}, those of {entry.title} {entry.shape}"
        )
    if not len(images):
        raise contents[0].damaged("it holds no image")
    archived = form.members and form.format != "keras"
    files = [read_content(form.files[0])] if archived else contents
    return Pixels(
        images=images,
        labels=labels,
        official=official(entry, files, complete=form.complete),
        sha256=joint_sha256(files),
        source=", ".join(str(path) for path in form.files),
    )


def missing_message(entry: PublishedSet, split: str, root: Path) -> str:
    """Return what to put where, and where to get it."""
    files = "; ".join(
        f"{file.name} (sha256 {file.sha256}) from {file.mirrors[0]}" for file in _of_split(entry, split)
    )
    looked = ", ".join(str(place) for place in places(entry.name, root))
    return (
        f"{entry.title} {split} images must be in a file, and none was found in {looked}. Put there {files}, "
        f"or name the folder that has them with root=... or the variable {ROOT_VARIABLE}, "
        f"or download them: `featsim data fetch {entry.name}` or download=True"
    )


def _of_split(entry: PublishedSet, split: str) -> list[PublishedFile]:
    other = {"train": ("t10k-", "test_"), "test": ("train-", "train_")}[split]
    return [file for file in entry.downloads if not file.name.startswith(other)]


def _contents(form: Form, split: str) -> list[Content]:
    """Return the files of a form, or the members of its archive, read whole."""
    if form.format == "keras":
        return [read_content(form.files[0])]
    if not form.members:
        cap = {"cap": BATCH_CAP} if form.format.startswith("cifar") else {}
        return [read_content(path, **cap) for path in form.files]
    archive = read_content(form.files[0])
    members = tar_members(archive, form.members)
    if not members:
        raise archive.damaged(f"it has no {split} batch, such as {form.members[0]}")
    return [members[name] for name in form.members if name in members]


def _refuse_other_sets(entry: PublishedSet, contents: list[Content]) -> None:
    """Raise where a file is a published one of another set: MNIST and Fashion-MNIST share their names."""
    for other in PUBLISHED.values():
        known = {file.sha256: file.name for file in other.downloads if file.sha256}
        for content in contents:
            if other.name != entry.name and content.sha256 in known:
                raise content.damaged(f"it is {known[content.sha256]} of {other.title}, not of {entry.title}")


def official(entry: PublishedSet, files: Sequence[Content], *, complete: bool = True) -> bool | None:
    """Return whether all files are the published ones.

    Parameters
    ----------
    entry : PublishedSet
        What is published.
    files : sequence of Content
        Files as found.
    complete : bool
        Whether no published file is missing.

    Returns
    -------
    bool or None
        False if one has another checksum than the published file of its name, or is missing; None if no
        checksum is published for a form, such as unpacked binary batches.
    """
    known = {file.name: file for file in (*entry.downloads, *entry.others)}
    verdicts: list[bool | None] = []
    for content in files:
        file = known.get(content.path.name)
        if file is None:
            verdicts.append(None)
        else:
            verdicts.append(content.sha256 == file.sha256 if file.sha256 else content.md5 == file.md5)
    if False in verdicts:
        return False
    if None in verdicts:
        return None
    return complete


def joint_sha256(files: Sequence[Content]) -> str:
    """Return the checksum of a file, or of the list of checksums of several."""
    sums = [content.sha256 for content in files]
    return sums[0] if len(sums) == 1 else hashlib.sha256("\n".join(sums).encode()).hexdigest()


def _read_idx_pair(contents: list[Content]) -> tuple[ByteArray, IntArray]:
    images, labels = read_idx(contents[0], "images"), read_idx(contents[1], "labels")
    if len(images) != len(labels):
        raise contents[1].damaged(
            f"it has {len(labels)} labels, and {contents[0].path.name} has {len(images)} images"
        )
    return images[..., None], _labels(contents[1], labels)


def _labels(content: Content, labels: ByteArray) -> IntArray:
    if labels.size and labels.max() >= _CLASSES:
        raise content.damaged(f"its labels must lie in 0..9, and one is {labels.max()}")
    return labels.astype(np.int64)


def _read(form: Form, contents: list[Content]) -> tuple[ByteArray, IntArray]:
    if form.format != "keras":
        return _FORMATS[form.format](contents)
    images, labels = read_keras(contents[0], (form.members[0], form.members[1]))
    return images[..., None], _labels(contents[0], labels)


def _planes(pixels: ByteArray) -> ByteArray:
    """Turn rows of colour planes into images (n, 32, 32, 3)."""
    return np.ascontiguousarray(pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))


def _read_binary(contents: list[Content]) -> tuple[ByteArray, IntArray]:
    tables = []
    for content in contents:
        if not content.data or len(content.data) % _RECORD:
            raise content.damaged(
                f"it has {len(content.data)} bytes, no whole number of records of {_RECORD}"
            )
        table = np.frombuffer(content.data, dtype=np.uint8).reshape(-1, _RECORD)
        _labels(content, table[:, 0])
        tables.append(table)
    joined = np.concatenate(tables)
    return _planes(joined[:, 1:]), joined[:, 0].astype(np.int64)


def _read_python(contents: list[Content]) -> tuple[ByteArray, IntArray]:
    pixels, labels = zip(*(read_batch_pickle(content) for content in contents), strict=True)
    return _planes(np.concatenate(pixels)), np.concatenate(labels).astype(np.int64)


def _read_svhn(contents: list[Content]) -> tuple[ByteArray, IntArray]:
    content = contents[0]
    found = read_matlab(content, ("X", "y"))
    images, labels = found["X"], found["y"]
    if images.dtype != np.uint8 or images.ndim != 4 or labels.shape != (images.shape[3], 1):
        raise content.damaged(
            f"X must hold bytes of shape (32, 32, 3, N) and y (N, 1) numbers, got {images.dtype} "
            f"{images.shape} and {labels.shape}"
        )
    digits = labels[:, 0]
    if not np.isin(digits, np.arange(1, 11)).all():
        raise content.damaged("its labels must be the numbers 1..10")
    # The files write the digit 0 as 10.
    return np.ascontiguousarray(images.transpose(3, 0, 1, 2)), digits.astype(np.int64) % 10


_FORMATS: dict[str, Callable[[list[Content]], tuple[ByteArray, IntArray]]] = {
    "idx": _read_idx_pair,
    "cifar-binary": _read_binary,
    "cifar-python": _read_python,
    "svhn": _read_svhn,
}
