"""dataverse.md 10: tokens, and the errors that Entra gives instead."""

import httpx
import jwt
import pytest
from tests.contract.dataverse_sandbox.conftest import BASE_URL, ManualClock, fetch_token

from dataverse_sandbox import SandboxApp


async def request_token(
    stranger: httpx.AsyncClient, app: SandboxApp, tenant: str | None = None, **changed: str
) -> httpx.Response:
    form = {
        "client_id": app.identity.client_id,
        "client_secret": app.identity.client_secret,
        "grant_type": "client_credentials",
        "scope": f"{BASE_URL}/.default",
    }
    return await stranger.post(f"/{tenant or app.identity.tenant_id}/oauth2/v2.0/token", data=form | changed)


@pytest.mark.parametrize(
    ("changed", "status", "error", "code"),
    [
        pytest.param({"client_secret": "wrong"}, 401, "invalid_client", 7000215, id="wrong-secret"),
        pytest.param({"client_id": "unknown"}, 400, "unauthorized_client", 700016, id="unknown-application"),
        pytest.param({"tenant": "unknown"}, 400, "invalid_request", 90002, id="unknown-tenant"),
        pytest.param(
            {"scope": "https://other.test/.default"}, 400, "invalid_resource", 500011, id="other-resource"
        ),
        pytest.param({"scope": BASE_URL}, 400, "invalid_scope", 1002012, id="scope-without-default"),
        pytest.param({"grant_type": "password"}, 400, "unsupported_grant_type", 70003, id="other-grant"),
    ],
)
async def test_a_wrong_request_gets_an_error_dictionary(
    stranger: httpx.AsyncClient,
    app: SandboxApp,
    *,
    changed: dict[str, str],
    status: int,
    error: str,
    code: int,
) -> None:
    response = await request_token(stranger, app, **changed)

    answer = response.json()
    assert (response.status_code, answer["error"], answer["error_codes"]) == (status, error, [code])
    assert answer["error_description"].startswith(f"AADSTS{code}: ")
    assert {"trace_id", "correlation_id", "timestamp"} <= answer.keys()


async def test_a_token_is_valid_for_longer_than_clients_require(
    stranger: httpx.AsyncClient, app: SandboxApp
) -> None:
    answer = (await request_token(stranger, app)).json()

    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 3599)


async def test_a_token_is_signed_by_a_published_key(stranger: httpx.AsyncClient, app: SandboxApp) -> None:
    tenant = app.identity.tenant_id
    configuration = (await stranger.get(f"/{tenant}/v2.0/.well-known/openid-configuration")).json()
    keys = (await stranger.get(configuration["jwks_uri"])).json()
    token = (await request_token(stranger, app)).json()["access_token"]

    claims = jwt.decode(
        token,
        jwt.PyJWKSet.from_dict(keys)[jwt.get_unverified_header(token)["kid"]],
        algorithms=["RS256"],
        audience=BASE_URL,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )

    assert (claims["appid"], claims["tid"]) == (app.identity.client_id, tenant)


async def test_an_unknown_tenant_has_no_configuration(stranger: httpx.AsyncClient) -> None:
    response = await stranger.get("/unknown/v2.0/.well-known/openid-configuration")

    assert (response.status_code, response.json()["error_codes"]) == (400, [90002])


@pytest.mark.parametrize(
    "authorization",
    [
        pytest.param(None, id="missing"),
        pytest.param("Bearer", id="empty"),
        pytest.param("Basic YTpi", id="another-scheme"),
        pytest.param("Bearer not-a-token", id="no-token"),
        pytest.param(
            "Bearer " + jwt.encode({"exp": 4e9, "aud": BASE_URL, "appid": "x"}, "k" * 32, algorithm="HS256"),
            id="forged",
        ),
        pytest.param(
            "Bearer " + jwt.encode({"exp": 4e9, "aud": BASE_URL, "appid": "x"}, "", algorithm="none"),
            id="unsigned",
        ),
    ],
)
async def test_a_wrong_bearer_is_refused(stranger: httpx.AsyncClient, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}

    response = await stranger.get("/api/data/v9.2/WhoAmI", headers=headers)

    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Bearer authorization_uri=")


async def test_an_expired_token_is_refused(api: httpx.AsyncClient, clock: ManualClock) -> None:
    clock.time += 3598
    assert (await api.get("WhoAmI")).status_code == 200
    clock.time += 1

    response = await api.get("WhoAmI")

    assert (response.status_code, response.json()["error"]["code"]) == (401, "0x8004a101")


async def test_a_token_from_before_a_restart_is_refused(
    stranger: httpx.AsyncClient, app: SandboxApp, clock: ManualClock
) -> None:
    token = await fetch_token(stranger, app.identity)
    restarted = SandboxApp(app.identity, clock=clock)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(restarted), base_url=BASE_URL) as client:
        response = await client.get("/api/data/v9.2/WhoAmI", headers={"Authorization": f"Bearer {token}"})

    assert response.status_code == 401


async def test_a_batch_needs_its_token_on_the_outer_call_only(stranger: httpx.AsyncClient) -> None:
    assert (await stranger.post("/api/data/v9.2/$batch")).status_code == 401


async def test_instance_discovery_names_the_host(stranger: httpx.AsyncClient, app: SandboxApp) -> None:
    answer = (await stranger.get("/common/discovery/instance?api-version=1.1")).json()

    assert answer["tenant_discovery_endpoint"].startswith(f"{BASE_URL}/{app.identity.tenant_id}/")
    assert answer["metadata"][0]["aliases"] == ["sandbox.test"]


async def test_other_paths_of_the_sign_in_service_are_not_found(
    stranger: httpx.AsyncClient, app: SandboxApp
) -> None:
    assert (await stranger.get(f"/{app.identity.tenant_id}/oauth2/v2.0/authorize")).status_code == 404
    assert (await stranger.get(f"/{app.identity.tenant_id}/oauth2/v2.0/token")).status_code == 404


async def test_a_token_request_that_is_no_form_is_refused(
    stranger: httpx.AsyncClient, app: SandboxApp
) -> None:
    response = await stranger.post(f"/{app.identity.tenant_id}/oauth2/v2.0/token", content=b"\xff\xfe")

    assert (response.status_code, response.json()["error_codes"]) == (400, [70003])


async def test_a_token_for_another_resource_is_refused(
    stranger: httpx.AsyncClient, app: SandboxApp, clock: ManualClock
) -> None:
    """The same tenant signs for many environments; each accepts only its own tokens."""
    claims = {"exp": clock.time + 3600, "aud": "https://other.test", "appid": app.identity.client_id}
    token = jwt.encode(claims, app.entra._key, algorithm="RS256")

    response = await stranger.get("/api/data/v9.2/WhoAmI", headers={"Authorization": f"Bearer {token}"})

    assert (response.status_code, response.json()["error"]["code"]) == (401, "0x8004a102")
