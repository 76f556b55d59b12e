"""Working folders of an executor."""

import tempfile
from pathlib import Path

import pytest

from o.sandbox.scratch import scratch


def test_a_folder_lives_as_long_as_its_executor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left = tmp_path / "o-sandbox-left"
    left.mkdir()
    (left / "file").write_text("x")
    (tmp_path / "o-sandbox-link").symlink_to(tmp_path)
    with scratch() as mine:
        assert not left.exists()
        with scratch() as other:
            assert mine.is_dir()
            assert other.is_dir()
    assert [path.name for path in tmp_path.iterdir()] == ["o-sandbox-link"]
