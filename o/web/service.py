"""The HTTP of search services: one request, its answer as JSON, its failures in our words."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2

from o.domain.json import JsonObject
from o.errors import InvalidArgument, ProjectError, Unavailable
from o.guard.policy import Guard, parse_allowed
from o.guard.transport import denied_in, transport2

_PATIENCE = 30.0  # seconds


@dataclass(frozen=True)
class Service:
    """One service at its address.

    Attributes:
        name: as people know it.
        url: without a slash at the end. Its host was named by who runs O, so it may be anywhere.
        variable: the setting that has to be right, for the words of failures.
        headers: the key is among them.
    """

    name: str
    url: str
    variable: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def answer(
        self, path: str, *, params: Mapping[str, str | int] | None = None, body: JsonObject | None = None
    ) -> object:
        """Ask: GET with `params`, or POST with a `body`. Gives the JSON that comes back, whatever it is.

        Raises:
            InvalidArgument: it refuses the key or the request. Unavailable: it is slow, broken or busy.
        """
        try:
            guard = Guard(parse_allowed(httpx2.URL(self.url).host))
            async with httpx2.AsyncClient(
                transport=transport2(guard), trust_env=False, timeout=_PATIENCE, headers=dict(self.headers)
            ) as client:
                method = "GET" if body is None else "POST"
                response = await client.request(method, f"{self.url}{path}", params=params, json=body)
        # `from None`: the libraries' words may repeat what the service wrote.
        except httpx2.TimeoutException:
            raise Unavailable(f"{self.name} did not answer within {_PATIENCE:g} s; try again later") from None
        except httpx2.RequestError as error:
            raise Unavailable(f"{self.name} cannot be reached: {denied_in(error) or type(error).__name__}") from None
        if not response.is_success:
            raise self._refusal(response.status_code)
        try:
            answered: object = response.json()
        except (ValueError, RecursionError):
            raise Unavailable(f"{self.name} answered with something that is no JSON") from None
        return answered

    def _refusal(self, status: int) -> ProjectError:
        if status in (401, 403):
            return InvalidArgument(
                f"{self.name} refuses us (status {status}): whoever runs O must see to {self.variable}"
            )
        if status in (402, 429, 432, 433):  # Tavily has two of its own for what is used up
            return Unavailable(f"{self.name} takes no more requests now (status {status}): its limit is reached")
        if status < 500:
            return InvalidArgument(f"{self.name} does not take the request (status {status}): ask in another way")
        return Unavailable(f"{self.name} is out of order (status {status}); try again later")
