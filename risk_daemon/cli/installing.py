"""`install-service` and `example-config`: what a machine needs, and a configuration to start from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from risk_daemon.cli.common import app
from risk_daemon.errors import ExitCode

if TYPE_CHECKING:
    from risk_daemon.install.units import Installation, Names, WrittenFile


@app.command("install-service")
def install_service(
    only_print: Annotated[bool, typer.Option("--print", help="Show every file, and change nothing.")] = False,
    instance: Annotated[
        str, typer.Option("--instance", metavar="NAME", help="One more guard, with a user and state of its own.")
    ] = "",
    program: Annotated[
        Path | None, typer.Option("--program", metavar="FILE", help="The command that runs; else the one you run now.")
    ] = None,
    root: Annotated[
        Path, typer.Option("--root", metavar="DIR", help="Write below it, for a package: no users are made.")
    ] = Path("/"),
    replace: Annotated[bool, typer.Option("--replace", help="Files that were changed too; a copy is kept.")] = False,
) -> ExitCode:
    """Write what systemd needs: units of guard, watch, bots and pager, users, and directories.

    It needs root, starts nothing, and does no harm if done again: after each change of the venues or alert channels
    of /etc/risk-daemon/config.toml, whose credentials the units name. A file that was changed is not replaced.
    """
    from risk_daemon.config.load import load as load_config
    from risk_daemon.install import steps, units, wanted

    names = units.Names(instance=instance)
    at = root.absolute()
    path = program or wanted.this_program()
    config = units.WrittenFile(
        path=names.config, text=units.first_config(names, wanted.free_port(names, at)), mode=0o644
    )
    there = at / names.config.relative_to("/")
    if at == Path("/") and not only_print:
        wanted.check_program(path)
    fresh = units.Installation(names=names, program=path, state=names.state)
    installation = wanted.wanted(names, path, there, at) if there.exists() else fresh
    files = units.files(installation)
    if only_print:
        _print(files if there.exists() else (*files, config))
        return ExitCode.STOPPED
    doing = steps.Steps(at, _say, replace=replace)
    doing.check(names, files)
    doing.make(files, steps.directories(names, installation.state), config)
    lacking = steps.missing(at, names, installation.keys, installation.secrets)
    for sentence in _next(installation, wanted.simulated(load_config(there)), lacking):
        typer.echo(sentence)
    return ExitCode.STOPPED


@app.command("example-config")
def example_config() -> ExitCode:
    """Print a config.toml to start from. It loads as it is, on simulated venues.

    `risk-daemon example-config > config.toml`, then `risk-daemon check --explain`.
    """
    from risk_daemon.install import units

    typer.echo(units.example_config(), nl=False)
    return ExitCode.STOPPED


def _say(sentence: str) -> None:
    typer.echo(f"risk-daemon: {sentence}", err=True)


def _print(files: Sequence[WrittenFile]) -> None:
    try:
        for file in files:
            typer.echo(f"### {file.path} (mode {file.mode:o})\n{file.text}")
    except OSError as error:  # such as `| head`
        _say(f"the output could not be written: {error.strerror}")


def _next(installation: Installation, simulated: Sequence[str], lacking: Sequence[Path]) -> list[str]:
    """What is left to do, in its order."""
    names = installation.names
    again = f"risk-daemon install-service{f' --instance {names.instance}' if names.instance else ''}"
    no_channel = f"name a channel in [alerts] of {names.config} and run `{again}`; without one nobody is told. Then "
    todo = [
        f"look, as {names.own}: {_as_user(installation, 'check --explain')}; then the same with init",
        f"systemctl daemon-reload && systemctl enable --now {names.guard}",
        f"{'' if installation.secrets else no_channel}systemctl enable --now {names.watch}",
        f"bots that must not outlive it: {names.bot}@.service says how",
    ]
    if lacking:
        todo.insert(0, f"put the credentials, or the service won't start: {', '.join(map(str, lacking))}")
    if simulated:
        todo.insert(
            0,
            f"NOTHING OF YOURS IS GUARDED on {', '.join(simulated)}: simulated = true. Mend {names.config}, then run"
            f" `{again}` once more, which names the credentials",
        )
    return ["Next:", *(f"  {number}. {sentence}" for number, sentence in enumerate(todo, 1)), _uninstall(names)]


def _as_user(installation: Installation, command: str) -> str:
    names = installation.names
    return (
        f"sudo -u {names.own} env CREDENTIALS_DIRECTORY={names.etc}/credentials"
        f" {installation.program} {command} --config {names.config}"
    )


def _uninstall(names: Names) -> str:
    units = f"{names.guard}.service {names.watch}.service {names.page}@.service {names.bot}@.service"
    return (
        f"To take it away again: systemctl disable --now {names.watch} {names.guard}; rm {units} in"
        f" /etc/systemd/system; systemctl daemon-reload. {names.state} and {names.etc} stay until you delete them."
    )
