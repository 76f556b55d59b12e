"""Questions of the api to the providers: one activity each."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import policy
    from activities.models import CatalogueActivities
    from o.contracts.models import (
        CheckInput,
        EmbeddingCard,
        ModelCard,
        ModelCards,
        ModelInput,
        ModelsInput,
        ProviderCheck,
    )


@workflow.defn(name="ListModels")
class ListModelsWorkflow:
    """Which models there are now."""

    @workflow.run
    async def run(self, asked: ModelsInput = ModelsInput()) -> ModelCards:
        return await workflow.execute_activity_method(CatalogueActivities.list_models, asked, **policy.question())


@workflow.defn(name="DescribeModel")
class DescribeModelWorkflow:
    """What one model can do; fails with `not_found` when there is no such model."""

    @workflow.run
    async def run(self, asked: ModelInput | str) -> ModelCard:
        # A bare handle is how it was asked while there was one organisation.
        question = ModelInput(handle=asked) if isinstance(asked, str) else asked
        return await workflow.execute_activity_method(CatalogueActivities.describe, question, **policy.question())


@workflow.defn(name="DescribeEmbedding")
class DescribeEmbeddingWorkflow:
    """How long the vectors of one embedding model are; fails with `not_found` when there is no such model."""

    @workflow.run
    async def run(self, asked: ModelInput) -> EmbeddingCard:
        return await workflow.execute_activity_method(
            CatalogueActivities.describe_embedding, asked, **policy.question()
        )


@workflow.defn(name="CheckProvider")
class CheckProviderWorkflow:
    """Whether a stored provider answers with its key; fails with `not_found` when there is no such provider."""

    @workflow.run
    async def run(self, asked: CheckInput) -> ProviderCheck:
        return await workflow.execute_activity_method(CatalogueActivities.check, asked, **policy.question())
