"""The command line's reference: arguments, options, defaults and help of every command, from the commands."""

from __future__ import annotations

from typing import Any

import typer.main

from bisnn_pyro.cli import app


def command_page() -> str:
    """The page as Markdown."""
    commands = _group("bisnn", typer.main.get_command(app))
    sections = ["# Commands", "`bisnn COMMAND --help` says the same.", *commands]
    return "\n\n".join(sections) + "\n"


def _group(path: str, group: Any) -> list[str]:
    sections: list[str] = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            sections += _group(f"{path} {name}", command)
        else:
            sections += _command(f"{path} {name}", command)
    return sections


def _command(path: str, command: Any) -> list[str]:
    rows = [
        f"| {_cell(_usage(parameter))} | {_cell(parameter.help or '', code=False)} | {_default(parameter)} |"
        for parameter in command.params
        if parameter.name != "help"
    ]
    text = " ".join((command.help or "").split())
    table = "\n".join(["| argument | meaning | default |", "|---|---|---|", *rows])
    return [f"## `{path}`", text, *([table] if rows else [])]


def _usage(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return (parameter.metavar or parameter.name.upper()).strip("[]")
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    return names if parameter.is_flag else f"{names} {parameter.name.upper()}"


def _default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    shown = isinstance(parameter.default, str | int | float) and parameter.default is not False
    return f"`{parameter.default}`" if shown else ""


def _cell(text: str, *, code: bool = True) -> str:
    text = text.replace("|", r"\|")
    return f"`{text}`" if code else text
