"""Which model a name means."""

from __future__ import annotations

import pytest

from agentrt.config.resolve import available_fallbacks, resolve_model
from agentrt.config.schema import Config
from agentrt.errors import ModelNotFoundError
from tests.config.conftest import ProjectFolder

MODELS = """
[models.fast]
provider = "openai"
model = "gpt-4o-mini"
api_key = "${OPENAI_API_KEY}"
answers_to = ["gpt-4o*", "o?-mini"]
fallbacks = ["local", "spare"]
[models.local]
provider = "ollama"
model = "qwen3:8b"
answers_to = ["gpt-*"]
fallbacks = ["spare", "far"]
[models.spare]
provider = "openai"
model = "gpt-4o-mini"
api_key = "${SPARE_KEY}"
[models.far]
provider = "compatible"
base_url = "http://far/v1"
model = "gpt-5"
"""


@pytest.fixture
def config(project: ProjectFolder) -> Config:
    return project.load(MODELS, OPENAI_API_KEY="sk-1")


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("fast", "fast"),  # the table's name
        ("gpt-4o-mini", "fast"),  # the provider's name, first in the file
        ("gpt-5", "far"),  # … which goes before a glob
        ("qwen3:8b", "local"),
        ("gpt-4o-2024", "fast"),  # a glob, first in the file
        ("o3-mini", "fast"),
        ("gpt-3.5-turbo", "local"),
        ("demo", "demo"),
    ],
)
def test_a_name_means_a_table_then_a_model_then_a_glob(config: Config, name: str, table: str) -> None:
    assert resolve_model(config, name).name == table


def test_an_unknown_name_is_told_what_there_is(config: Config) -> None:
    with pytest.raises(ModelNotFoundError) as caught:
        resolve_model(config, "qwen3:9b")
    assert caught.value.message == (
        "The model 'qwen3:9b' does not exist or you do not have access to it. Did you mean qwen3:8b? "
        "Configured: fast, local, far and demo. Not available: spare, SPARE_KEY is not set (agents.toml:16:11)."
    )
    assert (caught.value.status, caught.value.code, caught.value.param) == (404, "model_not_found", "model")


def test_no_other_model_steps_in_for_one_that_is_unavailable(project: ProjectFolder) -> None:
    config = project.load(MODELS)
    with pytest.raises(ModelNotFoundError, match=r"Model fast is not available: OPENAI_API_KEY is not set \(agents"):
        resolve_model(config, "gpt-4o")


def test_the_demo_model_alone_answers_to_everything(project: ProjectFolder) -> None:
    assert resolve_model(project.load(""), "gpt-4-turbo-preview").name == "demo"


def test_fallbacks_of_fallbacks_follow_once_each_and_only_if_available(config: Config) -> None:
    assert [spec.name for spec in available_fallbacks(config, config.models["fast"])] == ["local", "far"]
    assert available_fallbacks(config, config.models["far"]) == ()
