"""What every fault of an emulator must come to."""

import pytest

from o.errors import ModelError
from o.providers.base import Provider
from tests.emulators.requests import gather, request


async def refused_as(provider: Provider, model: str, kind: type[ModelError], wait: float | None, *, key: str) -> None:
    """The fault that a model's name stands for is this error of ours, which tells neither key nor content."""
    with pytest.raises(kind) as caught:
        await gather(provider.stream(request(model, "secret words")))
    assert type(caught.value) is kind
    assert caught.value.retry_after == wait
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert key not in shown
    assert "secret words" not in shown
