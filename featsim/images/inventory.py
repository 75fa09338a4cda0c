"""Which image files there are, and whether they are intact."""

from __future__ import annotations

import os
from dataclasses import dataclass

from featsim.images.folders import data_root, find_form
from featsim.images.image_set import SPLITS
from featsim.images.loading import SETS, load, read_pixels
from featsim.images.published import PUBLISHED
from featsim.validation import check_choice

_WORDS = {True: "as published", False: "a subset or changed", None: "no checksum is published"}


@dataclass(frozen=True)
class SplitReport:
    """What was found of one split.

    Attributes
    ----------
    name, split : str
        Image set and part.
    state : {"intact", "damaged", "absent"}
        Whether it can be read.
    n_images : int
        Images in it.
    official : bool or None
        See :class:`ImageSet`.
    source : str
        Files, or what is wrong.
    """

    name: str
    split: str
    state: str
    n_images: int = 0
    official: bool | None = None
    source: str = ""

    @property
    def words(self) -> str:
        """What `official` means."""
        return _WORDS[self.official] if self.state == "intact" else ""


def verify(root: str | os.PathLike[str] | None = None) -> list[SplitReport]:
    """Read every split that is there, whole, and report on it.

    Parameters
    ----------
    root : path, optional
        See :func:`featsim.images.data_root`.

    Returns
    -------
    list of SplitReport
        One per set and split, the digits included.
    """
    reports = []
    for name in SETS:
        for split in SPLITS:
            if name == "digits":
                images = load(name, split)
                reports.append(
                    SplitReport(name, split, "intact", images.n_images, images.official, images.source)
                )
                continue
            try:
                found = read_pixels(PUBLISHED[name], split, data_root(root))
            except FileNotFoundError:
                reports.append(SplitReport(name, split, "absent"))
            except (ValueError, OSError) as error:
                reports.append(SplitReport(name, split, "damaged", source=str(error)))
            else:
                reports.append(
                    SplitReport(name, split, "intact", len(found.labels), found.official, found.source)
                )
    return reports


def is_available(name: str, root: str | os.PathLike[str] | None = None) -> bool:
    """Return whether both splits of a set have files; they are not read.

    Parameters
    ----------
    name : str
        Name for :func:`load`.
    root : path, optional
        See :func:`featsim.images.data_root`.

    Returns
    -------
    bool
        True for the digits.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    check_choice("name", name, SETS)
    where = data_root(root)
    return name == "digits" or all(find_form(name, split, where) is not None for split in SPLITS)
