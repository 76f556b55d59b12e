"""The API's only way to the engine: start steps, cancel them, ask the providers something."""

import asyncio
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar

from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError

from o.contracts.mcp import McpSignedIn, McpSignInInput, McpSynced, McpSyncInput
from o.contracts.models import (
    CheckInput,
    EmbeddingCard,
    ModelCard,
    ModelCards,
    ModelInput,
    ModelsInput,
    ProviderCheck,
)
from o.contracts.tool_runs import ToolRunInput
from o.contracts.turn import Contract, StepRef, Timing
from o.errors import (
    InvalidArgument,
    InvalidReply,
    ModelAuthentication,
    ModelBadRequest,
    ModelOverloaded,
    ModelQuota,
    ModelRateLimited,
    ModelRefused,
    ModelTimeout,
    ModelUnavailable,
    ModelUnknown,
    NotFound,
    ProjectError,
    Unavailable,
)
from o.keyring import KeyUnusable
from o.temporal import Queue, StepStarter, connect

Answer = TypeVar("Answer")

# A question waits this long for a worker before it is given up.
_PATIENCE = timedelta(seconds=15)

# One to an MCP server waits for its answer too: for its greeting and its listing.
_MCP_PATIENCE = timedelta(seconds=45)

# How long the workflow of a tool run by hand may take besides the run itself.
_MARGIN = timedelta(seconds=60)

# What workers answer with instead; whoever asks for a model that is not there meets the same 404 from any provider.
_ERRORS: dict[str, type[ProjectError]] = {
    **{
        kind.code: kind
        for kind in (
            *(InvalidArgument, InvalidReply, ModelAuthentication, ModelBadRequest, ModelOverloaded, ModelQuota),
            *(ModelRateLimited, ModelRefused, ModelTimeout, ModelUnavailable, NotFound),
        )
    },
    ModelUnknown.code: NotFound,
    KeyUnusable.code: Unavailable,
}


class Gateway:
    """Starts and cancels the workflows of steps whose rows are committed, and asks workers what they know."""

    def __init__(self, client: Client, timing: Timing) -> None:
        self._client = client
        self._starter = StepStarter(client, timing)
        self.timing = timing

    @classmethod
    async def connect(cls, address: str, namespace: str, timing: Timing) -> "Gateway":
        """Raises Unavailable when nothing answers at the address."""
        return cls(await connect(address, namespace), timing)

    async def start(self, at: StepRef) -> None:
        """Start a step; starting it again is harmless. Raises Unavailable (the reconciler starts it then)."""
        await self._starter.start(at)

    async def cancel(self, at: StepRef) -> None:
        """Ask a step's workflow to stop. One that is not there is fine: the run's row says that it is cancelled.

        Raises:
            Unavailable: the engine does not answer; the running effect heard of it from the database anyway.
        """
        await self._starter.cancel(at)

    async def model_cards(self, org_id: str, *, fresh: bool = False) -> ModelCards:
        """All models that answer now. Raises Unavailable when no worker does."""
        return await self._ask("ListModels", ModelsInput(org_id=org_id, fresh=fresh), ModelCards)

    async def model_card(self, org_id: str, handle: str) -> ModelCard:
        """One model. Raises NotFound, InvalidArgument (no `provider/model`), ModelError, Unavailable (no worker)."""
        return await self._ask("DescribeModel", ModelInput(org_id=org_id, handle=handle), ModelCard)

    async def embedding_card(self, org_id: str, handle: str) -> EmbeddingCard:
        """One embedding model, asked for a vector if need be. Raises as `model_card` does."""
        return await self._ask("DescribeEmbedding", ModelInput(org_id=org_id, handle=handle), EmbeddingCard)

    async def check_provider(self, org_id: str, provider_id: str) -> ProviderCheck:
        """How a stored provider answers. Its key stays in its row. Raises NotFound, Unavailable (no worker)."""
        return await self._ask("CheckProvider", CheckInput(org_id=org_id, provider_id=provider_id), ProviderCheck)

    async def run_tool(self, asked: ToolRunInput) -> None:
        """Have a worker run the tool of a committed request, and wait until that has ended, however it did.

        Cancelling the task cancels the workflow, and with it the tool.

        Raises:
            Unavailable: the engine does not answer; a worker may have the request all the same.
        """
        try:
            handle = await self._client.start_workflow(
                "RunTool",
                asked,
                id=asked.tool_run_id,
                task_queue=Queue.AGENT,
                execution_timeout=timedelta(seconds=asked.lasts) + _MARGIN,
            )
            try:
                await handle.result()
            except asyncio.CancelledError:
                with suppress(RPCError):
                    await handle.cancel()
                raise
        except WorkflowFailureError:
            return
        except RPCError as error:
            raise Unavailable("the workflow engine does not answer") from error

    async def sync_mcp_server(self, org_id: str, server_id: str, *, accept: bool) -> McpSynced:
        """Have a worker list a server's tools. Raises NotFound, Unavailable (no worker)."""
        question = McpSyncInput(org_id=org_id, server_id=server_id, accept=accept)
        return await self._ask("SyncMcpServer", question, McpSynced, patience=_MCP_PATIENCE)

    async def begin_mcp_sign_in(self, org_id: str, sign_in_id: str) -> McpSignedIn:
        """Have a worker find out where a person has to go. Raises Unavailable (no worker)."""
        question = McpSignInInput(org_id=org_id, sign_in_id=sign_in_id)
        return await self._ask("BeginMcpSignIn", question, McpSignedIn, patience=_MCP_PATIENCE)

    async def finish_mcp_sign_in(self, org_id: str, sign_in_id: str) -> McpSignedIn:
        """Have a worker turn the code that came back into tokens. Raises Unavailable (no worker)."""
        question = McpSignInInput(org_id=org_id, sign_in_id=sign_in_id)
        return await self._ask("FinishMcpSignIn", question, McpSignedIn, patience=_MCP_PATIENCE)

    async def _ask(
        self, workflow: str, question: Contract, kind: type[Answer], *, patience: timedelta = _PATIENCE
    ) -> Answer:
        try:
            answer: Answer = await self._client.execute_workflow(
                workflow,
                question,
                id=f"{workflow}-{uuid.uuid4()}",
                task_queue=Queue.AGENT,
                execution_timeout=patience,
                result_type=kind,
            )
            return answer
        except WorkflowFailureError as error:
            cause = error.cause.cause if isinstance(error.cause, ActivityError) else error.cause
            if isinstance(cause, ApplicationError) and cause.type in _ERRORS:
                raise _ERRORS[cause.type](cause.message) from error
            raise Unavailable("no worker answered; is one running (`o worker`)?") from error
        except RPCError as error:
            raise Unavailable("the workflow engine does not answer") from error
