"""A local Microsoft Entra tenant with a Dataverse Web API, strict enough that a wrong client fails on it.

It shares no code with the client it is there to check.
"""

from didomi_dataverse.sandbox.app import ConnectionCutError, SandboxApp
from didomi_dataverse.sandbox.identity import SandboxClock, SandboxIdentity
from didomi_dataverse.sandbox.server import SandboxServer, run_sandbox, running_sandbox

__all__ = [
    "ConnectionCutError",
    "SandboxApp",
    "SandboxClock",
    "SandboxIdentity",
    "SandboxServer",
    "run_sandbox",
    "running_sandbox",
]
