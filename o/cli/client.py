"""The API as the client commands see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import httpx

from o.errors import NotFound, ProjectError, Unavailable
from o.settings import Settings

# Asks the API to tell when a model request is tried again, so that a half-printed answer can be marked as dropped.
_MARKER = {"X-O-Reset-Marker": "1"}


class Refused(ProjectError):
    """The API answered with an error."""

    code = "refused"


class Api:
    """A connection to the API at `O_BASE_URL`, with the key of `O_API_KEY`."""

    def __init__(self, settings: Settings, *, timeout: float = 30.0) -> None:
        self._url = settings.base_url
        key = settings.api_key
        headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
        self._http = httpx.Client(base_url=self._url, headers=headers, timeout=timeout, follow_redirects=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def get(self, path: str, **params: str | int | list[str] | None) -> Any:
        """GET as JSON; parameters that are None are left out. Raises as `request`."""
        return self.request("GET", path, params={name: value for name, value in params.items() if value is not None})

    def post(self, path: str, body: dict[str, Any], *, timeout: float | None = 30.0) -> Any:
        """POST a JSON body. Raises as `request`."""
        return self.request("POST", path, json=body, timeout=timeout)

    def delete(self, path: str) -> Any:
        """DELETE. Raises as `request`."""
        return self.request("DELETE", path)

    def request(self, method: str, path: str, **options: Any) -> Any:
        """One request, its JSON answer.

        Raises:
            Unavailable: nobody answers at the address.
            NotFound: the API knows no such thing.
            Refused: any other refusal, in the API's own words.
        """
        with self._reaching():
            response = self._http.request(method, path, **options)
        if response.is_error:
            raise _refusal(response)
        return response.json() if response.content else None

    @contextmanager
    def stream(self, path: str, body: dict[str, Any] | None) -> Iterator[Iterator[str]]:
        """POST (or GET, without a body) and read the answer line by line, as long as it takes. Raises as `request`."""
        method, timeout = "GET" if body is None else "POST", httpx.Timeout(30.0, read=None)
        with (
            self._reaching(),
            self._http.stream(method, path, json=body, headers=_MARKER, timeout=timeout) as response,
        ):
            if response.is_error:
                response.read()
                raise _refusal(response)
            yield response.iter_lines()

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise Unavailable(f"the API at {self._url} did not answer in time") from error
        except httpx.TransportError as error:
            raise Unavailable(
                f"the API at {self._url} does not answer: start it with `o up`, or name another with O_BASE_URL"
            ) from error


def _refusal(response: httpx.Response) -> ProjectError:
    if response.status_code == httpx.codes.UNAUTHORIZED:
        return Refused("the API wants a key: put one that `o keys create` made into O_API_KEY")
    text = _detail(response)
    if response.status_code == httpx.codes.NOT_FOUND:
        return NotFound(text)
    return Refused(f"{text} (status {response.status_code})")


def _detail(response: httpx.Response) -> str:
    try:
        body = response.json()
    except ValueError:
        return response.reason_phrase
    found = body.get("detail") or body.get("error") if isinstance(body, dict) else None
    if isinstance(found, dict):
        found = found.get("message") or found.get("detail")
    return str(found or response.reason_phrase)
