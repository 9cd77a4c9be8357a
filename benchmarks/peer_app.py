"""What many would write first with the official SDK: answer at once, and write afterwards.

    python peer_app.py PORT each    one request for each event, as a background task
    python peer_app.py PORT list    a list in memory, by bulk upsert: 100 rows or what a second brought

Started by peers.py in an interpreter that has `fastapi`, `uvicorn` and `PowerPlatform-Dataverse-Client`.
"""

import json
import os
import sys
import threading

import uvicorn
from azure.identity import ClientSecretCredential
from fastapi import BackgroundTasks, FastAPI, Request
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.models.upsert import UpsertItem

PLACE = json.loads(os.environ["PEER"])
ROWS, SECONDS = 100, 1.0

client = DataverseClient(
    PLACE["url"],
    ClientSecretCredential(
        PLACE["tenant_id"],
        PLACE["client_id"],
        PLACE["client_secret"],
        authority=PLACE["url"],
        disable_instance_discovery=True,
        connection_verify=PLACE["ca_bundle"],
    ),
)
app = FastAPI()
waiting: list[UpsertItem] = []
is_full = threading.Event()


@app.get("/readyz")
def readyz() -> dict[str, str]:
    """It listens."""
    return {"status": "ready"}


def receive_each(tasks: BackgroundTasks, item: UpsertItem) -> None:
    """One PATCH by alternate key, when the answer is out."""
    tasks.add_task(client.records.upsert, "contact", [item])


def receive_into_list(_: BackgroundTasks, item: UpsertItem) -> None:
    """What is in memory is all there is."""
    waiting.append(item)
    if len(waiting) >= ROWS:
        is_full.set()


receive_one = receive_each if sys.argv[2] == "each" else receive_into_list


@app.post("/webhooks/didomi", status_code=202)
async def receive(request: Request, tasks: BackgroundTasks) -> dict[str, int]:
    """Answers before anything is written."""
    receive_one(tasks, item_of(await request.json()))
    return {"received": 1}


def item_of(body: dict[str, dict[str, dict[str, object]]]) -> UpsertItem:
    """Two columns of one person."""
    entity = body["parameters"]["entity"]
    chosen = {one["id"]: one["enabled"] for one in entity["consents"]["purposes"]}
    key = {"new_didomikey": entity["user"]["organization_user_id"]}
    record = {"new_newsletter": chosen["newsletter"], "donotbulkemail": not chosen["email_ads"]}
    return UpsertItem(alternate_key=key, record=record)


def write_the_list() -> None:
    """Without end. A call with the same row twice would be refused: the later event wins."""
    while True:
        is_full.wait(SECONDS)
        is_full.clear()
        while waiting:
            taken, waiting[:ROWS] = waiting[:ROWS], []
            client.records.upsert("contact", list({str(item.alternate_key): item for item in taken}.values()))


if __name__ == "__main__":
    # As its page recommends: connections stay open.
    with client:
        if sys.argv[2] == "list":
            threading.Thread(target=write_the_list, daemon=True).start()
        uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
