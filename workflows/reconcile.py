"""The look for runs that nobody drives, on a schedule."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import policy
    from activities.runs import RunActivities


@workflow.defn(name="Reconcile")
class ReconcileWorkflow:
    """Holds the rows against the engine: every run ends, whatever crashed."""

    @workflow.run
    async def run(self) -> int:
        return await workflow.execute_activity_method(RunActivities.reconcile, **policy.rows())
