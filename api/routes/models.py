"""Models that can be asked."""

from fastapi import APIRouter

from api.deps import Asking
from api.errors import documented
from api.responses import Json
from api.routes.params import Words
from api.schemas.models import EmbeddingModel, Model, print_embedding_model, print_model

router = APIRouter(tags=["models"])


@router.get("/v1/models/", operation_id="list_models", response_model=list[Model], responses=documented())
async def list_models(
    caller: Asking, provider_name: Words = None, provider_type: Words = None, provider_category: Words = None
) -> Json:
    """The language models whose providers answer now."""
    printed = [print_model(card) for card in (await caller.parts.catalogue.all()).models]
    return Json(
        [
            model
            for model in printed
            if provider_name in (None, model["provider_name"])
            and provider_type in (None, model["provider_type"])
            and provider_category in (None, model["provider_category"])
        ]
    )


@router.get(
    "/v1/models/embedding",
    operation_id="list_embedding_models",
    response_model=list[EmbeddingModel],
    responses=documented(),
)
async def list_embedding_models(caller: Asking) -> Json:
    """The embedding models whose providers answer now."""
    return Json([print_embedding_model(card) for card in (await caller.parts.catalogue.all()).embeddings])
