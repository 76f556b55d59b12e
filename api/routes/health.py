"""Whether the API answers."""

from importlib.metadata import version

from fastapi import APIRouter

from api.responses import Json
from api.schemas.common import Shape

router = APIRouter(tags=["health"])

_VERSION = version("o")


class Health(Shape):
    """The API answers; `version` is O's own."""

    version: str
    status: str


@router.get("/v1/health/", operation_id="health_check", response_model=Health)
async def health_check() -> Json:
    """Tell that the API answers. Needs no key."""
    return Json({"version": _VERSION, "status": "ok"})
