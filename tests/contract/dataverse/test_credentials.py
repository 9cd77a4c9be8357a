"""Every way to log in, with an unmodified MSAL against the sandbox; the platform's own where Azure has it."""

import time
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from dataverse_sandbox import AppRegistration, SandboxServer, running_sandbox
from didomi_dataverse.clock import SystemClock
from didomi_dataverse.dataverse.auth.credentials import (
    ClientCertificate,
    Credential,
    CredentialUnreadableError,
    FederatedToken,
    ManagedIdentity,
    open_application,
    read_certificate,
)
from didomi_dataverse.dataverse.calls import BatchCall
from didomi_dataverse.dataverse.client import DataverseClient
from didomi_dataverse.dataverse.factory import create_client
from didomi_dataverse.dataverse.replies import Answered
from didomi_dataverse.dataverse.requests import LookUp
from didomi_dataverse.errors import TokenRefusedError

from .fakes import answers

APP = "22222222-2222-4222-8222-222222222222"
PASSPHRASE = "open sesame"


class Pair:
    """A key and its self-signed certificate, written as people have them."""

    def __init__(self, name: str = "didomi-dataverse") -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(self.key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def write_pem(self, path: Path, passphrase: str | None = None) -> Path:
        locked = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase.encode())
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
        path.write_bytes(self.pem + key)
        return path

    def write_pfx(self, path: Path, passphrase: str) -> Path:
        locked = BestAvailableEncryption(passphrase.encode())
        path.write_bytes(
            pkcs12.serialize_key_and_certificates(b"x", self.key, self.certificate, None, locked)
        )
        return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sandbox")


@pytest.fixture(scope="module")
def pair() -> Pair:
    return Pair()


@pytest.fixture
async def sandbox(folder: Path) -> AsyncIterator[SandboxServer]:
    async with running_sandbox(folder) as server:
        yield server


@asynccontextmanager
async def opened(sandbox: SandboxServer, credential: Credential) -> AsyncIterator[DataverseClient]:
    client = create_client(
        url=sandbox.url,
        tenant_id=sandbox.identity.tenant_id,
        client_id=APP,
        credential=credential,
        authority=sandbox.authority,
        api_path="/api/data/v9.2",
        ca_bundle=sandbox.ca_bundle,
        connect_timeout=timedelta(seconds=10),
        read_timeout=timedelta(seconds=30),
        max_parallel=4,
        clock=SystemClock(),
    )
    try:
        yield client
    finally:
        await client.aclose()


async def is_admitted(client: DataverseClient) -> bool:
    """Whether Dataverse answers a look-up."""
    (reply,) = answers(await client.send(BatchCall([LookUp("new_didomikey", "u-42")])))
    return isinstance(reply, Answered) and reply.status == 200 and not reply.whole_call


@pytest.mark.parametrize("form", ["pem", "locked pem", "pfx"])
@pytest.mark.parametrize("send_chain", [False, True], ids=["alone", "with its chain"])
async def test_a_registered_certificate_lets_us_in(
    sandbox: SandboxServer, tmp_path: Path, pair: Pair, *, form: str, send_chain: bool
) -> None:
    sandbox.app.entra.register(APP, AppRegistration(certificates=(pair.pem,)))
    passphrase = None if form == "pem" else PASSPHRASE
    file = tmp_path / "credential"
    if form == "pfx":
        pair.write_pfx(file, PASSPHRASE)
    else:
        pair.write_pem(file, passphrase)

    credential = ClientCertificate(file=file, passphrase=passphrase, send_chain=send_chain)
    async with opened(sandbox, credential) as client:
        assert await is_admitted(client)


@pytest.mark.parametrize("send_chain", [False, True], ids=["alone", "with its chain"])
async def test_a_trusted_name_needs_the_chain(
    sandbox: SandboxServer, tmp_path: Path, pair: Pair, *, send_chain: bool
) -> None:
    """Subject name and issuer: any certificate of that name, if it comes along (dataverse.md 10)."""
    subject = pair.certificate.subject.rfc4514_string()
    sandbox.app.entra.register(APP, AppRegistration(subject=subject))
    credential = ClientCertificate(file=pair.write_pem(tmp_path / "a.pem"), send_chain=send_chain)

    async with opened(sandbox, credential) as client:
        if send_chain:
            assert await is_admitted(client)
        else:
            with pytest.raises(TokenRefusedError, match=r"AADSTS700027.*Upload it there"):
                await is_admitted(client)


async def test_a_renewed_certificate_needs_no_restart(
    sandbox: SandboxServer, tmp_path: Path, pair: Pair
) -> None:
    sandbox.app.entra.register(APP, AppRegistration(certificates=(pair.pem,)))
    file = Pair("an older one").write_pem(tmp_path / "a.pem")
    async with opened(sandbox, ClientCertificate(file=file)) as client:
        with pytest.raises(TokenRefusedError, match="700027"):
            await is_admitted(client)
        pair.write_pem(file)

        assert await is_admitted(client)


