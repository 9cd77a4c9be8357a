"""A local Microsoft Entra tenant with a Dataverse Web API, strict enough that a wrong client fails on it.

It shares no code with the client that it checks.
"""

from dataverse_sandbox.entra.app_registration import Application
from dataverse_sandbox.entra.identity import SandboxClock, SandboxIdentity
from dataverse_sandbox.environment.limits import Limits, Usage, admit, charge
from dataverse_sandbox.errors import Refusal
from dataverse_sandbox.server.app import ConnectionCutError, SandboxApp
from dataverse_sandbox.server.server import SandboxServer, run_sandbox, running_sandbox

__all__ = [
    "Application",
    "ConnectionCutError",
    "Limits",
    "Refusal",
    "SandboxApp",
    "SandboxClock",
    "SandboxIdentity",
    "SandboxServer",
    "Usage",
    "admit",
    "charge",
    "run_sandbox",
    "running_sandbox",
]
