"""A `Step` whose first command is another than that of the product: histories of the one do not fit the other."""

import asyncio

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from o.contracts.turn import StepInput, StepOutcome
    from workflows.step import StepWorkflow


@workflow.defn(name="Step")
class ChangedStep(StepWorkflow):
    """The step, after a moment's timer."""

    @workflow.run
    async def run(self, what: StepInput) -> StepOutcome:
        await asyncio.sleep(0.01)  # a durable timer, here
        return await super().run(what)
