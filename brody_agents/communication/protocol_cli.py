"""``brody protocol``: write the protocol's files, and say whether a file is a message."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from brody_agents.communication.message_protocol import AgentMessage

app = typer.Typer(help="The message protocol, for agents in any language.", no_args_is_help=True)


@app.command()
def export(directory: Annotated[Path, typer.Argument(help="Where to write; made if it is not there.")]) -> None:
    """Write JSON Schemas, AsyncAPI, examples and the guide."""
    from brody_agents.communication.export import documents, write

    texts = documents(extra=extra_models())
    try:
        write(directory, texts)
    except OSError as error:
        _stop(f"{directory} cannot be written: {error.strerror}.", "Name a folder that you may write to.")
    typer.echo(f"{len(texts)} files in {directory}")


@app.command()
def validate(file: Annotated[str, typer.Argument(metavar="FILE", help="One message; - is standard input.")]) -> None:
    """Say whether FILE is a message: exit 0, or 1 with code, JSON path and reason, or 2 if it cannot be read."""
    from brody_agents.communication.message_protocol import decode
    from brody_agents.communication.payloads import built_in_registry
    from brody_agents.errors import ProtocolError

    data = _read(file)
    try:
        _say(f"valid: {_described(decode(data, built_in_registry()))}")
    except ProtocolError as error:
        _say(f"{error.code} {error.path} {error.what.removeprefix(f'{error.path}: ')}")
        raise typer.Exit(1) from error


def extra_models() -> dict[str, type[BaseModel]]:
    """Return the models beside messages whose JSON is a public contract, by the name of their schema."""
    from importlib import import_module

    # By name, because the arrow between modules points the other way: the brief stands on the messages.
    return {"brief": import_module("brody_agents.proactive.playbooks.brief").Brief}


def _described(message: AgentMessage) -> str:
    from brody_agents.communication.message_protocol import UnknownPayload

    route = f"{message.message_type} from {message.sender} to {message.recipient}"
    if isinstance(message.payload, UnknownPayload):
        return f"{route} (the type is unknown here: the message is kept as it is)"
    return route


def _read(file: str) -> bytes:
    """Return the bytes, no more than it takes to see that they are too many."""
    from brody_agents.communication.message_protocol import MAX_BYTES

    try:
        if file == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with open(file, "rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        _stop(f"{file} cannot be read: {reason}.", "Name a file that you may read, or - for standard input.")


def _say(line: str) -> None:
    """Print one line; what a stranger wrote into the file neither breaks it nor steers the terminal."""
    typer.echo("".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in line))


def _stop(what: str, remedy: str) -> NoReturn:
    typer.echo(f"{what} {remedy}", err=True)
    raise typer.Exit(2)
