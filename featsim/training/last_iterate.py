"""Attacks in training whose last iterate is trained against."""

from __future__ import annotations

from featsim.attacks import GradientAttack


def check_last_iterate(attack: GradientAttack) -> None:
    """Refuse settings that these kernels would not follow: they take every step and the last iterate.

    Parameters
    ----------
    attack : GradientAttack
        Attack in training.

    Raises
    ------
    ValueError
        If another iterate is to count, or samples are to be left alone once broken.
    """
    if attack.keep != "last":
        raise ValueError(
            f"keep must be 'last' for an attack in training of this model, got {attack.keep!r}; "
            "use pgd(threat, keep='last') or attack.replace(keep='last')"
        )
    if attack.stop_when_broken:
        raise ValueError(
            "stop_when_broken must be False for an attack in training, got True; "
            "use attack.replace(stop_when_broken=False)"
        )
