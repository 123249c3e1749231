"""`hitl doctor`: what is wrong with this installation, and what to do."""

import click
import orjson
from pydantic import ValidationError

from hitl.core.settings import Settings
from hitl.doctor.examination import examine
from hitl.doctor.findings import Finding, trouble
from hitl.doctor.machine import Surroundings


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--thorough", is_flag=True, help="Read every page of a SQLite database, too.")
@click.pass_context
def doctor(context: click.Context, as_json: bool, thorough: bool) -> None:
    """Look at settings, database, storage and what is stored; say what is wrong and what to do.

    Exit code 1 when something has to be mended.
    """
    try:
        findings = examine(Surroundings(Settings()), is_thorough=thorough)
    except ValidationError as error:
        findings = [_wrong_setting(problem) for problem in error.errors(include_input=False)]
    is_well = not any(finding.state == "trouble" for finding in findings)
    if as_json:
        told = {"is_well": is_well, "findings": [finding.as_json() for finding in findings]}
        click.echo(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode())
    else:
        for finding in findings:
            click.echo(finding.as_text())
    context.exit(0 if is_well else 1)


def _wrong_setting(problem: object) -> Finding:
    told: dict[str, object] = dict(problem)  # type: ignore[call-overload]
    name = "_".join(str(part) for part in told["loc"])  # type: ignore[attr-defined]
    return trouble("settings", f"HITL_{name.upper()}: {told['msg']}", "docs/operations.md lists every setting.")
