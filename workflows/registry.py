"""All workflows."""

from workflows.mcp import BeginMcpSignInWorkflow, FinishMcpSignInWorkflow, SyncMcpServerWorkflow
from workflows.models import (
    CheckProviderWorkflow,
    DescribeEmbeddingWorkflow,
    DescribeModelWorkflow,
    ListModelsWorkflow,
)
from workflows.reconcile import ReconcileWorkflow
from workflows.step import StepWorkflow
from workflows.tool_runs import RunToolWorkflow

ALL_WORKFLOWS: list[type] = [
    StepWorkflow,
    ReconcileWorkflow,
    ListModelsWorkflow,
    DescribeModelWorkflow,
    DescribeEmbeddingWorkflow,
    CheckProviderWorkflow,
    RunToolWorkflow,
    SyncMcpServerWorkflow,
    BeginMcpSignInWorkflow,
    FinishMcpSignInWorkflow,
]
