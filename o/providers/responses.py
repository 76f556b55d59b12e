"""OpenAI's Responses API as a provider's way to ask for a reply: reasoning models call tools while they think."""

import time
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime

from o.domain.model import ModelEvent, ModelRequest
from o.errors import ModelBadRequest
from o.providers.base import Profile
from o.providers.dialects import Dialect
from o.providers.failures import Refusals, failure
from o.providers.responses_events import ResponseReader, told_error
from o.providers.responses_request import VERIFIED_ONLY, Body, build
from o.providers.sdk import Sdk

_REFUSED_TTL = 3_600.0  # seconds that an organisation is believed not to be verified


class Responses:
    """One server's Responses API.

    Args:
        sdk: the client.
        name: the provider's name, for messages.
        refusals: how the server says no.
        signer: whose thoughts the server can read.
        serves: whether a model is asked over this wire.
    """

    def __init__(self, sdk: Sdk, *, name: str, refusals: Refusals, signer: str, serves: Callable[[str], bool]) -> None:
        self._sdk, self._name, self._refusals, self._signer = sdk, name, refusals, signer
        self.serves = serves
        self._refused_at: dict[tuple[str, str], float] = {}  # when a model refused one of `VERIFIED_ONLY`

    async def events(
        self, request: ModelRequest, profile: Profile, dialect: Dialect
    ) -> AsyncGenerator[ModelEvent, None]:
        """The events of the reply, before any look into its texts.

        What is refused and not needed is left out, and the request sent once more, at once.

        Raises:
            ModelError: as `Provider.stream`.
        """
        thoughts = True
        while True:
            without = self._refused(request.model)
            signer = self._signer if thoughts else None
            body = build(request, profile, dialect, signer=signer, without=without)
            events = self._read(request.model, body)
            try:
                try:
                    first = await anext(events)
                except ModelBadRequest as error:
                    if named := [
                        name for name in VERIFIED_ONLY if name not in without and f"param {name}" in str(error)
                    ]:
                        self._refused_at[request.model, named[0]] = time.monotonic()
                    elif body.thoughts:
                        # A sealed thought may be good no more ("invalid_encrypted_content"), and nobody can tell
                        # before: that must not end the conversation.
                        thoughts = False
                    else:
                        raise
                    continue
                yield first
                async for event in events:
                    yield event
                return
            finally:
                await events.aclose()

    async def _read(self, model: str, body: Body) -> AsyncGenerator[ModelEvent, None]:
        """The events of the reply to one body."""
        reader = ResponseReader(model, signer=self._signer)
        answer = self._sdk.stream("/responses", body.fields)
        try:
            async for event in answer:
                if (error := told_error(event)) is not None:
                    raise failure(0, error, {}, refusals=self._refusals, provider=self._name, now=datetime.now(UTC))
                for read in reader.read(event):
                    yield read
            yield reader.finish()
        finally:
            await answer.aclose()

    def _refused(self, model: str) -> frozenset[str]:
        since = time.monotonic() - _REFUSED_TTL
        return frozenset(name for name in VERIFIED_ONLY if self._refused_at.get((model, name), since) > since)
