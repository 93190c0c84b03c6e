"""A BERT small enough for tests, in a folder as sentence-transformers saves one; and what it should compute, slowly."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "the", "cat", "sat", "on", "mat", "##s", "un", "##able", ".", "!", "中")
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_act": "gelu",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 300,
    "layer_norm_eps": 1e-12,
}


def write_tiny_bert(folder: Path, *, seed: int = 1, **config: object) -> dict[str, NDArray[np.float32]]:
    """Write the folder; its weights."""
    weights = _weights(np.random.default_rng(seed))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    (folder / "config.json").write_text(json.dumps(CONFIG | config), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(safetensors(weights))
    return weights


def safetensors(weights: Mapping[str, NDArray[np.float32]]) -> bytes:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in weights.items():
        raw = tensor.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + data


def reference_vector(weights: Mapping[str, NDArray[np.float32]], pieces: list[int]) -> list[float]:
    """The definition, in float64 and one number after the other."""
    w = {name: tensor.astype(float) for name, tensor in weights.items()}
    word, position = w["embeddings.word_embeddings.weight"], w["embeddings.position_embeddings.weight"]
    kind = w["embeddings.token_type_embeddings.weight"][0]
    rows = [_normal(word[piece] + position[i] + kind, w, "embeddings.LayerNorm") for i, piece in enumerate(pieces)]
    for n in range(CONFIG["num_hidden_layers"]):
        layer = f"encoder.layer.{n}"
        attended = _attend(rows, w, f"{layer}.attention.self")
        out = f"{layer}.attention.output"
        rows = [
            _normal(row + _linear(one, w, f"{out}.dense"), w, f"{out}.LayerNorm")
            for row, one in zip(rows, attended, strict=True)
        ]
        inner = [[_gelu(x) for x in _linear(row, w, f"{layer}.intermediate.dense")] for row in rows]
        rows = [
            _normal(row + _linear(np.array(one), w, f"{layer}.output.dense"), w, f"{layer}.output.LayerNorm")
            for row, one in zip(rows, inner, strict=True)
        ]
    mean: list[float] = np.mean(rows, axis=0).tolist()
    return mean


def _attend(rows: list[NDArray[Any]], w: Mapping[str, NDArray[Any]], name: str) -> list[NDArray[Any]]:
    query, key, value = ([_linear(row, w, f"{name}.{part}") for row in rows] for part in ("query", "key", "value"))
    size = CONFIG["hidden_size"] // CONFIG["num_attention_heads"]
    found = []
    for q in query:
        heads = []
        for start in range(0, CONFIG["hidden_size"], size):
            head = slice(start, start + size)
            scores = [math.exp(float(q[head] @ k[head]) / math.sqrt(size)) for k in key]
            heads.append(sum(s * v[head] for s, v in zip(scores, value, strict=True)) / sum(scores))
        found.append(np.concatenate(heads))
    return found


def _linear(row: NDArray[Any], w: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    result: NDArray[Any] = w[f"{name}.weight"] @ row + w[f"{name}.bias"]
    return result


def _normal(row: NDArray[Any], w: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any]:
    unit = (row - row.mean()) / math.sqrt(row.var() + CONFIG["layer_norm_eps"])
    result: NDArray[Any] = unit * w[f"{name}.weight"] + w[f"{name}.bias"]
    return result


def _gelu(x: float) -> float:
    return x * (1 + math.erf(x / math.sqrt(2))) / 2


def _weights(rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
    size, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(WORDS), size),
        "embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], size),
        "embeddings.token_type_embeddings.weight": (2, size),
        **_norm("embeddings.LayerNorm"),
    }
    for n in range(CONFIG["num_hidden_layers"]):
        layer = f"encoder.layer.{n}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= _dense(f"{layer}.attention.{part}", size, size)
        shapes |= _dense(f"{layer}.intermediate.dense", size, inner) | _dense(f"{layer}.output.dense", inner, size)
        shapes |= _norm(f"{layer}.attention.output.LayerNorm") | _norm(f"{layer}.output.LayerNorm")
    return {name: rng.normal(scale=1.5, size=shape).astype(np.float32) for name, shape in shapes.items()}


def _dense(name: str, n_in: int, n_out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def _norm(name: str) -> dict[str, tuple[int, ...]]:
    return {f"{name}.{part}": (CONFIG["hidden_size"],) for part in ("weight", "bias")}
