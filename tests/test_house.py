"""What the house promises about itself, besides the import contracts."""

import re
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("o", "activities", "workflows", "workers", "api", "migrations")
VENDORS = ("openai", "anthropic", "groq", "ollama", "xllamacpp", "torch", "transformers")


@pytest.mark.parametrize("name", PACKAGES)
def test_no_other_distribution_claims_our_names(name: str) -> None:
    assert set(packages_distributions().get(name, ["o"])) == {"o"}


@pytest.mark.parametrize("module", ["api.app", "workers.serve", "workflows.registry"])
def test_importing_loads_no_vendors_library_and_no_orm(module: str) -> None:
    code = f"import sys, {module}; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    heavy = {name for name in loaded.split() if name in (*VENDORS, "sqlalchemy", "sqlmodel", "alembic", "numpy")}
    assert heavy == set()


def test_tests_have_no_packages_that_would_shadow_ours() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_packages_are_empty_at_the_front_door() -> None:
    for package in PACKAGES:
        for front in (ROOT / package).rglob("__init__.py"):
            assert front.read_text() == "", front


def test_the_lock_names_every_dependency_with_its_hash_and_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    assert "://" not in lock
    pinned = re.findall(r"^([a-z0-9-]+(?:\[[a-z,]+\])?)==", lock, re.MULTILINE)
    assert len(pinned) > 50
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert {"torch", "sentence-transformers", "llama-cpp-python"}.isdisjoint(pinned)
