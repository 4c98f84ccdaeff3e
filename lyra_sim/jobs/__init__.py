"""Run `lyra-sim gen` as a child process or on a server, and follow its JSON lines.

The server, `lyra-sim gen --server` and the Isaac Sim panel share these modules. The panel loads the very same
files under the name `lyra.sim.panel.jobs`, in a Python that has neither torch nor `lyra_sim`. Hence the rule of
this folder: standard library only, and imports only from within it, relative.
"""

from __future__ import annotations

from .advice import advice
from .capabilities import Capabilities, query_capabilities
from .child import ChildJob
from .command import find_command
from .environment import clean_environment
from .errors import JobError
from .messages import Failure, Message, Progress, Result, as_record, parse_line
from .remote import RemoteJob, generate_remote
from .request import TRAJECTORIES, GenRequest

__all__ = [
    "TRAJECTORIES",
    "Capabilities",
    "ChildJob",
    "Failure",
    "GenRequest",
    "JobError",
    "Message",
    "Progress",
    "RemoteJob",
    "Result",
    "advice",
    "as_record",
    "clean_environment",
    "find_command",
    "generate_remote",
    "parse_line",
    "query_capabilities",
]
