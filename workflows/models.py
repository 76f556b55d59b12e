"""Questions of the api to the providers: one activity each."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import policy
    from activities.models import CatalogueActivities
    from o.contracts.models import ModelCard, ModelCards


@workflow.defn(name="ListModels")
class ListModelsWorkflow:
    """Which models there are now."""

    @workflow.run
    async def run(self) -> ModelCards:
        return await workflow.execute_activity_method(CatalogueActivities.list_models, **policy.question())


@workflow.defn(name="DescribeModel")
class DescribeModelWorkflow:
    """What one model can do; fails with `not_found` when there is no such model."""

    @workflow.run
    async def run(self, handle: str) -> ModelCard:
        return await workflow.execute_activity_method(CatalogueActivities.describe, handle, **policy.question())
