"""What a call is called in the statistics, and which delivery mode it costs as."""

from dataverse_sandbox.messages import Request

_BULK = {
    "Microsoft.Dynamics.CRM.CreateMultiple": "create_multiple",
    "Microsoft.Dynamics.CRM.UpdateMultiple": "update_multiple",
    "Microsoft.Dynamics.CRM.UpsertMultiple": "upsert_multiple",
}


def mode_of(request: Request) -> str:
    """`batch`, `multiple` or `single`: the cost model's word (control route `limits`)."""
    if request.path.endswith("/$batch"):
        return "batch"
    return "multiple" if request.path.rpartition("/")[2] in _BULK else "single"


def kind_of(request: Request) -> str:
    """The statistics' word for a call: by what it is for, else by its method."""
    path = request.path
    if path.endswith("/oauth2/v2.0/token"):
        return "token"
    if not path.startswith("/api/"):
        return "discovery"
    last = path.rpartition("/")[2]
    if last == "$batch":
        return "batch"
    if last in _BULK:
        return _BULK[last]
    if last.startswith("WhoAmI"):
        return "whoami"
    if "/contacts" not in path:
        return "metadata"
    return request.method.lower()
