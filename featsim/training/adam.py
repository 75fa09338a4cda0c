"""Adam instead of plain gradient descent."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from featsim.training.schedule import Schedule
from featsim.validation import check_real


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(Schedule):
    """Steps of Adam; `step_size` is its learning rate.

    Parameters
    ----------
    n_steps, step_size, batch_size : int, float, None
        As for a :class:`Schedule`.
    precision : {"float64"}
        The only one of these models.
    decay, square_decay : float
        Decay rates of the running means of gradients and of their squares, in [0, 1).
    floor : float
        Added to the root of the latter, greater than 0.

    Raises
    ------
    TypeError, ValueError
        If a field is of the wrong type or out of range.

    References
    ----------
    .. [1] Kingma & Ba, arXiv:1412.6980, algorithm 1.
    """

    kind: ClassVar[str] = "adam"

    decay: float = 0.9
    square_decay: float = 0.999
    floor: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch_size is not None:
            raise ValueError(f"batch_size must be None for Adam here, got {self.batch_size}")
        for name in ("decay", "square_decay"):
            value = check_real(name, getattr(self, name), minimum=0.0)
            if value >= 1.0:
                raise ValueError(f"{name} must be < 1, got {value:g}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "floor", check_real("floor", self.floor, above=0.0))
