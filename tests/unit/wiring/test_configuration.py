"""File and environment together: what comes of them, and every problem at once."""

import itertools
import re
from pathlib import Path

import pytest
from tests.repository import ROOT

from didomi_dataverse.config.settings import Settings
from didomi_dataverse.config.types import Section
from didomi_dataverse.errors import ConfigurationError, Problem
from didomi_dataverse.wiring.configuration import Configuration, load_configuration

SECRET = "a-secret-hard-to-guess"
EXAMPLE = ROOT / "config.example.yaml"
ENVIRON = {"DIDOMI_CLIENT_SECRET": SECRET, "DIDOMI_WEBHOOK_SECRET": SECRET, "DATAVERSE_CLIENT_SECRET": SECRET}

DIDOMI = """\
didomi: { auth: { header: { name: X-Webhook-Secret, value: ${DIDOMI_WEBHOOK_SECRET} } } }
"""
DATAVERSE = """\
dataverse:
  url: https://acme.crm4.dynamics.com
  tenant_id: 11111111-1111-1111-1111-111111111111
  client_id: 22222222-2222-2222-2222-222222222222
  client_secret: ${DATAVERSE_CLIENT_SECRET}
"""
CONTACT = """\
contact: { match: { alternate_key: new_didomikey } }
"""
MAPPING = """\
mapping: { gdpr: { purposes: { newsletter: new_newsletter } } }
"""
LEAST = DIDOMI + DATAVERSE + CONTACT + MAPPING


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def load(file: Path, text: str, **environ: str) -> Configuration:
    file.write_text(text, encoding="utf-8")
    return load_configuration(file, {**ENVIRON, **environ})


