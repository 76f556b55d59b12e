"""The look for runs that nobody drives, on a schedule."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import policy
    from activities.runs import RunActivities
    from o.contracts.turn import ReconcileInput


@workflow.defn(name="Reconcile")
class ReconcileWorkflow:
    """Holds the rows against the engine: every run ends, whatever crashed.

    One execution takes many looks, so that it does not crowd out the steps in the Temporal UI.
    """

    @workflow.run
    async def run(self, what: ReconcileInput) -> int:
        acted = 0
        end = workflow.now() + timedelta(seconds=what.lasts)
        while True:
            acted += await workflow.execute_activity_method(RunActivities.reconcile, **policy.sweep())
            if workflow.now() + timedelta(seconds=what.every) >= end:
                return acted
            await workflow.sleep(what.every)
