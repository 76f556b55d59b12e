"""What the api asks of MCP servers: one activity each, with ids only."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import policy
    from activities.mcp import McpActivities
    from o.contracts.mcp import McpSignedIn, McpSignInInput, McpSynced, McpSyncInput


@workflow.defn(name="SyncMcpServer")
class SyncMcpServerWorkflow:
    """Lists a server's tools; fails with `not_found` when there is no such server."""

    @workflow.run
    async def run(self, asked: McpSyncInput) -> McpSynced:
        return await workflow.execute_activity_method(McpActivities.sync, asked, **policy.mcp())


@workflow.defn(name="BeginMcpSignIn")
class BeginMcpSignInWorkflow:
    """Finds out where a person has to go to sign in."""

    @workflow.run
    async def run(self, asked: McpSignInInput) -> McpSignedIn:
        return await workflow.execute_activity_method(McpActivities.begin_sign_in, asked, **policy.mcp())


@workflow.defn(name="FinishMcpSignIn")
class FinishMcpSignInWorkflow:
    """Turns the code of a sign-in into tokens."""

    @workflow.run
    async def run(self, asked: McpSignInInput) -> McpSignedIn:
        return await workflow.execute_activity_method(McpActivities.finish_sign_in, asked, **policy.mcp())
