"""Runs, steps and conversations on the wire."""

from typing import Any, Literal

from pydantic import Field

from api.responses import timestamp
from api.schemas.common import Shape
from api.schemas.models import print_settings
from o.domain.json import JsonObject
from o.domain.request import TurnOptions
from o.domain.stop import RunStatus, StopReason
from o.domain.wire import usage_statistics
from o.store.records import ConversationRecord, RunRecord, StepRecord


class Run(Shape):
    """One accepted request."""

    id: str
    agent_id: str
    status: RunStatus
    stop_reason: StopReason | None = None
    background: bool | None = None
    conversation_id: str | None = None
    created_at: str | None = None
    completed_at: str | None = None


class Step(Shape):
    """One model request of a run and the tools it led to."""

    id: str
    run_id: str | None = None
    agent_id: str | None = None
    model: str | None = None
    status: Literal["pending", "success", "failed", "cancelled"] | None = None
    stop_reason: StopReason | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    total_tokens: int | None = None


class Conversation(Shape):
    """A message thread of its own with an agent."""

    id: str
    agent_id: str
    summary: str | None = None
    in_context_message_ids: list[str] = Field(default_factory=list)


def print_run(run: RunRecord) -> JsonObject:
    """A run as the wire has it."""
    options = TurnOptions.model_validate(run.request)
    metadata: dict[str, Any] = {**run.metadata_, "run_type": run.run_type}
    if run.error is not None:
        metadata["error"] = run.error
    return {
        "id": run.id,
        "agent_id": run.agent_id,
        "status": run.status,
        "stop_reason": run.stop_reason,
        "background": run.background,
        # A thread that is the agent's own has no id on the wire's agent routes; ours has one and shows it.
        "conversation_id": run.conversation_id,
        "created_at": timestamp(run.created_at),
        "completed_at": timestamp(run.completed_at),
        "metadata": metadata,
        "request_config": {
            "use_assistant_message": options.use_assistant_message,
            "assistant_message_tool_name": "send_message",
            "assistant_message_tool_kwarg": "message",
            "include_return_message_types": options.include_return_message_types,
        },
        "callback_url": run.callback_url,
        "callback_sent_at": None,
        "callback_status_code": None,
        "callback_error": None,
        "ttft_ns": run.ttft_ns,
        "total_duration_ns": run.total_duration_ns,
        "base_template_id": None,
    }


def print_step(step: StepRecord) -> JsonObject:
    """A step as the wire has it."""
    provider, _, model = (step.model or "").partition("/")
    error = step.error or {}
    return {
        "id": step.id,
        "origin": None,
        "provider_id": None,
        "run_id": step.run_id,
        "agent_id": step.agent_id,
        "provider_name": provider or None,
        "provider_category": "base" if provider else None,
        "model": model or None,
        "model_handle": step.model,
        "model_endpoint": None,
        "context_window_limit": step.context_window,
        "prompt_tokens": step.prompt_tokens,
        "completion_tokens": step.completion_tokens,
        "total_tokens": step.prompt_tokens + step.completion_tokens,
        "cached_input_tokens": step.cached_input_tokens,
        "cache_write_tokens": step.cache_write_tokens,
        "reasoning_tokens": step.reasoning_tokens,
        "completion_tokens_details": None,
        "prompt_tokens_details": None,
        "stop_reason": step.stop_reason,
        "tags": [],
        "tid": None,
        "trace_id": None,
        "request_id": None,
        "messages": [],
        "feedback": step.feedback,
        "project_id": None,
        "error_type": error.get("error_type"),
        "error_data": {"message": error["message"]} if error.get("message") else None,
        "status": step.status,
    }


def print_usage(steps: list[StepRecord]) -> JsonObject:
    """Token counts of a run."""
    return usage_statistics(
        steps=len(steps),
        prompt=sum(step.prompt_tokens for step in steps),
        completion=sum(step.completion_tokens for step in steps),
        cached=sum(step.cached_input_tokens for step in steps),
        cache_write=sum(step.cache_write_tokens for step in steps),
        reasoning=sum(step.reasoning_tokens for step in steps),
        context=steps[-1].prompt_tokens + steps[-1].completion_tokens if steps else None,
    )


def print_conversation(conversation: ConversationRecord, context_ids: list[str]) -> JsonObject:
    """A conversation as the wire has it; its model is null where it has none but its agent's."""
    own = conversation.llm_config or {}
    settings = {"provider_type": "openai", **own["settings"]} if own.get("settings") else None
    return {
        "id": conversation.id,
        "agent_id": conversation.agent_id,
        "summary": conversation.summary,
        "description": None,
        "archived": False,
        "archived_at": None,
        "in_context_message_ids": context_ids,
        "isolated_block_ids": [],
        "model": conversation.model,
        "model_settings": print_settings(own, own.get("response_format")) if "handle" in own else settings,
        "context_window_limit": own.get("context_window"),
        "last_message_at": timestamp(conversation.last_message_at),
        "created_at": timestamp(conversation.created_at),
        "updated_at": timestamp(conversation.updated_at),
        "created_by_id": None,
        "last_updated_by_id": None,
    }
