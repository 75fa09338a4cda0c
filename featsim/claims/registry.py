"""All claims, and the choice among them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from featsim.claims import cgro, convergence, evaluation, gram_space, images, purification, structured_data
from featsim.claims.ledger import Claim

_ALL = {
    claim.id: claim
    for claim in (
        *structured_data.CLAIMS,
        *purification.CLAIMS,
        *cgro.CLAIMS,
        *convergence.CLAIMS,
        *gram_space.CLAIMS,
        *images.CLAIMS,
        *evaluation.CLAIMS,
    )
}


def select(theory: str | None = None, ids: Sequence[str] | None = None) -> list[Claim]:
    """Return claims by theory or id, in the order of the ledger.

    Parameters
    ----------
    theory : str, optional
        Only the claims of that theory.
    ids : sequence of str, optional
        Only these, ``"structured-data/T1"``; with a theory given, ``"T1"`` will do.

    Returns
    -------
    list of Claim
        All claims without arguments.

    Raises
    ------
    ValueError
        If a theory or an id is unknown; the message names the known theories, or the ids that come near.
    """
    theories = tuple(dict.fromkeys(claim.theory for claim in _ALL.values()))
    if theory is not None and theory not in theories:
        raise ValueError(f"theory must be one of {', '.join(theories)}, got {theory!r}")
    known = {key: claim for key, claim in _ALL.items() if theory in (None, claim.theory)}
    if ids is None:
        return list(known.values())
    if isinstance(ids, str):
        ids = (ids,)
    wanted = set()
    for given in ids:
        full = given if "/" in given or theory is None else f"{theory}/{given}"
        if full not in known:
            raise ValueError(f"id must be that of a claim, got {given!r}; {_suggestion(given, list(known))}")
        wanted.add(full)
    return [claim for key, claim in known.items() if key in wanted]


def position(claim_id: str) -> int:
    """Return the place of a claim in the ledger; unknown ones come last."""
    order = {key: number for number, key in enumerate(_ALL)}
    return order.get(claim_id, len(order))


def _suggestion(given: str, known: list[str]) -> str:
    """Return the ids that come near, or where to find all."""
    name = given.rpartition("/")[2].lower()
    short = {key: key.rpartition("/")[2].lower() for key in known}
    near = [key for key in known if short[key] == name]
    if not near:
        alike = difflib.get_close_matches(name, set(short.values()), n=3)
        near = [key for key in known if short[key] in alike]
    if near:
        return f"did you mean {' or '.join(near[:4])}?"
    return f"all {len(known)} are on the page of claims of the documentation, for instance {known[0]}"
