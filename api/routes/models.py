"""Models that can be asked."""

from typing import Annotated

from fastapi import APIRouter, Query

from api.deps import Asking
from api.errors import documented
from api.responses import Json
from api.routes.params import Words
from api.schemas.models import EmbeddingModel, Model, print_embedding_model, print_model
from o.contracts.models import Category

router = APIRouter(tags=["models"])

Categories = Annotated[list[Category] | None, Query(max_length=10)]


@router.get("/v1/models/", operation_id="list_models", response_model=list[Model], responses=documented())
async def list_models(
    caller: Asking, provider_name: Words = None, provider_type: Words = None, provider_category: Categories = None
) -> Json:
    """The language models whose providers answer now, and the aliases that lead to one of them."""
    printed = [print_model(card) for card in (await caller.catalogue.all()).models]
    return Json(
        [
            model
            for model in printed
            if provider_name in (None, model["provider_name"])
            and provider_type in (None, model["provider_type"])
            and (not provider_category or model["provider_category"] in provider_category)
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
    return Json([print_embedding_model(card) for card in (await caller.catalogue.all()).embeddings])
