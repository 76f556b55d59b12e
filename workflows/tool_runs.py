"""A tool run by hand: one activity."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import policy
    from activities.tool_runs import ToolRunActivities
    from o.contracts.tool_runs import ToolRunInput


@workflow.defn(name="RunTool")
class RunToolWorkflow:
    """Runs the tool whose request a row holds; what came back is in the row."""

    @workflow.run
    async def run(self, asked: ToolRunInput) -> None:
        await workflow.execute_activity_method(ToolRunActivities.run, asked, **policy.tool_run(asked))
