"""All workflows."""

from workflows.models import (
    CheckProviderWorkflow,
    DescribeEmbeddingWorkflow,
    DescribeModelWorkflow,
    ListModelsWorkflow,
)
from workflows.reconcile import ReconcileWorkflow
from workflows.step import StepWorkflow

ALL_WORKFLOWS: list[type] = [
    StepWorkflow,
    ReconcileWorkflow,
    ListModelsWorkflow,
    DescribeModelWorkflow,
    DescribeEmbeddingWorkflow,
    CheckProviderWorkflow,
]