def problems_of(file: Path, text: str, **environ: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(file, text, **environ)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def problem_of(file: Path, text: str, **environ: str) -> Problem:
    problems = problems_of(file, text, **environ)
    assert len(problems) == 1, problems
    return problems[0]


# --- The example ----------------------------------------------------------------------------------


def test_the_example_is_a_configuration_without_a_word_of_warning() -> None:
    configuration = load_configuration(EXAMPLE, ENVIRON)

    assert configuration.warnings == ()
    assert len(configuration.mapping.rules) == 17


def test_the_example_shows_the_defaults() -> None:
    """Where it writes a value that has a default, it writes that default, except for what is an example."""
    shown = load_configuration(EXAMPLE, ENVIRON).settings
    examples = {
        "didomi.organization_id",
        "didomi.auth.allowed_addresses",
        "contact.match.alternate_key",
        "contact.on_create",
    }

    other = [
        path
        for path, section, name in fields_of(Settings)
        if path not in examples
        and not section.model_fields[name].is_required()
        and section.model_fields[name].default_factory is None
        and (found := value_at(shown, path)) is not None
        and found != section.model_fields[name].default
        and not isinstance(found, Section)
    ]

    assert other == []


def test_every_setting_stands_in_the_example() -> None:
    """Written or commented out, at its indentation: a setting that is added must be explained there."""
    text = EXAMPLE.read_text(encoding="utf-8")
    lines = text.splitlines()

    missing = [path for path, _, _ in fields_of(Settings) if not is_shown(lines, path.split("."))]

    assert missing == []


def test_no_setting_of_the_example_is_without_a_comment() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    before_mapping = lines[: lines.index("mapping:")]

    bare = [
        line
        for above, line in itertools.pairwise(before_mapping)
        if re.match(r"  +[a-z_]+: \S", line) and not above.lstrip().startswith("#")
    ]

    assert bare == []


def is_shown(lines: list[str], path: list[str]) -> bool:
    """Whether the last key stands in its top section, in a line of its own, inline, or commented out."""
    top = next(number for number, line in enumerate(lines) if line.startswith(f"{path[0]}:"))
    end = next(
        (number for number in range(top + 1, len(lines)) if re.match(r"[a-z]", lines[number])), len(lines)
    )
    shown = re.compile(rf"^(\s*|\s*# +|.*{{ ){path[-1]}:( |$)")
    return any(shown.match(line) for line in lines[top:end])


def fields_of(model: type[Section], above: str = "") -> list[tuple[str, type[Section], str]]:
    found: list[tuple[str, type[Section], str]] = []
    for name, field in model.model_fields.items():
        path = f"{above}{name}"
        found.append((path, model, name))
        for nested in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(nested, type) and issubclass(nested, Section):
                found += fields_of(nested, f"{path}.")
    return found


def value_at(section: object, path: str) -> object:
    for name in path.split("."):
        section = getattr(section, name, None)
    return section


def secret_of(settings: Settings) -> str:
    secret = settings.dataverse.client_secret
    assert secret is not None
    return secret.get_secret_value()


# --- What comes of it -----------------------------------------------------------------------------


def test_the_least_configuration(file: Path) -> None:
    configuration = load(file, LEAST)

    assert secret_of(configuration.settings) == SECRET
    assert [rule.column for rule in configuration.mapping.rules] == ["new_newsletter"]
    assert configuration.warnings == ()


def test_a_section_with_everything_commented_out_is_as_if_it_were_not_there(file: Path) -> None:
    assert load(file, "server:\n  # port: 1\nlog:\n" + LEAST).settings.server.port == 8080


def test_an_override_changes_a_setting(file: Path) -> None:
    configuration = load(
        file, LEAST, DIDOMI_DATAVERSE__SERVER__PORT="9000", DIDOMI_DATAVERSE__CONTACT__UPSERT="true"
    )

    assert configuration.settings.server.port == 9000
    assert configuration.settings.contact.upsert is True


def test_a_secret_of_digits_stays_text(file: Path) -> None:
    configuration = load(file, LEAST, DIDOMI_DATAVERSE__DATAVERSE__CLIENT_SECRET="0123456789")

    assert secret_of(configuration.settings) == "0123456789"


def test_values_on_create_keep_the_type_that_yaml_gives_them(file: Path) -> None:
    on_create = "{ lastname: '1', new_n: 1, new_b: yes, new_d: 1.5, new_t: x, new_none: ~ }"
    text = LEAST.replace("new_didomikey }", f"new_didomikey }}, on_create: {on_create}")

    assert load(file, text).settings.contact.on_create == {
        "lastname": "1",
        "new_n": 1,
        "new_b": True,
        "new_d": 1.5,
        "new_t": "x",
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(
            "client_secret: ${DATAVERSE_CLIENT_SECRET}", "client_secret_file: {file}", id="dataverse"
        ),
        pytest.param("value: ${DIDOMI_WEBHOOK_SECRET}", "value_file: {file}", id="header"),
    ],
)
def test_every_secret_can_be_a_file(file: Path, tmp_path: Path, old: str, new: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}-of-a-file\n")

    settings = load(file, LEAST.replace(old, new.format(file=secret))).settings

    header = settings.didomi.auth.header
    assert header is not None
    found = {secret_of(settings), header.value[0].get_secret_value()}
    assert found == {SECRET, f"{SECRET}-of-a-file"}


