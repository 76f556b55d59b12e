"""`o openapi`."""

from o.cli.client import Api
from o.cli.output import Json, emit
from o.settings import Settings


def openapi(json: Json = True) -> None:
    """Print the OpenAPI document of the running API; it is JSON in any case."""
    with Api(Settings.load()) as api:
        emit(api.get("/openapi.json"))
