"""`o doctor`."""

from dataclasses import asdict

import typer

from o.cli.checks import run_all
from o.cli.local import DataDir, Local
from o.cli.output import Json, emit, say


def doctor(data_dir: DataDir = None, json: Json = False) -> None:
    """Check every part, name the fix for what is wrong; exit code 1 if anything is."""
    findings = run_all(Local.load(data_dir=data_dir))
    if json:
        emit([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            say(f"{'ok   ' if finding.ok else 'WRONG'} {finding.part}: {finding.found}", "" if finding.ok else "red")
            if finding.fix:
                say(f"      {finding.fix}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)
