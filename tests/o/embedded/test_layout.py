import os
import stat
import tempfile
from pathlib import Path

import pytest

from o.embedded.layout import DataDirUnusable, Layout


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("shared", "mode"), [(False, 0o700), (True, 0o711)])
def test_modes_are_put_right_and_nothing_above_is_touched(tmp_path: Path, shared: bool, mode: int) -> None:
    tmp_path.chmod(0o750)
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o777)
    data_dir.chmod(0o777)
    layout = Layout(data_dir, shared=shared)
    layout.make()
    layout.make()
    assert (_mode(data_dir), _mode(layout.run), _mode(layout.logs)) == (mode, mode, 0o700)
    assert _mode(tmp_path) == 0o750


def test_a_long_path_gets_its_sockets_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")
    short, long = Layout(Path("/srv/o"), shared=False), Layout(Path("/srv") / ("x" * 90), shared=False)
    assert short.postgres_socket_dir == Path("/srv/o/run/postgres")
    assert long.run.parent == Path("/run/user/1")
    assert long.run != Layout(Path("/srv") / ("y" * 90), shared=False).run
    assert short.model_socket(Path("/srv/o/run/m.sock")) == Path("/srv/o/run/m.sock")
    assert long.model_socket(long.data_dir / "run" / "local-model.sock") == long.run / "local-model.sock"
    assert long.database_url == f"postgresql:///o?host={long.run}/postgres&user=postgres"


def test_a_link_in_place_of_a_folder_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o755)
    before = _mode(elsewhere)
    # A short path: with a long one the sockets' folder lies elsewhere, and the link is in nobody's way.
    with tempfile.TemporaryDirectory(prefix="o-") as short:
        (Path(short) / "run").symlink_to(elsewhere)
        with pytest.raises(DataDirUnusable):
            Layout(Path(short), shared=False).make()
    assert _mode(elsewhere) == before


def test_a_place_that_cannot_be_used_is_named_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataDirUnusable, match="--data-dir or O_DATA_DIR"):
        Layout(tmp_path / "file" / "data", shared=False).make()


def test_only_root_shares() -> None:
    assert Layout.of(Path("/srv/o")).shared is (os.geteuid() == 0)
