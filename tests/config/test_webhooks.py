"""[[webhooks]] in agents.toml: what they mean, what is refused and why, and that nobody sees their secrets."""

from __future__ import annotations

import base64
import tomllib

import jsonschema
import pytest

from agentrt.config.editor_schema import config_schema
from agentrt.config.schema import WebhookSpec
from agentrt.config.webhook_secret import signing_key
from agentrt.secret import Secret
from tests.config.conftest import ProjectFolder

KEY = base64.b64encode(bytes(range(32))).decode()
WHSEC = f"whsec_{KEY}"
HOOK = '[[webhooks]]\nname = "crm"\nurl = "http://127.0.0.1:1/x"\n'
ALL = """\
[[webhooks]]
name = "crm"
url = "https://app:pa55word@example.com:8443/agentrt?token=t0ken"
secret = "${CRM_SECRET}"
previous_secret = "${OLD_SECRET}"
events = ["run.requires_action", "run.c*"]
project = "night"
timeout = "5s"
enabled = false

[[webhooks]]
name = "all"
url = "${ALL_URL}"
secret = "a plain text of some length"
"""


def test_a_webhook_says_where_what_and_how_it_is_signed(project: ProjectFolder) -> None:
    config = project.load(ALL, CRM_SECRET=WHSEC, OLD_SECRET="the secret of last year", ALL_URL="http://localhost/hook")
    crm, everything = config.webhooks
    assert crm == WebhookSpec(
        name="crm",
        url=Secret("https://app:pa55word@example.com:8443/agentrt?token=t0ken"),
        secrets=(Secret(WHSEC), Secret("the secret of last year")),
        events=("run.requires_action", "run.completed", "run.cancelled"),
        project="night",
        timeout_s=5.0,
        enabled=False,
    )
    assert (everything.name, everything.url.reveal()) == ("all", "http://localhost/hook")
    assert (everything.project, everything.timeout_s, everything.enabled) == (None, 15.0, True)
    assert len(everything.events) == 6
    assert jsonschema.Draft7Validator(config_schema()).is_valid(tomllib.loads(ALL))


def test_its_secrets_are_shown_nowhere(project: ProjectFolder) -> None:
    config = project.load(ALL, CRM_SECRET=WHSEC, OLD_SECRET="the secret of last year", ALL_URL="http://localhost/hook")
    assert str(config.webhooks[0].url) == "https://example.com:8443/agentrt"
    for secret in (KEY, "last year", "plain text", "pa55word", "t0ken"):
        assert secret not in repr(config) + "".join(config.warnings)


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "SECRET is not set (agents.toml:4:10)"),
        ({"SECRET": ""}, "SECRET is empty (agents.toml:4:10)"),
    ],
)
def test_without_its_variable_it_is_unavailable_and_everything_else_works(
    project: ProjectFolder, environ: dict[str, str], why: str
) -> None:
    config = project.load(f'{HOOK}secret = "${{SECRET}}"\n', **environ)
    assert config.webhooks[0].unavailable == why


def test_without_the_variable_of_its_address_it_is_unavailable_too(project: ProjectFolder) -> None:
    config = project.load('[[webhooks]]\nname = "crm"\nurl = "${URL}"\nsecret = "${S}"\n', S=WHSEC)
    assert config.webhooks[0].unavailable == "URL is not set (agents.toml:3:7)"


def test_a_secret_in_the_file_is_a_warning_and_a_short_one_another(project: ProjectFolder) -> None:
    warnings = project.load(f'{HOOK}secret = "short"\n').warnings
    assert warnings == (
        'agents.toml:4:10: the secret of webhook "crm" is short enough to be guessed',
        'agents.toml:4:10: webhooks[0].secret holds a key; put it into a variable and write "${NAME}"',
    )
    assert project.load(f'{HOOK}secret = "${{S}}"\n', S=WHSEC).warnings == ()
    few = f"whsec_{base64.b64encode(b'0123456789abcdef').decode()}"
    assert "the key has 16 bytes" in project.load(f'{HOOK}secret = "${{S}}"\n', S=few).warnings[0]


@pytest.mark.parametrize(
    ("text", "where", "what", "fix"),
    [
        ('[webhooks]\nname = "x"\n', "1:1", "webhooks is a list of tables", "write [[webhooks]]"),
        (HOOK, "1:3", "webhooks[0].secret: this key is missing", 'add secret = "${CRM_WEBHOOK_SECRET}"'),
        ('[[webhooks]]\nname = "x"\nsecret = "${S}"\n', "1:3", "webhooks[0].url: this key is missing", "https://"),
        ('[[webhooks]]\nname = "x"\nurl = "ftp://x/"\nsecret = "${S}"\n', "3:7", "not a web address", "https://"),
        ('[[webhooks]]\nname = "x"\nurl = "http://[x"\nsecret = "${S}"\n', "3:7", "not a web address", "https://"),
        ('[[webhooks]]\nname = "x"\nurl = "http://x:y/"\nsecret = "${S}"\n', "3:7", "not a web address", "https://"),
        (f'{HOOK}secret = "whsec_abc"\n', "4:10", "what follows whsec_ is not base64", "openssl rand -base64 32"),
        (f'{HOOK}secret = "${{S}}"\nevents = ["run.complet"]\n', "5:11", 'no event "run.complet"', '"run.completed"?'),
        (f'{HOOK}secret = "${{S}}"\nevents = ["batch.*"]\n', "5:11", 'no event "batch.*"', "there are run.requires"),
        (f'{HOOK}secret = "${{S}}"\ntimeout = "5m"\n', "5:11", '"5m" is too large', "at most 60"),
        (f'{HOOK}secret = "${{S}}"\n{HOOK}secret = "${{S}}"\n', "6:8", 'another webhook is called "crm"', "own name"),
    ],
)
def test_what_is_wrong_names_place_reason_and_remedy(
    project: ProjectFolder, text: str, where: str, what: str, fix: str
) -> None:
    problem = project.problem(text, {"S": WHSEC})
    assert problem.startswith(f"agents.toml:{where}: ")
    assert what in problem
    assert fix in problem.splitlines()[-1]


def test_a_problem_does_not_show_the_secret(project: ProjectFolder) -> None:
    assert "abc" not in project.problem(f'{HOOK}secret = "whsec_abc!abc"\n')


def test_the_lists_of_several_files_are_joined(project: ProjectFolder) -> None:
    project.write("more.toml", f'{HOOK.replace("crm", "other")}secret = "${{S}}"\n')
    config = project.load(f'include = ["more.toml"]\n{HOOK}secret = "${{S}}"\n', S=WHSEC)
    assert [spec.name for spec in config.webhooks] == ["crm", "other"]


def test_a_secret_with_the_prefix_is_base64_and_any_other_is_the_key_itself() -> None:
    assert signing_key(WHSEC) == bytes(range(32))
    assert signing_key("plain") == b"plain"
    with pytest.raises(ValueError):
        signing_key("whsec_not base64")
