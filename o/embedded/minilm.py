"""all-MiniLM-L6-v2 in plain numpy: texts to unit vectors, without torch.

The model is BERT (Devlin et al., 2018) with 6 layers of 384 units and 12 heads, mean pooling over the tokens and
L2 normalisation, as the model's own `modules.json` says.
"""

import json
import math
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

DIMENSIONS = 384
MAX_TOKENS = 256

_HEADS = 12
_LAYERS = 6
_BATCH = 8  # measured: more rows at once only spill the caches
_EPSILON = np.float32(1e-12)

Floats = NDArray[np.float32]


class MiniLM:
    """The model, from the folder with its `model.safetensors` and `tokenizer.json`. Safe to use from any thread."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        weights = _safetensors(folder / "model.safetensors")
        self._words = weights["embeddings.word_embeddings.weight"]
        # Only the first token type is ever used: its vector is added to every position once, here.
        self._positions = (
            weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = _Norm(weights, "embeddings.LayerNorm")
        self._layers = [_Layer(weights, f"encoder.layer.{number}") for number in range(_LAYERS)]

    def embed(self, texts: Sequence[str]) -> tuple[Floats, int]:
        """Vectors of the texts, `(n, 384) float32` of unit length, and the tokens read.

        Of each text the first 256 tokens count. Texts of like length are computed together, so that few
        positions are spent on padding.
        """
        encodings: list[Encoding] = self._tokenizer.encode_batch(list(texts))
        order = sorted(range(len(texts)), key=lambda index: len(encodings[index].ids))
        vectors = np.empty((len(texts), DIMENSIONS), np.float32)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            vectors[batch] = self._forward([encodings[index].ids for index in batch])
        return vectors, sum(len(encoding.ids) for encoding in encodings)

    def _forward(self, ids: list[list[int]]) -> Floats:
        width = max(map(len, ids))
        tokens = np.zeros((len(ids), width), np.int64)
        mask = np.zeros((len(ids), width), np.float32)
        for row, sequence in enumerate(ids):
            tokens[row, : len(sequence)] = sequence
            mask[row, : len(sequence)] = 1
        hidden = self._norm(self._words[tokens] + self._positions[:width])
        bias = np.where(mask[:, None, None, :] > 0, np.float32(0), np.float32(-1e9))
        for layer in self._layers:
            hidden = layer(hidden, bias)
        pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        unit: Floats = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return unit


class _Norm:
    def __init__(self, weights: dict[str, Floats], name: str) -> None:
        self._scale, self._shift = weights[f"{name}.weight"], weights[f"{name}.bias"]

    def __call__(self, x: Floats) -> Floats:
        centred = x - x.mean(-1, keepdims=True)
        variance = np.square(centred).mean(-1, keepdims=True)
        scaled: Floats = centred / np.sqrt(variance + _EPSILON) * self._scale + self._shift
        return scaled


class _Linear:
    def __init__(self, weights: dict[str, Floats], *names: str) -> None:
        self._weight = np.ascontiguousarray(np.concatenate([weights[f"{name}.weight"] for name in names]).T)
        self._bias = np.concatenate([weights[f"{name}.bias"] for name in names])

    def __call__(self, x: Floats) -> Floats:
        out: Floats = x @ self._weight + self._bias
        return out


class _Layer:
    def __init__(self, weights: dict[str, Floats], name: str) -> None:
        attention = f"{name}.attention"
        self._qkv = _Linear(weights, *(f"{attention}.self.{part}" for part in ("query", "key", "value")))
        self._out = _Linear(weights, f"{attention}.output.dense")
        self._out_norm = _Norm(weights, f"{attention}.output.LayerNorm")
        self._up = _Linear(weights, f"{name}.intermediate.dense")
        self._down = _Linear(weights, f"{name}.output.dense")
        self._down_norm = _Norm(weights, f"{name}.output.LayerNorm")

    def __call__(self, x: Floats, bias: Floats) -> Floats:
        rows, width, units = x.shape
        split = self._qkv(x).reshape(rows, width, 3, _HEADS, units // _HEADS)
        query, key, value = split.transpose(2, 0, 3, 1, 4)
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(math.sqrt(units // _HEADS)) + bias
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        mixed = (scores @ value).transpose(0, 2, 1, 3).reshape(rows, width, units)
        x = self._out_norm(self._out(mixed) + x)
        return self._down_norm(self._down(_gelu(self._up(x))) + x)


def _gelu(x: Floats) -> Floats:
    """GELU, x·Φ(x), with erf by formula 7.1.26 of Abramowitz and Stegun (error below 1.5e-7): numpy has no erf."""
    z = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    series: Floats = np.full_like(x, 1.061405429)
    for coefficient in (-1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series *= t
        series += np.float32(coefficient)
    erf = np.copysign(1 - series * t * np.exp(-z * z), x)
    activated: Floats = x * np.float32(0.5) * (1 + erf)
    return activated


def _safetensors(path: Path) -> dict[str, Floats]:
    """The float32 tensors of a safetensors file: 8 bytes of header length, a JSON header, the raw numbers."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
        data = file.read()
    tensors: dict[str, Floats] = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            tensors[name] = np.frombuffer(data[start:end], "<f4").reshape(entry["shape"])
    return tensors
