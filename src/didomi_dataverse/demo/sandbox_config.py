"""`config.yaml` of the sandbox: a complete configuration of the service that points at it."""

import json
import os
from pathlib import Path

from dataverse_sandbox import SandboxIdentity
from didomi_sandbox.webhook_credentials import load_or_create_credentials

_TEMPLATE = """\
# Made by `didomi-dataverse sandbox`: a complete configuration that points at the sandbox beside it.
# The secrets below open nothing but that sandbox; elsewhere take them from the environment or from files.
server: {{ host: 127.0.0.1, port: {service_port} }}
store: {{ url: {store} }}
didomi:
  auth:
    oauth: {{ client_id: {webhook_client_id}, client_secret: {webhook_client_secret} }}
    header: {{ name: {webhook_header}, value: {webhook_secret} }}
dataverse:
  url: {url}
  authority: {authority}
  tenant_id: {tenant_id}
  client_id: {client_id}
  client_secret: {client_secret}
  ca_bundle: {ca_bundle}
contact:
  match: {{ alternate_key: new_didomikey }}
  upsert: false
mapping:
  gdpr:
    purposes:
      newsletter: new_newsletter
      email_ads: {{ column: donotbulkemail, invert: true }}
      profiling:
        consent: {{ column: new_profiling, as: choice, granted: 100000000, refused: 100000001 }}
        legitimate_interest: {{ column: new_profilingobjection, invert: true }}
        changed_at: new_profilingon
        preferences:
          topics: {{ column: new_topics, as: choices, values: {{ sport: 100000000, culture: 100000001 }} }}
          frequency: {{ column: new_frequency, as: choice, values: {{ daily: 1, weekly: 2 }} }}
          interests: {{ each: {{ music: new_likesmusic, film: new_likesfilm }} }}
          remark: {{ column: new_remark, as: text }}
        channels: {{ email: new_profilingbyemail }}
    preferences: {{ language: {{ column: new_language, as: text }} }}
    channels: {{ sms: {{ column: donotphone, invert: true }} }}
    person: {{ country: address1_country, "metadata.loyalty_id": new_loyaltyid }}
    stamps: {{ changed_at: new_consentchangedon, notification_id: new_didomievent }}
"""


def write_config(directory: Path, url: str, identity: SandboxIdentity, *, service_port: int) -> Path:
    """Write the file (readable by its owner only) and return where it is."""
    folder = directory.resolve()
    webhook = load_or_create_credentials(folder)
    # Every inserted text is a JSON string, which YAML reads as it stands.
    text = _TEMPLATE.format(
        service_port=service_port,
        store=json.dumps(f"sqlite:///{folder / 'didomi-dataverse.db'}"),
        webhook_client_id=json.dumps(webhook.client_id),
        webhook_client_secret=json.dumps(webhook.client_secret),
        webhook_header=json.dumps(webhook.header_name),
        webhook_secret=json.dumps(webhook.header_value),
        url=json.dumps(url),
        authority=json.dumps(f"{url}/{identity.tenant_id}"),
        tenant_id=json.dumps(identity.tenant_id),
        client_id=json.dumps(identity.client_id),
        client_secret=json.dumps(identity.client_secret),
        ca_bundle=json.dumps(str(folder / "ca.pem")),
    )
    path = folder / "config.yaml"
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    return path