def test_an_empty_secret_file_is_an_empty_secret(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("\n")
    text = LEAST.replace("value: ${DIDOMI_WEBHOOK_SECRET}", f"value_file: {tmp_path / 'secret'}")

    assert problem_of(file, text).key == "didomi.auth.header.value.0"


def test_two_secrets_can_be_two_files(file: Path, tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_text(f"{SECRET}-{name}")
    files = f"value_file: [{tmp_path / 'old'}, {tmp_path / 'new'}]"

    header = load(file, LEAST.replace("value: ${DIDOMI_WEBHOOK_SECRET}", files)).settings.didomi.auth.header

    assert header is not None
    assert [value.get_secret_value() for value in header.value] == [f"{SECRET}-old", f"{SECRET}-new"]


# --- What is refused ------------------------------------------------------------------------------


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_configuration(tmp_path / "config.yaml", {})


def test_all_problems_are_reported_at_once_in_the_order_of_the_file(file: Path) -> None:
    text = (
        "server: { port: x }\n"
        + DIDOMI.replace("X-Webhook", "X Webhook")
        + DATAVERSE.replace("${DATAVERSE_CLIENT_SECRET}", "${NOPE}")
        + CONTACT
        + "mapping: { gdpr: { purposes: { a: A B } } }\nservr: {}\n"
    )

    problems = problems_of(file, text)

    assert [(problem.line, problem.key) for problem in problems] == [
        (1, "server.port"),
        (2, "didomi.auth.header.name"),
        (7, "dataverse.client_secret"),
        (9, "mapping.gdpr.purposes.a"),
        (10, "servr"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(
            "dataverse:",
            "server: { prot: 1 }\ndataverse:",
            "2: server.prot: is not a key of this section. Did you mean `port`?",
            id="a misspelt key",
        ),
        pytest.param(
            "  client_id: 22222222-2222-2222-2222-222222222222\n",
            "",
            "2: dataverse.client_id: is missing.",
            id="a missing key is placed at its section",
        ),
        pytest.param(
            CONTACT,
            "",
            ": contact: is missing. Its keys are match, upsert, on_create, on_many, unmatched.",
            id="section",
        ),
        pytest.param(
            MAPPING, "", ": mapping: is missing. Write which choice goes to which column", id="no mapping"
        ),
        pytest.param(
            "dataverse:",
            "server: { port: eighty }\ndataverse:",
            "2: server.port: must be a whole number, not `eighty`.",
            id="a number",
        ),
        pytest.param(
            "dataverse:",
            "store: sqlite\ndataverse:",
            "2: store: must be a section with url, takeover_after, retention.",
            id="text for a section",
        ),
        pytest.param(
            "dataverse:",
            "store: { retention: { attempts: 10m } }\ndataverse:",
            "2: store.retention.attempts: must be at least 1 hour, not `10m`.",
            id="too short",
        ),
        pytest.param(
            "new_didomikey }",
            "new_didomikey }, upsert: perhaps",
            "7: contact.upsert: must be true or false, not `perhaps`.",
            id="true or false",
        ),
        pytest.param(
            "new_didomikey }",
            "new_didomikey }, on_many: first",
            "7: contact.on_many: must be one of 'park' or 'all', not `first`.",
            id="one of",
        ),
        pytest.param(
            "new_didomikey }",
            "new_didomikey }, on_create: { Last Name: x }",
            "7: contact.on_create.Last Name: is neither a column's logical name nor",
            id="a label on creation",
        ),
        pytest.param(
            "${DATAVERSE_CLIENT_SECRET}",
            "[a, b]",
            "6: dataverse.client_secret: must be text.",
            id="a list for a secret",
        ),
        pytest.param(
            "  client_secret: ${DATAVERSE_CLIENT_SECRET}\n",
            "  client_secret:\n",
            "6: dataverse.client_secret: is missing. Write `client_secret: ${NAME_OF_A_VARIABLE}`, or"
            " `client_secret_file: <path>`.",
            id="nothing written",
        ),
        pytest.param(
            "${DATAVERSE_CLIENT_SECRET}",
            "x\n  client_secret_file: y",
            "7: dataverse.client_secret_file: cannot be combined with `client_secret`.",
            id="a secret twice",
        ),
        pytest.param(
            "value: ${DIDOMI_WEBHOOK_SECRET}",
            "value_file: /nowhere/x",
            "1: didomi.auth.header.value_file: names a file that cannot be read",
            id="a secret's file is missing",
        ),
        pytest.param(
            "value: ${DIDOMI_WEBHOOK_SECRET}",
            "value_file: { a: b }",
            "1: didomi.auth.header.value_file: must be the path of a file.",
            id="a section for a path",
        ),
        pytest.param(
            "{ newsletter: new_newsletter }",
            "{ newsletter: new_didomikey }",
            "8: mapping.gdpr.purposes.newsletter: writes new_didomikey,"
            " which contact.match.alternate_key uses to find the row.",
            id="the matching column mapped",
        ),
        pytest.param(
            "{ newsletter: new_newsletter }",
            "{ newsletter: contactid }",
            "8: mapping.gdpr.purposes.newsletter: writes contactid, which is the row's own id.",
            id="the row's id mapped",
        ),
        pytest.param(
            "new_didomikey }",
            "new_didomikey }, on_create: { new_newsletter: 1 }",
            "8: mapping.gdpr.purposes.newsletter: writes new_newsletter, which contact.on_create already"
            " writes.",
            id="a mapped column on creation",
        ),
    ],
)
def test_a_problem_says_where_what_and_what_to_write(file: Path, old: str, new: str, expected: str) -> None:
    assert old in LEAST

    # A file that is refused twice for one mistake sends people looking for two.
    problem = problem_of(file, LEAST.replace(old, new))

    assert f"config.yaml:{expected}" in str(problem).replace(".yaml: ", ".yaml:: ", 1)


def test_a_problem_with_an_override_names_its_variable_and_not_its_value(file: Path) -> None:
    problem = problem_of(file, LEAST, DIDOMI_DATAVERSE__SERVER__PORT=SECRET)

    assert problem.line is None
    assert "DIDOMI_DATAVERSE__SERVER__PORT" in problem.message


def test_an_override_of_an_unknown_key_is_refused(file: Path) -> None:
    problem = problem_of(file, LEAST, DIDOMI_DATAVERSE__SERVER__PROT="1")

    assert "DIDOMI_DATAVERSE__SERVER__PROT" in problem.message
    assert "`port`" in problem.advice


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("${DIDOMI_WEBHOOK_SECRET}", f"[{SECRET}, {SECRET}, {SECRET}]", id="too many secrets"),
        pytest.param("${DIDOMI_WEBHOOK_SECRET}", f"' {SECRET}'", id="blanks around a secret"),
        pytest.param("${DATAVERSE_CLIENT_SECRET}", f"{{ {SECRET}: x }}", id="a section for a secret"),
        pytest.param("https://acme.crm4.dynamics.com", f"https://u:{SECRET}@h", id="a password in a URL"),
        pytest.param("dataverse:", f"store: {{ url: mysql://u:{SECRET}@h/d }}\ndataverse:", id="store"),
        pytest.param(
            "alternate_key: new_didomikey", "column: ${DATAVERSE_CLIENT_SECRET}", id="a misplaced one"
        ),
    ],
)
def test_no_problem_repeats_a_secret(file: Path, old: str, new: str) -> None:
    assert old in LEAST

    assert len(problems_of(file, LEAST.replace(old, new))) == 1


