"""What many would write first: answer at once, then one request for each event, through the official SDK.

Started by peers.py in an interpreter that has `fastapi`, `uvicorn` and `PowerPlatform-Dataverse-Client`.
"""

import json
import os
import sys
import time
import urllib.parse
import urllib.request

import uvicorn
from azure.core.credentials import AccessToken
from fastapi import BackgroundTasks, FastAPI, Request
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.models.upsert import UpsertItem

PLACE = json.loads(os.environ["PEER"])


class Credential:
    """Client credentials, without the checks that the Azure library makes of real addresses."""

    def __init__(self) -> None:
        self._token = AccessToken("", 0)

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        """A token, kept for as long as it is good."""
        if self._token.expires_on < time.time() + 60:
            form = {
                "grant_type": "client_credentials",
                "client_id": PLACE["client_id"],
                "client_secret": PLACE["client_secret"],
                "scope": scopes[0],
            }
            url = f"{PLACE['authority']}/oauth2/v2.0/token"
            with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode()) as answer:  # noqa: S310 - https
                found = json.load(answer)
            self._token = AccessToken(found["access_token"], int(time.time()) + int(found["expires_in"]))
        return self._token


client = DataverseClient(PLACE["url"], Credential())
app = FastAPI()


@app.get("/readyz")
def readyz() -> dict[str, str]:
    """It listens."""
    return {"status": "ready"}


@app.post("/webhooks/didomi", status_code=202)
async def receive(request: Request, tasks: BackgroundTasks) -> dict[str, int]:
    """Answers, and writes afterwards: what is in memory then is all there is."""
    tasks.add_task(write, await request.json())
    return {"received": 1}


def write(body: dict[str, dict[str, dict[str, object]]]) -> None:
    """One PATCH by alternate key."""
    entity = body["parameters"]["entity"]
    chosen = {one["id"]: one["enabled"] for one in entity["consents"]["purposes"]}
    key = {"new_didomikey": entity["user"]["organization_user_id"]}
    record = {"new_newsletter": chosen["newsletter"], "donotbulkemail": not chosen["email_ads"]}
    client.records.upsert("contact", [UpsertItem(alternate_key=key, record=record)])


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
