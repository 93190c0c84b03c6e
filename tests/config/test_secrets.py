"""Secrets of agents.toml are usable and never shown: not by errors, not by warnings, not by the Config itself."""

from __future__ import annotations

import pytest

from agentrt.secret import hash_key
from tests.config.conftest import ProjectFolder

SECRETS = ["hunter2-hunter2", "sk-abcdefghijklmnopqrstuv", "web-key-0123456789", "Basic dXNlcjpwYXNz"]


def test_the_config_shows_none_of_its_secrets(project: ProjectFolder) -> None:
    config = project.load(
        """
        [runtime]
        database = "postgresql://app:hunter2-hunter2@db/x"
        [[server.keys]]
        name = "web"
        key = "web-key-0123456789"
        [models.fast]
        provider = "openai"
        model = "gpt-4o"
        api_key = "sk-abcdefghijklmnopqrstuv"
        headers = { Authorization = "Basic dXNlcjpwYXNz" }
        """
    )
    shown = repr(config) + str(config) + "".join(config.warnings)
    assert not [secret for secret in SECRETS if secret in shown]
    assert str(config.runtime.database) == "postgresql://***@db/x"
    assert config.runtime.database.reveal() == "postgresql://app:hunter2-hunter2@db/x"
    assert config.server.keys[0].hash == hash_key("web-key-0123456789")
    key = config.models["fast"].api_key
    assert key
    assert key.reveal() == "sk-abcdefghijklmnopqrstuv"


@pytest.mark.parametrize(
    "text",
    [
        '[models.m]\nprovider = "demo"\napi_key = "{0}"\n',
        '[models.m]\nprovider = "openai"\nmodel = "x"\napi_key = ["{0}"]\n',
        '[models.m]\nprovider = "openai"\nmodel = "x"\nlimits = {{ rpm = 0 }}\nheaders = {{ A = "{0}", B = 1 }}\n',
        '[[server.keys]]\nname = "a b"\nkey = "{0}"\nhash = "{0}"\n',
        'server.keys = [{{ name = "a b", key = "{0}" }}]\n',
        '[server]\nhost = {{ token = "{0}" }}\n',
        'a = True\napi_key = "{0}"\n',
        'api_key = "{0}\n',
        "api_key = {0}\n",
        'models.m = {{ api_key = "{0}", retries = no }}\n',
    ],
)
@pytest.mark.parametrize("secret", SECRETS)
def test_problems_show_the_line_without_its_secrets(project: ProjectFolder, text: str, secret: str) -> None:
    problems = "\n".join(project.problems(text.format(secret)))
    assert secret not in problems
    assert secret[4:] not in problems


def test_a_secret_out_of_a_variable_is_not_shown_either(project: ProjectFolder) -> None:
    text = '[[server.keys]]\nname = "a"\nkey = "${K}"\nhash = "${K}"\n[runtime]\ndatabase = "${K}"\n'
    problems = "\n".join(project.problems(text, {"K": "hunter2-hunter2"}))
    assert "hunter2" not in problems
    assert "${K}" in problems


def test_variables_names_stay_readable_in_a_hidden_value(project: ProjectFolder) -> None:
    problem = project.problem('[[server.keys]]\nname = "a"\nkey = "${WEB_KEY}-x"\n')
    assert '3 | key = "${WEB_KEY}**"' in problem


def test_a_key_in_the_file_is_a_warning_that_names_its_place(project: ProjectFolder) -> None:
    config = project.load(
        """\
        [[server.keys]]
        name = "web"
        key = "short"
        [models.fast]
        provider = "azure"
        model = "gpt-4o"
        base_url = "https://x.openai.azure.com"
        api_key = "0123456789abcdef0123456789abcdef"
        [models.local]
        provider = "compatible"
        model = "x"
        base_url = "http://127.0.0.1:1/v1"
        api_key = "ollama"
        [agents.a]
        model = "demo"
        instructions = "Use ghp_0123456789abcdefghij0123 to log in."
        """
    )
    assert [warning.partition(": ")[0] for warning in config.warnings] == [
        "agents.toml:3:7",
        "agents.toml:3:7",
        "agents.toml:8:11",
        "agents.toml:16:16",
    ]
    assert 'models.fast.api_key holds a key; put it into a variable and write "${NAME}"' in config.warnings[2]


def test_keys_out_of_variables_are_no_warning(project: ProjectFolder) -> None:
    config = project.load(
        '[models.m]\nprovider = "openai"\nmodel = "x"\napi_key = "${K}"\n[[server.keys]]\nname = "a"\nkey = "${K}"\n',
        K="sk-abcdefghijklmnopqrstuv",
        AGENTRT__MODELS__M__API_KEY="sk-zyxwvutsrqponmlkjihgf",
    )
    assert config.warnings == ()
