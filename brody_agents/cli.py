"""The command line: ``brody``. Everything goes through :class:`brody_agents.brody.Brody`.

What costs to import is imported inside the commands, so that ``brody --help`` answers at once.
"""

from __future__ import annotations

import signal
from collections.abc import Coroutine
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from brody_agents.communication import protocol_cli

app = typer.Typer(
    name="brody",
    help="A staff of agents over your mail, calendars, tasks and files, kept in order by one coordinator.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
actions_app = typer.Typer(help="Actions: what agents propose and what became of it.", no_args_is_help=True)
runs_app = typer.Typer(help="Runs of playbooks.", no_args_is_help=True)
approvals_app = typer.Typer(help="Approvals: what waits for your answer.", no_args_is_help=True)
budgets_app = typer.Typer(help="Budgets: what may be used, by whom, in which time.", no_args_is_help=True)
autonomy_app = typer.Typer(help="Autonomy: how far each kind of action goes by itself.", no_args_is_help=True)
letters_app = typer.Typer(help="Dead letters: what could not be handled.", no_args_is_help=True)
app.add_typer(actions_app, name="actions")
app.add_typer(runs_app, name="runs")
app.add_typer(approvals_app, name="approvals")
app.add_typer(letters_app, name="dead-letters")
app.add_typer(budgets_app, name="budgets")
app.add_typer(autonomy_app, name="autonomy")
app.add_typer(protocol_cli.app, name="protocol")

Home = Annotated[Path, typer.Option(help="The folder that holds the state.", envvar="BRODY_HOME")]
User = Annotated[str | None, typer.Option("--user", help="Only this user's.")]
ForUser = Annotated[str, typer.Option("--user", help="For whom.")]
Limit = Annotated[int, typer.Option(min=1, help="How many at most.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Sources = Annotated[list[str] | None, typer.Option()]
DEFAULT_HOME = Path("~/.brody")
_CALENDAR = "ics:~/calendar, caldav:https://me@cal.example/"
_SEND = "smtp://me@mail.example:587?sent=maildir:~/Maildir"


def _sources(what: str, example: str) -> Any:
    return typer.Option(help=f"{what}, such as {example}; may be given several times.", metavar="SOURCE")


@app.command()
def run(
    playbook: Annotated[str, typer.Argument(help="prepare-my-day or inbox-scan.")],
    mail: Annotated[list[str] | None, _sources("Mail", "maildir:~/Maildir, mbox:FILE, eml:DIR")] = None,
    calendar: Annotated[list[str] | None, _sources("A calendar", _CALENDAR)] = None,
    files: Annotated[list[str] | None, _sources("A folder", "dir:~/Documents")] = None,
    contacts: Annotated[list[str] | None, _sources("An address book", "vcf:~/contacts.vcf")] = None,
    send: Annotated[list[str] | None, _sources("Where mail leaves", _SEND)] = None,
    chat: Annotated[list[str] | None, _sources("Where chat is posted", "chat:~/chat")] = None,
    user: Annotated[str, typer.Option(help="For whom.")] = "me",
    tz: Annotated[str, typer.Option(help="Time zone, such as Europe/Berlin; the system's by default.")] = "",
    now: Annotated[str, typer.Option(help="The time to reason with, ISO 8601; now by default.")] = "",
    home: Home = DEFAULT_HOME,
    json: Json = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only record what would be done.")] = False,
) -> None:
    """Run a playbook over your accounts and print the brief."""
    accounts = _accounts(mail=mail, calendar=calendar, files=files, contacts=contacts, send=send, chat=chat)
    options = {"user_id": user, "timezone": tz or None, "now": _time(now), "dry_run": dry_run}
    _call(lambda front: front.run_playbook(home, playbook, accounts, options, json=json))


@app.command()
def worker(
    partitions: Annotated[str, typer.Option(help="Only these of the 64, such as 0-31,40; all by default.")] = "",
    mail: Annotated[list[str] | None, _sources("Mail", "maildir:~/Maildir")] = None,
    calendar: Annotated[list[str] | None, _sources("A calendar", _CALENDAR)] = None,
    files: Annotated[list[str] | None, _sources("A folder", "dir:~/Documents")] = None,
    contacts: Annotated[list[str] | None, _sources("An address book", "vcf:~/contacts.vcf")] = None,
    send: Annotated[list[str] | None, _sources("Where mail leaves", _SEND)] = None,
    chat: Annotated[list[str] | None, _sources("Where chat is posted", "chat:~/chat")] = None,
    home: Home = DEFAULT_HOME,
) -> None:
    """Work until SIGTERM or Ctrl-C: hand out messages, carry out approved actions.

    With BRODY_DATABASE_URL (PostgreSQL) and BRODY_REDIS_URL, any number of workers share the work: each holds its
    part of 64 partitions of users, and others take over what a killed one held. Without a database, one process at a
    time works on a home. Accounts that an earlier run has named need not be given again.
    """
    accounts = _accounts(mail=mail, calendar=calendar, files=files, contacts=contacts, send=send, chat=chat)
    _call(lambda front: front.work(home, accounts, partitions))


@app.command()
def demo(
    once: Annotated[bool, typer.Option("--once", help="Keep nothing: use a new home and remove it.")] = False,
    home: Annotated[Path | None, typer.Option(help="Keep the state here.")] = None,
    json: Json = False,
) -> None:
    """Prepare a sample day: invented mail, two calendars, a folder."""
    _call(lambda front: front.run_demo(None if once else home or Path("~/.brody/demo"), json=json))


@app.command()
def agents(json: Json = False) -> None:
    """List the agents that are installed, and the plug-ins that could not be loaded."""
    _call(lambda front: front.list_agents(json=json))


@app.command()
def doctor(
    mail: Annotated[list[str] | None, _sources("Mail", "maildir:~/Maildir")] = None,
    calendar: Annotated[list[str] | None, _sources("A calendar", _CALENDAR)] = None,
    files: Annotated[list[str] | None, _sources("A folder", "dir:~/Documents")] = None,
    contacts: Annotated[list[str] | None, _sources("An address book", "vcf:~/contacts.vcf")] = None,
    send: Annotated[list[str] | None, _sources("Where mail leaves", _SEND)] = None,
    chat: Annotated[list[str] | None, _sources("Where chat is posted", "chat:~/chat")] = None,
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Check what is configured, reachable and writable, and say what to do about the rest."""
    accounts = _accounts(mail=mail, calendar=calendar, files=files, contacts=contacts, send=send, chat=chat)
    _call(lambda front: front.doctor(home, accounts, json=json))


@runs_app.command("list")
def runs_list(home: Home = DEFAULT_HOME, user: User = None, json: Json = False) -> None:
    """List the newest runs."""
    _call(lambda front: front.list_runs(home, user, json=json))


@runs_app.command("show")
def runs_show(run_id: str, home: Home = DEFAULT_HOME, json: Json = False) -> None:
    """Show the brief of a run."""
    _call(lambda front: front.show_run(home, run_id, json=json))


@actions_app.command("list")
def actions_list(
    home: Home = DEFAULT_HOME,
    user: User = None,
    state: Annotated[str | None, typer.Option(help="Only in this state, such as awaiting_approval.")] = None,
    run_id: Annotated[str | None, typer.Option("--run", help="Only of this run.")] = None,
    limit: Limit = 200,
    json: Json = False,
) -> None:
    """List actions, newest first."""
    _call(lambda front: front.list_actions(home, user, state, run_id, limit, json=json))


@actions_app.command("show")
def actions_show(action_id: str, home: Home = DEFAULT_HOME, json: Json = False) -> None:
    """Show an action with its arguments, why it was proposed, and the verdicts on it."""
    _call(lambda front: front.show_action(home, action_id, json=json))


@actions_app.command("undo")
def actions_undo(action_id: str, home: Home = DEFAULT_HOME, json: Json = False) -> None:
    """Undo an action, or take back one that was not done yet; exit code 1 if it stays done, with the reason."""
    _call(lambda _: _control().undo_action(home, action_id, json=json))


@runs_app.command("undo")
def runs_undo(run_id: str, home: Home = DEFAULT_HOME, json: Json = False) -> None:
    """Undo what a run has done, the last first, as far as it goes; exit code 1 if something is left."""
    _call(lambda _: _control().undo_run(home, run_id, json=json))


@actions_app.command("settle")
def actions_settle(
    action_id: str,
    done: Annotated[bool, typer.Option("--done/--not-done", help="Whether it took place.")],
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Say what became of an action whose outcome is unknown, and close it."""
    _call(lambda front: front.settle_action(home, action_id, done, json=json))


@approvals_app.command("list")
def approvals_list(
    home: Home = DEFAULT_HOME,
    user: User = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those that are answered or over.")] = False,
    limit: Limit = 200,
    json: Json = False,
) -> None:
    """List what waits for an answer; what expires soonest comes first."""
    _call(lambda front: front.list_approvals(home, user, everything, limit, json=json))


@approvals_app.command("show")
def approvals_show(approval_id: str, home: Home = DEFAULT_HOME, json: Json = False) -> None:
    """Show a card: the action, its exact arguments, why, where they come from, and what happens if you do nothing."""
    _call(lambda front: front.show_approval(home, approval_id, json=json))


@approvals_app.command("decide")
def approvals_decide(
    approval_id: str,
    answer: Annotated[str, typer.Argument(help="approve, edit, reject or respond.")],
    arguments: Annotated[str, typer.Option(help="For edit: all arguments of the action, as a JSON object.")] = "",
    text: Annotated[str, typer.Option(help="Your reason, or your answer to the agent.")] = "",
    digest: Annotated[str, typer.Option(help="The digest of the card that you saw.")] = "",
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Answer a card; what you let happen is done at once, or by the process that works on the home."""
    _call(lambda front: front.decide_approval(home, approval_id, answer, arguments, text, digest, json=json))


@letters_app.command("list")
def letters_list(
    home: Home = DEFAULT_HOME,
    user: User = None,
    replayed: Annotated[bool, typer.Option("--replayed", help="Also those that were replayed.")] = False,
    limit: Limit = 200,
    json: Json = False,
) -> None:
    """List dead letters, newest first."""
    _call(lambda front: front.list_letters(home, user, replayed, limit, json=json))


@letters_app.command("show")
def letters_show(letter_id: str, home: Home = DEFAULT_HOME, json: Json = False) -> None:
    """Show a dead letter with its bytes."""
    _call(lambda front: front.show_letter(home, letter_id, json=json))


@letters_app.command("replay")
def letters_replay(letter_id: str, home: Home = DEFAULT_HOME, json: Json = False) -> None:
    """Have a dead letter handled again."""
    _call(lambda front: front.replay_letter(home, letter_id, json=json))


@budgets_app.command("list")
def budgets_list(
    home: Home = DEFAULT_HOME,
    subject: Annotated[str | None, typer.Option("--for", help="Only of this account, workspace, user or run.")] = None,
    json: Json = False,
) -> None:
    """List budgets, with what is used and reserved of them now."""
    _call(lambda _: _control().list_budgets(home, subject, json=json))


@budgets_app.command("set")
def budgets_set(
    level: Annotated[str, typer.Argument(help="provider, workspace, user or run.")],
    subject: Annotated[str, typer.Argument(help="Whose; * for each one that has none of its own.")],
    unit: Annotated[str, typer.Argument(help="tokens, money, quota, calls or slots.")],
    limit: Annotated[str, typer.Argument(help="A whole number; money as in 12.50.")],
    period: Annotated[str, typer.Option(help="hour, day or month; none: for good.")] = "none",
    currency: Annotated[str, typer.Option(help="Of money, such as EUR.")] = "",
    tz: Annotated[str, typer.Option(help="Where days and months begin; the system's zone by default.")] = "",
    home: Home = DEFAULT_HOME,
    json: Json = False,
) -> None:
    """Set how much may be used of a unit, in the place of an earlier limit."""
    options = {"period": period, "currency": currency, "timezone": tz or None}
    _call(lambda _: _control().set_budget(home, (level, subject, unit), limit, options, json=json))


@budgets_app.command("remove")
def budgets_remove(budget_id: str, home: Home = DEFAULT_HOME, json: Json = False) -> None:
    """Remove a budget: what it limited is not limited any more."""
    _call(lambda _: _control().remove_budget(home, budget_id, json=json))


@autonomy_app.command("list")
def autonomy_list(home: Home = DEFAULT_HOME, user: ForUser = "me", json: Json = False) -> None:
    """List how far every kind of action goes for you, and what says so."""
    _call(lambda _: _control().list_autonomy(home, user, json=json))


@autonomy_app.command("set")
def autonomy_set(
    kind: Annotated[str, typer.Argument(help="mail.draft, mail.* or *; the most exact one counts.")],
    level: Annotated[str, typer.Argument(help="observe (record only), suggest (always ask) or act (policy decides).")],
    home: Home = DEFAULT_HOME,
    user: ForUser = "me",
    json: Json = False,
) -> None:
    """Set how far a kind of action goes by itself, from the next one that is proposed on."""
    _call(lambda _: _control().set_autonomy(home, user, kind, level, json=json))


@autonomy_app.command("reset")
def autonomy_reset(
    kind: Annotated[str, typer.Argument(help="What was set; all of it by default.")] = "",
    home: Home = DEFAULT_HOME,
    user: ForUser = "me",
    json: Json = False,
) -> None:
    """Go back to the default: what stays inside acts, all else is suggested."""
    _call(lambda _: _control().reset_autonomy(home, user, kind, json=json))


def _accounts(**words: list[str] | None) -> dict[str, list[str]]:
    return {domain: given or [] for domain, given in words.items()}


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no ISO 8601 time", param_hint="--now") from None


def _control() -> Any:
    from brody_agents import front_control

    return front_control


def _call(command: Any) -> None:
    """Run a command; an error of this package is printed with its remedy, exit code 1 (2: wrong use)."""
    import asyncio
    import gc

    from brody_agents.errors import BrodyError, ConfigurationError

    try:
        gc.disable()  # what is imported stays: looking through it while it comes takes a fifth of the start
        from brody_agents import front

        gc.enable()
        front.prepare_output()
        asyncio.run(_stoppable(command(front)))
    except ConfigurationError as error:
        typer.echo(f"brody: {error}", err=True)
        raise typer.Exit(2) from None
    except BrodyError as error:
        typer.echo(f"brody: {error} [{error.code}]", err=True)
        raise typer.Exit(1) from None
    except UnicodeEncodeError as error:  # a word of the command line has bytes that are none
        typer.echo(f"brody: {error.object!r:.80} is no text. Write it in UTF-8.", err=True)
        raise typer.Exit(2) from None
    except BrokenPipeError:
        raise  # whoever read the output has enough
    except OSError as error:
        typer.echo(f"brody: the system refused: {error}.", err=True)
        raise typer.Exit(1) from None
    except (KeyboardInterrupt, asyncio.CancelledError) as stop:
        typer.echo("brody: stopped; run it again to go on.", err=True)
        by = signal.SIGINT if isinstance(stop, KeyboardInterrupt) else signal.SIGTERM
        raise typer.Exit(128 + by) from None


async def _stoppable(work: Coroutine[Any, Any, None]) -> None:
    """Let SIGTERM end the work as Ctrl-C does: in order, and with nothing left behind."""
    import asyncio

    if task := asyncio.current_task():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    await work


def main() -> None:
    """Be the entry point of ``brody``."""
    app()
