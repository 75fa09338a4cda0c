"""A named setting of a theory: data, model, trainings and evaluations in one spec."""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from featsim.data import GramSpace
from featsim.scenarios.allowed import ALLOWED, follow, set_allowed, shared_by_all
from featsim.specs import Spec, decode_float, is_encoded_float, spec_from_dict
from featsim.traces import Trace, check_writable
from featsim.training import Recording, RunEstimate, Schedule, estimate_run, train
from featsim.validation import check_bool, check_choice, check_integer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training(Spec):
    """One way to train in a scenario.

    Parameters
    ----------
    schedule : Schedule
        Steps.
    attack : Spec or None
        Attack in training; None for standard training.
    start_from : str or None
        The training whose final weights this one starts from; None for initial weights.

    Raises
    ------
    TypeError
        If a part is not a spec.
    """

    kind: ClassVar[str] = "training"

    schedule: Schedule
    attack: Spec | None = None
    start_from: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Spec):
            raise TypeError(f"schedule must be a schedule spec, got {self.schedule!r}")
        if self.attack is not None and not isinstance(self.attack, Spec):
            raise TypeError(f"attack must be an attack spec or None, got {self.attack!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scenario(Spec):
    """A setting that figures, claims, documentation and command line share.

    Parameters
    ----------
    name : str
        ``"theory/name"``.
    title : str
        One line that says what it shows.
    data : Spec
        Distribution; has ``sample(n_samples, rng)``.
    n_samples : int
        Training samples.
    model : Spec
        Model.
    trainings : mapping of str to Training
        ``"standard"`` and ``"adversarial"``, or what the theory has.
    evaluations : tuple of Spec
        Attacks under which trained weights are evaluated.
    merge_repeats : bool
        Whether equal patches of a sample are stored once (the same trajectory, faster).
    mark : str
        Where the setting comes from: ``"choice"``, ``"derived"``, ``"recalled"``, ``"source"``.

    Raises
    ------
    TypeError, ValueError
        If a field has another type, or trainings start from each other in a circle.
    """

    kind: ClassVar[str] = "scenario"

    name: str
    title: str
    data: Spec
    n_samples: int
    model: Spec
    trainings: Mapping[str, Training]
    evaluations: tuple[Spec, ...] = ()
    merge_repeats: bool = False
    mark: str = "choice"

    def __post_init__(self) -> None:
        for field in ("name", "title", "mark"):
            if not isinstance(getattr(self, field), str):
                raise TypeError(f"{field} must be text, got {getattr(self, field)!r}")
        for field in ("data", "model"):
            if not isinstance(getattr(self, field), Spec):
                raise TypeError(f"{field} must be a spec, got {getattr(self, field)!r}")
        object.__setattr__(self, "evaluations", tuple(self.evaluations))
        for attack in self.evaluations:
            if not isinstance(attack, Spec):
                raise TypeError(f"evaluations must be attack specs, got {attack!r}")
        object.__setattr__(self, "merge_repeats", check_bool("merge_repeats", self.merge_repeats))
        object.__setattr__(self, "n_samples", check_integer("n_samples", self.n_samples, minimum=1))
        object.__setattr__(self, "trainings", MappingProxyType(dict(self.trainings)))
        for name, training in self.trainings.items():
            if not isinstance(training, Training):
                raise TypeError(f"trainings[{name!r}] must be a Training, got {type(training).__name__}")
        for name in self.trainings:
            self._check_phases(name)

    def _check_phases(self, name: str) -> None:
        chain = [name]
        while (before := self.trainings[chain[-1]].start_from) is not None:
            check_choice(f"start_from of {chain[-1]!r}", before, tuple(self.trainings))
            if before in chain:
                raise ValueError(f"start_from must not lead back to {before!r}, got {[*chain, before]}")
            chain.append(before)

    def __reduce__(self) -> tuple[Any, ...]:
        # A mapping proxy cannot be pickled, and worker processes need the scenario. The parts
        # are pickled as objects, so that a fresh process imports the classes behind them.
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return _rebuild, ({**fields, "trainings": dict(self.trainings)},)

    @property
    def theory(self) -> str:
        """Theory the scenario belongs to: the part of the name before the slash."""
        return self.name.partition("/")[0]

    def problem(self, seed: int) -> tuple[Any, np.random.Generator]:
        """Return the training data of a seed, and the generator as they leave it.

        Parameters
        ----------
        seed : int
            Seed >= 0 of ``numpy.random.default_rng``; data are drawn first, then initial weights.

        Returns
        -------
        data : PatchData or the theory's own type
            Training data.
        rng : numpy.random.Generator
            For the initial weights.
        """
        rng = np.random.default_rng(check_integer("seed", seed, minimum=0))
        if isinstance(self.data, GramSpace):  # coordinates for the filters are drawn with the data
            data = self.data.sample_for(self.model, self.n_samples, rng)
        else:
            data = self.data.sample(self.n_samples, rng)  # type: ignore[attr-defined]
        return (data.merge_repeats() if self.merge_repeats else data), rng

    def run(
        self,
        training: str,
        seed: int = 0,
        *,
        recording: Recording | None = None,
        out: str | os.PathLike[str] | None = None,
        progress: bool = False,
        reduction: str = "auto",
    ) -> Trace:
        """Train once.

        Parameters
        ----------
        training : str
            One of the scenario's trainings.
        seed : int
            Seed of data and initial weights; equal for all trainings.
        recording : Recording, optional
            What to record.
        out : path-like, optional
            Where to write, as for :func:`featsim.training.train`.
        progress : bool
            Whether to report progress.
        reduction : {"auto", "never", "always"}
            Whether to train in a subspace, as for :func:`featsim.training.train`.

        Returns
        -------
        Trace
            The training, as :func:`featsim.training.train` returns it.

        Raises
        ------
        ValueError
            If the scenario has no such training, or an earlier phase it starts from diverged.
        KeyboardInterrupt
            If an earlier phase was interrupted: of this training there is nothing to return.
        OSError
            If `out` cannot be written.
        """
        chosen = self.trainings[check_choice("training", training, tuple(self.trainings))]
        data, rng = self.problem(seed)
        weights = None
        if chosen.start_from is not None:
            if out is not None:  # before the earlier phase, not after it
                check_writable(Path(out).parent)
            # Only the end of the earlier phase is needed.
            before = self.run(
                chosen.start_from, seed, recording=Recording(at=()), progress=progress, reduction=reduction
            )
            if before.status == "interrupted":
                raise KeyboardInterrupt(f"{chosen.start_from}: {before.message}")
            if before.status == "diverged":
                raise ValueError(f"training {training!r} starts from {chosen.start_from!r}: {before.message}")
            weights = before.final_weights
        return train(
            self.model,
            data,
            schedule=chosen.schedule,
            attack=chosen.attack,
            recording=recording,
            rng=rng,
            initial_weights=weights,
            out=out,
            scenario=self.name,
            training=training,
            seed=seed,
            progress=progress,
            reduction=reduction,
        )

    def estimate(
        self,
        training: str,
        seed: int = 0,
        *,
        recording: Recording | None = None,
        out: str | os.PathLike[str] | None = None,
        reduction: str = "auto",
        method: str = "auto",
    ) -> RunEstimate:
        """Estimate what :meth:`run` would take, training nothing.

        Parameters
        ----------
        training, seed, recording, out, reduction : str, int, Recording, path-like, str
            As for :meth:`run`.
        method : {"auto", "model", "measure", "none"}
            As for :func:`featsim.training.estimate_run`.

        Returns
        -------
        RunEstimate
            With the time of the trainings that it starts from; from initial weights, as theirs are not known.

        Raises
        ------
        ValueError
            If the scenario has no such training, or `method` does not suit it.
        """
        chosen = self.trainings[check_choice("training", training, tuple(self.trainings))]
        data, rng = self.problem(seed)
        own = estimate_run(
            self.model,
            data,
            schedule=chosen.schedule,
            attack=chosen.attack,
            recording=recording,
            rng=rng,
            out=out,
            reduction=reduction,
            method=method,
        )
        if chosen.start_from is None:
            return own
        before = self.estimate(
            chosen.start_from, seed, recording=Recording(at=()), reduction=reduction, method=method
        )
        return dataclasses.replace(own, earlier_seconds=before.seconds)

    def settings(self) -> dict[str, Any]:
        """Return every setting that can be changed, under its dotted name."""
        found: dict[str, Any] = {}
        for path, value in _leaves(self._variable()):
            found.setdefault(".".join(path), value)
        return found

    def with_settings(self, changes: Mapping[str, Any]) -> Scenario:
        """Return the scenario with some settings changed.

        Parameters
        ----------
        changes : mapping of str to object
            Dotted names, such as ``"data.noise_std"`` or ``"adversarial.schedule.n_steps"``.
            A shorter ending will do (``"noise_std"``); one that fits both trainings, such as
            ``"schedule.n_steps"``, changes both. ``"n_steps"`` and ``"step_size"`` alone are
            the schedule's, not the attack's.

            What the attack in training may do (``"radius"``, ``"norm"``, ``"scope"``,
            ``"subspace"``) changes with it in the evaluations that allow the same, and
            unit steps keep their proportion to the radius. The full name, such as
            ``"adversarial.attack.threat.radius"``, changes that training alone, and
            ``"evaluations.radius"`` the evaluations alone.

        Returns
        -------
        Scenario
            A checked copy.

        Raises
        ------
        ValueError
            If a name fits nothing, or fits settings of different meaning.
        """
        data = copy.deepcopy(self._variable())
        evaluations = self.to_dict()["evaluations"]
        for key, given in changes.items():
            value = json.loads(json.dumps(given))
            for path in self._matching(key):
                if path[0] == "evaluations":
                    for attack in evaluations:
                        set_allowed(attack, path[1], value)
                    continue
                if path[-1] in ALLOWED and "attack" in path and key != ".".join(path):
                    above = path[:-2] if path[-2] == "threat" else path[:-1]
                    follow(_node(data, above), evaluations, path[-1], value)
                else:
                    _node(data, path[:-1])[path[-1]] = value
        data["evaluations"] = evaluations
        trainings = {name: data.pop(name) for name in self.trainings}
        changed: Scenario = spec_from_dict({**self.to_dict(), **data, "trainings": trainings})
        return changed

    def _variable(self) -> dict[str, Any]:
        """Return the changeable part of the JSON, trainings at the top, and what evaluations share."""
        data = self.to_dict()
        return {
            "n_samples": data["n_samples"],
            "data": data["data"],
            "model": data["model"],
            "merge_repeats": data["merge_repeats"],
            **data["trainings"],
            "evaluations": shared_by_all(data["evaluations"]),
        }

    def _matching(self, key: str) -> list[tuple[str, ...]]:
        wanted = tuple(key.split("."))
        paths = [path for path, _ in _leaves(self._variable()) if path[-len(wanted) :] == wanted]
        # Of the evaluations only where nothing else is meant; they follow the attack in training.
        paths = [path for path in paths if path[0] != "evaluations" or wanted[0] == path[0]] or paths
        if not paths:
            raise ValueError(
                f"{key!r} is not a setting of {self.name}; its settings are {', '.join(self.settings())}"
            )
        if len(wanted) == 1:  # "n_steps" and "step_size" are the schedule's; the attack's are written in full
            paths = [path for path in paths if "schedule" in path] or paths
        meanings = {path[1:] if path[0] in self.trainings else path for path in paths}
        if len(meanings) > 1:
            names = ", ".join(sorted(".".join(path) for path in meanings))
            raise ValueError(f"{key!r} must name one setting, but fits {names}; write more of it")
        return paths


def _rebuild(fields: dict[str, Any]) -> Scenario:
    return Scenario(**fields)


def _node(data: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    for part in path:
        data = data[part]
    return data


def _leaves(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    if isinstance(node, dict) and not is_encoded_float(node):
        for key, value in node.items():
            if key != "kind":
                yield from _leaves(value, (*path, key))
    else:
        yield path, decode_float(node)
