"""Traces: recorded arrays with their spec and status, finished in one file or growing in a folder."""

from featsim.traces.axes import COORDINATES, STANDARD_AXES
from featsim.traces.files import SCHEMA, TraceError, TraceKeyError, check_writable
from featsim.traces.manifest import STATUSES
from featsim.traces.run_folder import RunFolder
from featsim.traces.run_reader import Checkpoint, load_trace
from featsim.traces.trace import Trace

__all__ = [
    "COORDINATES",
    "SCHEMA",
    "STANDARD_AXES",
    "STATUSES",
    "Checkpoint",
    "RunFolder",
    "Trace",
    "TraceError",
    "TraceKeyError",
    "check_writable",
    "load_trace",
]
