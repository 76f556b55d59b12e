"""Vectors for texts over OpenAI's wire, and what every embedder shares: batches, checks, unit length."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from o.errors import InvalidReply
from o.providers.sdk import Sdk

# OpenAI's limits of one request: 2,048 texts and 300,000 tokens; a token has at least one byte. Others take less.
_BATCH_TEXTS = 128
_BATCH_BYTES = 250_000
_PROBE = "dimension"


class BatchEmbedder(ABC):
    """One embedding model of a service: subclasses say how one batch of texts is asked for.

    Args:
        provider: its name, for messages.
        known: how long its vectors are, where that need not be asked.
        most: texts of one request.
    """

    def __init__(self, provider: str, *, known: int | None = None, most: int = _BATCH_TEXTS) -> None:
        self._provider, self._dimensions, self._most = provider, known, most

    async def dimensions(self) -> int:
        if self._dimensions is None:
            self._dimensions = len((await self._vectors([_PROBE]))[0])
        return self._dimensions

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        vectors = [vector for batch in batches(texts, most=self._most) for vector in await self._vectors(batch)]
        if vectors:
            self._dimensions = require_dimensions(vectors, self._dimensions, self._provider)
        return vectors

    @abstractmethod
    async def _rows(self, texts: Sequence[str]) -> object:
        """What the service answers for these texts: a list of vectors, if all is well. Raises ModelError."""

    async def _vectors(self, texts: Sequence[str]) -> list[list[float]]:
        rows = await self._rows(texts)
        if not isinstance(rows, list):
            raise InvalidReply(f"{self._provider} answered something that is no list of vectors")
        return read_vectors(rows, len(texts), self._provider)


class ChatEmbedder(BatchEmbedder):
    """One embedding model of a server that speaks OpenAI's wire."""

    def __init__(self, sdk: Sdk, model: str, *, provider: str, known: int | None = None) -> None:
        super().__init__(provider, known=known)
        self._sdk, self._model = sdk, model

    async def _rows(self, texts: Sequence[str]) -> object:
        body = {"model": self._model, "input": list(texts), "encoding_format": "float"}
        answer = await self._sdk.post("/embeddings", body)
        rows = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            return None
        ordered = sorted(rows, key=lambda row: row["index"] if isinstance(row.get("index"), int) else 0)
        return [row.get("embedding") for row in ordered]


def batches(texts: Sequence[str], *, most: int = _BATCH_TEXTS, most_bytes: int = _BATCH_BYTES) -> Iterator[list[str]]:
    """The texts in order, in batches of at most `most` texts and, but for a single longer text, `most_bytes` bytes."""
    batch: list[str] = []
    size = 0
    for text in texts:
        cost = len(text.encode())
        if batch and (len(batch) >= most or size + cost > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(text)
        size += cost
    if batch:
        yield batch


def read_vectors(rows: Sequence[object], wanted: int, provider: str) -> list[list[float]]:
    """The rows as unit-length vectors, all of one length.

    Raises:
        InvalidReply: another number of rows, or rows that are no vectors or of different lengths.
    """
    vectors = [_unit(row, provider) for row in rows]
    if len(vectors) != wanted or len({len(vector) for vector in vectors}) > 1:
        raise InvalidReply(f"{provider} answered another number of vectors, or of dimensions, than was asked for")
    return vectors


def require_dimensions(vectors: Sequence[Sequence[float]], known: int | None, provider: str) -> int:
    """The length of the vectors. Raises InvalidReply when the model's vectors had another length before."""
    found = len(vectors[0])
    if known not in (None, found) or any(len(vector) != found for vector in vectors):
        raise InvalidReply(f"{provider} answered vectors of {found} dimensions, before of {known}")
    return found


def _unit(row: object, provider: str) -> list[float]:
    if not isinstance(row, list) or not row or not all(isinstance(value, (int, float)) for value in row):
        raise InvalidReply(f"{provider} answered something that is no vector")
    length = math.sqrt(math.fsum(value * value for value in row))
    if not math.isfinite(length) or length == 0:
        raise InvalidReply(f"{provider} answered a vector without a direction")
    return [value / length for value in row]