# --- Warnings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        pytest.param(
            "https://acme.crm4.dynamics.com",
            "https://crm.example.com",
            "dataverse.url",
            "does not end with a known domain",
            id="an unknown host",
        ),
        pytest.param(
            "dataverse:\n",
            "dataverse:\n  read_timeout: 20s\n",
            "dataverse.read_timeout",
            "shorter than",
            id="a short read time-out",
        ),
        pytest.param(
            "alternate_key: new_didomikey",
            "alternate_key: emailaddress1",
            "contact.match.alternate_key",
            "e-mail",
            id="an e-mail address in a key URL",
        ),
        pytest.param(
            "{ alternate_key: new_didomikey }",
            "{ column: emailaddress1 }, upsert: true",
            "contact.upsert",
            "without an alternate key",
            id="creation without a unique key",
        ),
        pytest.param(
            "${DIDOMI_WEBHOOK_SECRET}", "short", "didomi.auth.header.value", "guessed", id="a short secret"
        ),
        pytest.param("gdpr:", "gpdr:", "mapping.gpdr", "not a known regulation", id="a misspelt regulation"),
    ],
)
def test_what_is_only_doubtful_is_a_warning(file: Path, old: str, new: str, key: str, says: str) -> None:
    assert old in LEAST

    (warning,) = load(file, LEAST.replace(old, new)).warnings

    assert warning.key == key
    assert says in warning.message
    assert warning.advice


def test_a_sandbox_on_this_machine_is_not_an_unknown_host(file: Path) -> None:
    text = LEAST.replace("https://acme.crm4.dynamics.com", "https://localhost:8443")

    assert load(file, text).warnings == ()


# --- Ways to log in to Dataverse -------------------------------------------------------------------

SECRET_LINE = "  client_secret: ${DATAVERSE_CLIENT_SECRET}\n"


