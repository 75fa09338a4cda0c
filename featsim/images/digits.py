"""The digits that ship in the package: reading, checking and splitting them.

The file holds the 1,797 images of 8x8 pixels of the test part of "Optical
Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak (UCI Machine
Learning Repository, data set 80, CC BY 4.0), grey levels 0..16 as uint8, taken
unchanged from scikit-learn's copy: ``load_digits()``, pixels and labels as uint8,
``numpy.savez_compressed(images=..., labels=..., notice=...)``.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from importlib import resources

import numpy as np
import numpy.typing as npt

from featsim.validation import FloatArray, IntArray

DIGITS_LICENCE = "CC BY 4.0, https://creativecommons.org/licenses/by/4.0/"
DIGITS_CITATION = (
    "E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, "
    "UCI Machine Learning Repository, https://doi.org/10.24432/C50P49"
)
DIGITS_SHA256 = "114bf67abde4bc443a1df97f696e6039700478ffcc348649d34ecae7a67a15b1"
DIGITS_PIXELS_SHA256 = "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
DIGITS_LABELS_SHA256 = "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"

_N_TRAIN = 1300
_SPLIT_SEED = 12345
_WHITE = 16


def read_digits(split: str) -> tuple[FloatArray, IntArray, IntArray]:
    """Return one split of the embedded digits.

    The 1,797 images are permuted by ``numpy.random.default_rng(12345)``; the first
    1,300 are the training pool and the last 497 the test set.

    Parameters
    ----------
    split : {"train", "test"}
        Which part.

    Returns
    -------
    images : ndarray of float64, shape (n, 8, 8, 1)
        Grey level over 16.
    labels : ndarray of int64, shape (n,)
        Digits 0..9.
    index : ndarray of int64, shape (n,)
        Row of each image in the published file.

    Raises
    ------
    FileNotFoundError
        If the file is missing from the installation.
    ValueError
        If the file, its pixels or its labels do not have the recorded checksum.

    References
    ----------
    .. [1] E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
       Learning Repository; the split into training and test is a [choice].
    """
    pixels, labels = verified_digits(_embedded_bytes())
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(labels))
    index = order[:_N_TRAIN] if split == "train" else order[_N_TRAIN:]
    images = pixels[index].astype(np.float64)[..., None] / _WHITE
    return images, labels[index].astype(np.int64), index.astype(np.int64)


def verified_digits(content: bytes) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Check the bytes of ``digits.npz`` and return its pixels and labels.

    Parameters
    ----------
    content : bytes
        The file.

    Returns
    -------
    pixels : ndarray of uint8, shape (1797, 8, 8)
        Grey levels 0..16.
    labels : ndarray of uint8, shape (1797,)
        Digits 0..9.

    Raises
    ------
    ValueError
        If the file, its pixels or its labels do not have the recorded checksum.
    """
    _check_digest("the file", content, DIGITS_SHA256)
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            pixels, labels = archive["images"], archive["labels"]
    except (ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"digits.npz cannot be read: {error}; reinstall featsim") from error
    _check_digest("its pixels", pixels.tobytes(), DIGITS_PIXELS_SHA256)
    _check_digest("its labels", labels.tobytes(), DIGITS_LABELS_SHA256)
    return pixels, labels


def _embedded_bytes() -> bytes:
    try:
        return resources.files("featsim.images").joinpath("digits.npz").read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(
            "digits.npz is missing from the installed package featsim.images; reinstall featsim"
        ) from None


def _check_digest(part: str, content: bytes, expected: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ValueError(
            f"digits.npz is damaged: sha256 of {part} must be {expected}, got {found}; reinstall featsim"
        )
