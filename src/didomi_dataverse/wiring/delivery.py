"""From the configuration to the parts that deliver: clients, membership, senders, retention."""

from collections.abc import Callable, Sequence
from datetime import datetime

import structlog

from didomi_dataverse.clock import Clock
from didomi_dataverse.config.credentials import ApplicationUser
from didomi_dataverse.config.settings import Dataverse, Settings
from didomi_dataverse.dataverse.auth.credentials import (
    ClientCertificate,
    ClientSecret,
    Credential,
    FederatedToken,
    ManagedIdentity,
)
from didomi_dataverse.dataverse.bulk_body import BulkMessage
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.dispatch.base import Dispatcher
from didomi_dataverse.dataverse.dispatch.batch import BatchDispatcher
from didomi_dataverse.dataverse.dispatch.bulk import BulkDispatcher
from didomi_dataverse.dataverse.dispatch.single import SingleDispatcher
from didomi_dataverse.dataverse.factory import create_client
from didomi_dataverse.delivery.connection import Connection
from didomi_dataverse.delivery.membership import Membership, ReplicaMember, SingleProcess
from didomi_dataverse.delivery.rate_limit.limiter import RateLimiter
from didomi_dataverse.delivery.rate_limit.state import RateLimitState
from didomi_dataverse.delivery.retention import RetentionCleaner
from didomi_dataverse.delivery.retry import RetryLimits
from didomi_dataverse.delivery.sender import DeliveryPolicy, Runtime, Sender
from didomi_dataverse.ledger.ledger import Ledger
from didomi_dataverse.privacy.pseudonym import identifier_hash
from didomi_dataverse.wiring.configuration import Configuration
from didomi_dataverse.wiring.policies import mapping_fingerprint, match_policy, target_fingerprint

log = structlog.get_logger(__name__)


async def apply_configuration_changes(configuration: Configuration, ledger: Ledger, *, now: datetime) -> int:
    """Make the contacts due that were delivered by another configuration: to another target, or by another
    mapping.

    Returns how many contacts are to be mapped again because the mapping changed. Raises StoreError.
    """
    await ledger.maintenance.retarget(target_fingerprint(configuration.settings), now=now)
    return await ledger.maintenance.remap(mapping_fingerprint(configuration), now=now)


def open_clients(settings: Dataverse, *, clock: Clock) -> tuple[DataverseClient, ...]:
    """One client for each application user, in the order of the configuration. None has connected yet; the
    caller closes each.
    """
    users = (settings, *settings.application_users)
    return tuple(open_client(settings, user, clock=clock) for user in users)


def open_client(settings: Dataverse, user: ApplicationUser, *, clock: Clock) -> DataverseClient:
    """The client of one application user."""
    return create_client(
        url=settings.url,
        tenant_id=settings.tenant_id,
        client_id=user.client_id,
        credential=build_credential(user),
        authority=settings.authority,
        api_path=settings.api_path,
        ca_bundle=settings.ca_bundle,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.read_timeout,
        max_parallel=settings.max_parallel,
        clock=clock,
    )


def build_credential(user: ApplicationUser) -> Credential:
    """The one way to log in that is configured for this user."""
    if user.client_secret is not None:
        return ClientSecret(user.client_secret.get_secret_value())
    if user.client_certificate is not None:
        written = user.client_certificate
        passphrase = None if written.passphrase is None else written.passphrase.get_secret_value()
        return ClientCertificate(file=written.file, passphrase=passphrase, send_chain=written.send_chain)
    if user.federated_token_file is not None:
        return FederatedToken(user.federated_token_file)
    return ManagedIdentity(None if user.managed_identity is None else user.managed_identity.client_id)


def build_dispatcher(settings: Dataverse) -> Dispatcher:
    """The delivery mode that the configuration asks for."""
    match settings.bulk:
        case "batch":
            return BatchDispatcher()
        case "multiple":
            return BulkDispatcher(on_unavailable=_log_unavailable)
        case "single":
            return SingleDispatcher()


def _log_unavailable(message: BulkMessage, status: int | None) -> None:
    answered = {} if status is None else {"status": status}
    log.warning("bulk_message_missing", message=message.value, instead="batch", **answered)


def initial_rate_limit(settings: Dataverse) -> RateLimitState:
    """The state of a rate limiter that has learnt nothing yet."""
    return RateLimitState.initial(max_parallel=settings.max_parallel, max_rows=settings.batch_rows)


def build_membership(settings: Settings, ledger: Ledger, *, clock: Clock) -> SingleProcess | ReplicaMember:
    """The membership of this process: alone on SQLite, one replica of several on PostgreSQL."""
    if not ledger.is_shared:
        return SingleProcess(ledger.replicas, clock=clock)
    return ReplicaMember(ledger.replicas, clock=clock, takeover_after=settings.store.takeover_after)


def build_retention_cleaner(settings: Settings, ledger: Ledger, *, clock: Clock) -> RetentionCleaner:
    """What deletes old notifications and attempts."""
    kept = settings.store.retention
    return RetentionCleaner(
        ledger=ledger.maintenance,
        keep_notifications=kept.notifications,
        keep_attempts=kept.attempts,
        clock=clock,
    )


async def load_pseudonym(ledger: Ledger) -> Callable[[str], str]:
    """The function that turns a contact's key into its pseudonym, the same for every replica of the store.

    Raises StoreError.
    """
    hash_key = await ledger.maintenance.identifier_hash_key()
    return lambda key: identifier_hash(hash_key, key)


def build_senders(
    configuration: Configuration,
    clients: Sequence[DataverseClient],
    *,
    ledger: Ledger,
    membership: Membership,
    runtime: Runtime,
    rate_limit: RateLimitState,
) -> tuple[Sender, ...]:
    """A sender for each client. They share the membership: what one of them claimed, this process holds.

    `rate_limit` is what each rate limiter begins with.
    """
    settings = configuration.settings
    policy = DeliveryPolicy(
        mapping=configuration.mapping,
        match=match_policy(settings),
        retry_limits=RetryLimits(unmatched_for=settings.contact.unmatched.retry_for),
    )
    senders = []
    for number, client in enumerate(clients, start=1):
        rate_limiter = RateLimiter(
            user=str(number),
            state=rate_limit,
            clock=runtime.clock,
            draw_jitter=runtime.draw_jitter,
            listener=runtime.listener,
            replicas=lambda: membership.replicas,
            sleep=runtime.sleep,
        )
        senders.append(
            Sender(
                ledger=ledger.queue,
                membership=membership,
                connection=Connection(client, build_dispatcher(settings.dataverse), rate_limiter),
                policy=policy,
                runtime=runtime,
                is_only_sender=len(clients) == 1,
            )
        )
    return tuple(senders)
