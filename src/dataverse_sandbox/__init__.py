"""A local Microsoft Entra tenant with a Dataverse Web API, strict enough that a wrong client fails on it.

It shares no code with the client that it checks. `python -m dataverse_sandbox` starts it as a process,
`running_sandbox` in the running event loop; `SandboxApp` is the ASGI application itself.
"""

from dataverse_sandbox.entra.app_registration import AppRegistration
from dataverse_sandbox.entra.identity import SandboxIdentity
from dataverse_sandbox.environment.faults import ConnectionCutError
from dataverse_sandbox.environment.limits import Limits, Usage
from dataverse_sandbox.errors import ODataError
from dataverse_sandbox.server.app import SandboxApp
from dataverse_sandbox.server.clock import SandboxClock
from dataverse_sandbox.server.server import SandboxServer, run_sandbox, running_sandbox

__all__ = [
    "AppRegistration",
    "ConnectionCutError",
    "Limits",
    "ODataError",
    "SandboxApp",
    "SandboxClock",
    "SandboxIdentity",
    "SandboxServer",
    "Usage",
    "run_sandbox",
    "running_sandbox",
]
