"""Gradient descent with recording, checkpoints and resume."""

from featsim.machine import TooLargeError
from featsim.training.adam import Adam
from featsim.training.estimate import RunEstimate, estimate_run
from featsim.training.kernel_methods import (
    kernel_adversarial,
    kernel_descent,
    kernel_recursion,
    kernel_ridge,
    linear_descent,
)
from featsim.training.mixture import Mixture
from featsim.training.progress import Progress
from featsim.training.projected_descent import ProjectedDescent
from featsim.training.ramp_schedule import RampSchedule
from featsim.training.run_spec import RunSpec
from featsim.training.schedule import Recording, Schedule
from featsim.training.stepper import Chunk, Stepper
from featsim.training.time_schedules import FlowSchedule, RelativeSchedule
from featsim.training.train import resume, train
from featsim.training.warmup import warm_up
from featsim.training.whitening import WhiteningSchedule, whitening_matrix

__all__ = [
    "Adam",
    "Chunk",
    "FlowSchedule",
    "Mixture",
    "Progress",
    "ProjectedDescent",
    "RampSchedule",
    "Recording",
    "RelativeSchedule",
    "RunEstimate",
    "RunSpec",
    "Schedule",
    "Stepper",
    "TooLargeError",
    "WhiteningSchedule",
    "estimate_run",
    "kernel_adversarial",
    "kernel_descent",
    "kernel_recursion",
    "kernel_ridge",
    "linear_descent",
    "resume",
    "train",
    "warm_up",
    "whitening_matrix",
]