@pytest.mark.parametrize(
    ("written", "passphrase", "advice"),
    [
        pytest.param("locked", "wrong", "passphrase is wrong or missing", id="wrong passphrase"),
        pytest.param("locked", None, "passphrase is wrong or missing", id="no passphrase"),
        pytest.param("certificate only", None, "not a PEM or PFX file with a private key", id="no key"),
        pytest.param("nonsense", None, "not a PEM or PFX file", id="nonsense"),
        pytest.param("nothing", None, "cannot be read", id="no file"),
        pytest.param("strange", None, "no certificate for its private key", id="another's certificate"),
    ],
)
def test_an_unreadable_certificate_says_what_to_do(
    tmp_path: Path, pair: Pair, written: str, passphrase: str | None, advice: str
) -> None:
    file = tmp_path / "a.pem"
    match written:
        case "locked":
            pair.write_pem(file, PASSPHRASE)
        case "certificate only":
            file.write_bytes(pair.pem)
        case "nonsense":
            file.write_bytes(b"\x00\x01")
        case "strange":
            pair.write_pem(file)
            file.write_bytes(file.read_bytes().replace(pair.pem, Pair("other").pem))
        case _:
            pass

    with pytest.raises(CredentialUnreadableError, match=advice):
        read_certificate(ClientCertificate(file=file, passphrase=passphrase))


async def test_an_unreadable_certificate_is_the_operator_s_to_mend(
    sandbox: SandboxServer, tmp_path: Path
) -> None:
    async with opened(sandbox, ClientCertificate(file=tmp_path / "gone.pem")) as client:
        with pytest.raises(TokenRefusedError, match=r"gone\.pem cannot be read"):
            await is_admitted(client)


def test_ad_fs_gets_the_older_thumbprint(tmp_path: Path, pair: Pair) -> None:
    """dataverse.md 10: RS256 with SHA-1."""
    sent: list[str] = []

    def adfs(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            root = "https://adfs.example.com/adfs"
            return httpx.Response(
                200,
                json={
                    "authorization_endpoint": f"{root}/oauth2/authorize",
                    "token_endpoint": f"{root}/oauth2/token",
                    "issuer": root,
                },
            )
        sent.append(dict(httpx.QueryParams(request.content.decode()))["client_assertion"])
        return httpx.Response(200, json={"access_token": "t", "expires_in": 3599, "token_type": "Bearer"})

    with httpx.Client(transport=httpx.MockTransport(adfs)) as http:
        application = open_application(
            client_id=APP,
            credential=ClientCertificate(file=pair.write_pem(tmp_path / "a.pem"), send_chain=True),
            authority="https://adfs.example.com/adfs",
            http=http,
        )
        assert (
            application.acquire_token_for_client(["https://crm.example.com/.default"])["access_token"] == "t"
        )

    header = jwt.get_unverified_header(sent[0])
    assert (header["alg"], "x5t" in header, "x5t#S256" in header) == ("RS256", True, False)
    (first,) = header["x5c"]
    assert x509.load_der_x509_certificate(b64decode(first)) == pair.certificate


async def test_a_federated_token_is_read_anew_for_each_token(sandbox: SandboxServer, tmp_path: Path) -> None:
    """Kubernetes replaces the file every hour or so."""
    first, second = (
        jwt.encode({"sub": f"system:serviceaccount:{n}"}, "k" * 32, algorithm="HS256") for n in (1, 2)
    )
    file = tmp_path / "token"
    file.write_text(f"{first}\n")
    sandbox.app.entra.register(APP, AppRegistration(federated_tokens=frozenset({first})))
    async with opened(sandbox, FederatedToken(file)) as client:
        assert await is_admitted(client)
        sandbox.app.entra.register(APP, AppRegistration(federated_tokens=frozenset({second})))
        file.write_text(second)
        held = await client._token.bearer()

        assert await client._token.renew(held)


@pytest.mark.parametrize(
    ("written", "advice"),
    [
        pytest.param(None, "federated_token_file", id="no file"),
        pytest.param(" \n", "is empty", id="empty"),
        pytest.param("header.body.signature", "AADSTS50027", id="no token"),
        pytest.param(
            jwt.encode({"sub": "stranger"}, "k" * 32, algorithm="HS256"),
            r"AADSTS700213.*no federated credential",
            id="unknown",
        ),
    ],
)
async def test_a_federated_token_that_does_not_help_is_the_operator_s_to_mend(
    sandbox: SandboxServer, tmp_path: Path, written: str | None, advice: str
) -> None:
    file = tmp_path / "token"
    if written is not None:
        file.write_text(written)
    sandbox.app.entra.register(APP, AppRegistration(federated_tokens=frozenset({"another"})))
    async with opened(sandbox, FederatedToken(file)) as client:
        with pytest.raises(TokenRefusedError, match=advice):
            await is_admitted(client)


@pytest.mark.parametrize(
    ("identity", "named"),
    [
        pytest.param(ManagedIdentity(), None, id="of the machine"),
        pytest.param(ManagedIdentity("mine"), "mine", id="assigned by us"),
    ],
)
def test_a_managed_identity_asks_the_platform_each_time(
    monkeypatch: pytest.MonkeyPatch, identity: ManagedIdentity, named: str | None
) -> None:
    """The form of App Service and Container Apps; MSAL knows the others as well."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:9/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "a-header")
    asked: list[httpx.Request] = []

    def platform(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        token = {"access_token": f"t{len(asked)}", "expires_on": str(int(time.time()) + 3599)}
        return httpx.Response(200, json=token)

    with httpx.Client(transport=httpx.MockTransport(platform)) as http:
        application = open_application(client_id="", credential=identity, authority="", http=http)
        answers = [
            application.acquire_token_for_client(["https://acme.crm4.dynamics.com/.default"])
            for _ in range(2)
        ]
        application.remove_tokens_for_client()

    assert [answer["access_token"] for answer in answers] == ["t1", "t2"]
    parameters = asked[0].url.params
    assert parameters["resource"] == "https://acme.crm4.dynamics.com"
    assert parameters.get("client_id") == named
    assert asked[0].headers["X-IDENTITY-HEADER"] == "a-header"
