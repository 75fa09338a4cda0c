"""Checks of user input, each raising one clear error.

A message names the argument, the rule and the value, and a way out where there
is one: ``radius must be >= 0, got -0.1``.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


def _fail(name: str, rule: str, value: object, hint: str, error: type[Exception] = ValueError) -> None:
    raise error(f"{name} must be {rule}, got {value!r}" + (f"; {hint}" if hint else ""))


def check_real(
    name: str,
    value: Any,
    *,
    minimum: float = -math.inf,
    above: float = -math.inf,
    maximum: float = math.inf,
    finite: bool = True,
    hint: str = "",
) -> float:
    """Return `value` as a float within [minimum, maximum] and greater than `above`.

    Parameters
    ----------
    name : str
        Argument name for messages.
    value : object
        What the user gave.
    minimum, above, maximum : float
        Range.
    finite : bool
        Whether it must be finite.
    hint : str
        A way out, added to messages.

    Returns
    -------
    float
        The number.

    Raises
    ------
    TypeError
        If it is not a real number.
    ValueError
        If it is nan, outside the range, or infinite where it must not be.
    """
    if isinstance(value, bool) or not isinstance(value, (numbers.Real, np.floating, np.integer)):
        _fail(name, "a real number", value, hint, TypeError)
    number = float(value)
    if math.isnan(number):
        _fail(name, "a number, not nan", value, hint)
    if finite and math.isinf(number):
        _fail(name, "finite", number, hint)
    if number < minimum:
        _fail(name, f">= {minimum:g}", number, hint)
    if number <= above and above > -math.inf:
        _fail(name, f"> {above:g}", number, hint)
    if number > maximum:
        _fail(name, f"<= {maximum:g}", number, hint)
    return number


def check_integer(
    name: str, value: Any, *, minimum: int | None = None, maximum: int | None = None, hint: str = ""
) -> int:
    """Return `value` as an int within [minimum, maximum].

    Parameters
    ----------
    name : str
        Argument name for messages.
    value : object
        What the user gave.
    minimum, maximum : int or None
        Range.
    hint : str
        A way out, added to messages.

    Returns
    -------
    int
        The number.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, (numbers.Integral, np.integer)):
        _fail(name, "an integer", value, hint, TypeError)
    number = int(value)
    if minimum is not None and number < minimum:
        _fail(name, f">= {minimum}", number, hint)
    if maximum is not None and number > maximum:
        _fail(name, f"<= {maximum}", number, hint)
    return number


def check_choice(name: str, value: Any, choices: Collection[str], hint: str = "") -> str:
    """Return `value` if it is one of `choices`.

    Parameters
    ----------
    name : str
        Argument name for messages.
    value : object
        What the user gave.
    choices : collection of str
        What is allowed.
    hint : str
        A way out, added to messages.

    Returns
    -------
    str
        The value.

    Raises
    ------
    ValueError
        If it is another.
    """
    if not isinstance(value, str) or value not in choices:
        _fail(name, "one of " + ", ".join(repr(choice) for choice in choices), value, hint)
    return str(value)


def check_bool(name: str, value: Any) -> bool:
    """Return `value` if it is a bool.

    Parameters
    ----------
    name : str
        Argument name for messages.
    value : object
        What the user gave.

    Returns
    -------
    bool
        The value.

    Raises
    ------
    TypeError
        If it is not.
    """
    if not isinstance(value, (bool, np.bool_)):
        _fail(name, "True or False", value, "", TypeError)
    return bool(value)


def check_array(
    name: str,
    value: Any,
    shape: Sequence[int | str],
    *,
    finite: bool = True,
    hint: str = "",
) -> FloatArray:
    """Return `value` as a C-contiguous float64 array of the given shape.

    Parameters
    ----------
    name : str
        Argument name for messages.
    value : array_like
        Real numbers.
    shape : sequence of int or str
        Wanted shape; a string stands for any length >= 1 and names it in messages.
    finite : bool
        Whether every entry must be finite.
    hint : str
        A way out, added to messages.

    Returns
    -------
    ndarray
        The array; a copy only where type or layout had to change.

    Raises
    ------
    TypeError
        If the entries are not real numbers.
    ValueError
        If the shape differs or an entry is not finite.
    """
    wanted = "(" + ", ".join(str(length) for length in shape) + ("," if len(shape) == 1 else "") + ")"
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"{name} must hold real numbers, got dtype {array.dtype}" + (f"; {hint}" if hint else "")
        )
    fits = array.ndim == len(shape) and all(
        length >= 1 if isinstance(want, str) else length == want
        for length, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} must have shape {wanted}, got {array.shape}" + (f"; {hint}" if hint else "")
        )
    array = np.ascontiguousarray(array, dtype=np.float64)
    if finite and not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(
            f"{name} must be finite, got {array[where]} at index {where}" + (f"; {hint}" if hint else "")
        )
    return array


def check_labels(name: str, value: Any, n_samples: int, n_classes: int) -> IntArray:
    """Return `value` as int64 class labels in 0..n_classes-1, one per sample.

    Parameters
    ----------
    name : str
        Argument name for messages.
    value : object
        What the user gave.
    n_samples, n_classes : int
        What the labels must fit.

    Returns
    -------
    ndarray of int64, shape (n_samples,)
        Labels.

    Raises
    ------
    TypeError
        If they are not integers.
    ValueError
        If their number is another, or one is out of range.
    """
    labels = np.asarray(value)
    whole = labels.dtype.kind == "f" and np.isfinite(labels).all() and np.all(labels == np.floor(labels))
    if labels.dtype.kind not in "iub" and not whole:
        raise TypeError(f"{name} must hold integers, got dtype {labels.dtype}")
    if labels.shape != (n_samples,):
        raise ValueError(f"{name} must have shape ({n_samples},), one label per sample, got {labels.shape}")
    labels = np.ascontiguousarray(labels, dtype=np.int64)
    outside = (labels < 0) | (labels >= n_classes)
    if outside.any():
        where = int(np.argmax(outside))
        raise ValueError(f"{name} must lie in 0..{n_classes - 1}, got {labels[where]} at index {where}")
    return labels


def check_generator(name: str, value: Any) -> np.random.Generator:
    """Return `value` if it is a NumPy Generator.

    Parameters
    ----------
    name : str
        Argument name for messages.
    value : object
        What the user gave.

    Returns
    -------
    numpy.random.Generator
        The value.

    Raises
    ------
    TypeError
        If it is not.
    """
    if not isinstance(value, np.random.Generator):
        _fail(name, "a numpy.random.Generator", value, "make one with np.random.default_rng(0)", TypeError)
    generator: np.random.Generator = value
    return generator
