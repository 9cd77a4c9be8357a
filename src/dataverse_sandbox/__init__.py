"""A local Microsoft Entra tenant with a Dataverse Web API, strict enough that a wrong client fails on it.

It shares no code with the client it is there to check.
"""

from dataverse_sandbox.app import ConnectionCutError, SandboxApp
from dataverse_sandbox.identity import SandboxClock, SandboxIdentity
from dataverse_sandbox.server import SandboxServer, run_sandbox, running_sandbox

__all__ = [
    "ConnectionCutError",
    "SandboxApp",
    "SandboxClock",
    "SandboxIdentity",
    "SandboxServer",
    "run_sandbox",
    "running_sandbox",
]