def test_a_certificate_instead_of_a_secret(file: Path, tmp_path: Path) -> None:
    pem, passphrase = tmp_path / "app.pem", tmp_path / "passphrase"
    pem.write_text("not read before the first token")
    passphrase.write_text("open sesame")
    written = f"  client_certificate: {{ file: {pem}, passphrase_file: {passphrase}, send_chain: true }}\n"

    dataverse = load(file, LEAST.replace(SECRET_LINE, written)).settings.dataverse

    assert dataverse.client_secret is None
    certificate = dataverse.client_certificate
    assert certificate is not None
    assert certificate.passphrase is not None
    assert (certificate.file, certificate.passphrase.get_secret_value(), certificate.send_chain) == (
        pem,
        "open sesame",
        True,
    )
    assert "sesame" not in repr(dataverse)


@pytest.mark.parametrize(
    ("written", "client_id"),
    [
        pytest.param("managed_identity: true", None, id="of the machine"),
        pytest.param("managed_identity: { client_id: mine }", "mine", id="assigned by us"),
    ],
)
def test_a_managed_identity_instead_of_a_secret(file: Path, written: str, client_id: str | None) -> None:
    dataverse = load(file, LEAST.replace(SECRET_LINE, f"  {written}\n")).settings.dataverse

    assert dataverse.managed_identity is not None
    assert dataverse.managed_identity.client_id == client_id


def test_a_federated_token_need_not_be_there_yet(file: Path) -> None:
    """The platform may write it after the start."""
    written = "  federated_token_file: run/token\n"

    dataverse = load(file, LEAST.replace(SECRET_LINE, written)).settings.dataverse

    assert dataverse.federated_token_file == Path("run/token")


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        pytest.param(
            SECRET_LINE + "  managed_identity: true\n",
            "dataverse: has client_secret and managed_identity. Keep exactly one of them.",
            id="two at once",
        ),
        pytest.param("  managed_identity: false\n", "dataverse.client_secret: is missing.", id="none"),
        pytest.param(
            "  client_certificate: { file: nowhere.pem }\n",
            "names a file that does not exist or cannot be read",
            id="no such certificate",
        ),
        pytest.param(
            "  client_certificate: { path: x }\n",
            "dataverse.client_certificate.path: is not a key",
            id="a typo",
        ),
        pytest.param(
            SECRET_LINE + "  application_users: [{ client_id: b }]\n",
            "dataverse.application_users.0.client_secret: is missing.",
            id="another user without any",
        ),
        pytest.param(
            SECRET_LINE
            + "  application_users: [{ client_id: 22, client_secret: a, managed_identity: true }]\n",
            "application_users.0: has client_secret and managed_identity",
            id="another user with two",
        ),
        pytest.param(
            SECRET_LINE + "  authority: gcc\n",
            "must be one of public, gcc_high, dod, china, or a URL",
            id="no cloud",
        ),
    ],
)
def test_a_wrong_way_to_log_in_is_named(file: Path, written: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(file, LEAST.replace(SECRET_LINE, written))

    assert problem in str(refused.value)


def test_more_application_users_have_secrets_of_their_own(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the-second-secret\n")
    users = f"  application_users:\n    - {{ client_id: b, client_secret_file: {secret} }}\n"

    (second,) = load(
        file, LEAST.replace(SECRET_LINE, SECRET_LINE + users)
    ).settings.dataverse.application_users

    assert second.client_secret is not None
    assert second.client_secret.get_secret_value() == "the-second-secret"


def test_one_application_user_twice_gains_nothing(file: Path) -> None:
    first = next(line.split()[1] for line in LEAST.splitlines() if line.strip().startswith("client_id:"))
    users = f"  application_users: [{{ client_id: {first}, client_secret: x }}]\n"
    with pytest.raises(ConfigurationError, match="one application user twice"):
        load(file, LEAST.replace(SECRET_LINE, SECRET_LINE + users))


@pytest.mark.parametrize(
    ("cloud", "host"),
    [
        ("public", "login.microsoftonline.com"),
        ("GCC-High", "login.microsoftonline.us"),
        ("dod", "login.microsoftonline.us"),
        ("china", "login.partner.microsoftonline.cn"),
    ],
)
def test_a_cloud_by_its_name(file: Path, cloud: str, host: str) -> None:
    """dataverse.md 1.1."""
    dataverse = load(
        file, LEAST.replace(SECRET_LINE, f"{SECRET_LINE}  authority: {cloud}\n")
    ).settings.dataverse

    assert dataverse.authority == f"https://{host}/{dataverse.tenant_id}"
