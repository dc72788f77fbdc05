"""The state that a card is made on: versions of the items that an action touches, what holds its time, its rulings.

It is read when the card is made and again when the person approves; what differs is told in words.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from brody_agents.action import CATALOGUE, ActionState, Claim
from brody_agents.ledger import actions as ledger_actions
from brody_agents.ledger.actions import ActionRecord
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import Action, CalendarEvent, Document, Email, Task, Verdict
from brody_agents.ledger.views import LedgerCalendar, Reading

Basis = dict[str, Any]
"""JSON: ``items`` (id → version, ``null`` for gone), ``newest`` (of the thread), ``busy`` (event → title), ``rulings``
(rule and other party → why)."""

_E, _A, _V = table(Email).c, table(Action).c, table(Verdict).c
_MODELS: Mapping[str, Any] = {"mail": Email, "calendar": CalendarEvent, "task": Task, "file": Document}
_NAMES = {"mail": ("email_id",), "calendar": ("event_id",), "task": ("task_id", "into"), "file": ("document_id",)}
_NOUNS = {"mail": "mail", "calendar": "event", "task": "task", "file": "file"}
_WAITING = (ActionState.PROPOSED, ActionState.AWAITING_APPROVAL)
_UTC = ZoneInfo("UTC")


class Ruled(Protocol):
    """What a rule of the conflict resolver says."""

    @property
    def rule(self) -> str:
        """Return the name of the rule."""

    @property
    def other(self) -> str:
        """Return the id of the action or task that it meets."""

    @property
    def why(self) -> str:
        """Return the reason, for a person."""


Look = Callable[[AsyncConnection, ActionRecord], Awaitable[Sequence[Ruled]]]
"""Ask the conflict resolver about an action without changing anything."""


def claims_of(action: ActionRecord) -> tuple[Claim, ...]:
    """Return the claims that an action's arguments make."""
    kind = CATALOGUE[action.kind]
    return tuple(kind.claims(action.user_id, kind.model.model_validate(action.arguments)))


def title_of(action: ActionRecord) -> str:
    """Return how a person names an action."""
    a = action.arguments
    return str(a.get("title") or a.get("subject") or a.get("path") or action.kind)


async def first_bases(tx: AsyncConnection, ledger: Ledger, actions: Sequence[ActionRecord]) -> dict[str, Basis]:
    """Read what new cards are made on, for all actions of a turn at once."""
    items, rulings = await _items(tx, actions), await _told(tx, ledger, actions)
    bases = {}
    for action in actions:
        mail = items.get(("mail", action.user_id, action.arguments.get("email_id") or ""))
        bases[action.id] = {
            "items": _versions(action, items),
            "newest": mail["timestamp"].isoformat() if mail else None,
            "busy": await _busy(tx, ledger, action),
            "rulings": rulings.get(action.id, {}),
        }
    return bases


async def basis_now(
    tx: AsyncConnection, ledger: Ledger, action: ActionRecord, before: Basis, since: datetime, look: Look
) -> Basis:
    """Read the state again for an action whose card was made on ``before`` at ``since``."""
    rulings = {_ruling_key(r, before): r.why for r in await look(tx, action)}
    return {
        "items": _versions(action, await _items(tx, [action])),
        "newest": await _newest(tx, action, before["newest"]),
        "busy": await _busy(tx, ledger, action),
        "rulings": before["rulings"] | rulings | await _done_since(tx, ledger, action, since),
    }


def _ruling_key(ruling: Ruled, before: Basis) -> str:
    """Return the key that a ruling has; one on a task may have been told under the task that it makes."""
    as_task = f"{ruling.rule}/{ledger_actions.task_of(ruling.other)}"
    return as_task if as_task in before["rulings"] else f"{ruling.rule}/{ruling.other}"


def changes(action: ActionRecord, before: Basis, now: Basis) -> list[str]:
    """Say in words what speaks against doing now what the card asked for."""
    noun = _NOUNS.get(_domain(action), "item")
    found = []
    for item, version in now["items"].items():
        if version != before["items"].get(item, version):
            found.append(f"The {noun} is gone." if version is None else f"The {noun} has changed since.")
    if now["newest"] != before["newest"]:
        found.append("A newer mail came in the thread.")
    found += [f"The time is taken by “{now['busy'][e]}” now." for e in now["busy"] if e not in before["busy"]]
    new = {r.partition("/")[2]: now["rulings"][r] for r in reversed(now["rulings"]) if r not in before["rulings"]}
    return found + list(reversed(new.values()))  # the first rule's words on each other party


# -- the parts ---------------------------------------------------------------------------------------


def _domain(action: ActionRecord) -> str:
    return action.kind.partition(".")[0]


def _touched(action: ActionRecord) -> list[str]:
    names = _NAMES.get(_domain(action), ())
    return [str(action.arguments[name]) for name in names if action.arguments.get(name)]


async def _items(tx: AsyncConnection, actions: Iterable[ActionRecord]) -> dict[tuple[str, str, str], Any]:
    """Return the rows of the items that actions touch, by (domain, user, id): one query a domain."""
    wanted: dict[str, set[tuple[str, str]]] = {}
    for action in actions:
        for item in _touched(action):
            wanted.setdefault(_domain(action), set()).add((action.user_id, item))
    found = {}
    for domain, pairs in sorted(wanted.items()):
        t = table(_MODELS[domain])
        extra = [t.c.timestamp] if domain == "mail" else []
        query = select(t.c.id, t.c.user_id, t.c.version, t.c.removed, *extra).where(
            t.c.id.in_({item for _, item in pairs}), t.c.user_id.in_({user_id for user_id, _ in pairs})
        )
        for row in (await tx.execute(query)).mappings():
            found[domain, row["user_id"], row["id"]] = row
    return found


def _versions(action: ActionRecord, items: Mapping[tuple[str, str, str], Any]) -> dict[str, str | None]:
    """Return the versions; a mail's counts only where the action names it, since reading it changes its flags."""
    domain = _domain(action)
    by_version = domain != "mail" or action.arguments.get("version")
    versions: dict[str, str | None] = {}
    for item in _touched(action):
        row = items.get((domain, action.user_id, item))
        if row is None or row["removed"]:
            versions[item] = None
        else:
            versions[item] = str(row["version"]) if by_version else "there"
    return versions


async def _newest(tx: AsyncConnection, action: ActionRecord, known: str | None) -> str | None:
    """Return when the newest mail of the action's thread came, ``known`` where none came since."""
    thread = action.arguments.get("thread_id")
    if not thread or known is None or _domain(action) != "mail":
        return known
    newer = (_E.user_id == action.user_id, _E.timestamp > datetime.fromisoformat(known), _E.thread_id == thread)
    query = select(_E.timestamp).where(*newer, _E.removed.is_(False)).order_by(_E.timestamp.desc()).limit(1)
    found = (await tx.execute(query)).scalar()
    return found.isoformat() if found else known


class _Inside(Reading):
    """Read inside a transaction that is open already."""

    tx: AsyncConnection

    async def rows(self, query: Any) -> list[Any]:
        """Return the rows of a query."""
        return list((await self.tx.execute(query)).mappings())


async def _busy(tx: AsyncConnection, ledger: Ledger, action: ActionRecord) -> dict[str, str]:
    """Return the events that take the time that an action wants, without the event that it is about."""
    about = {action.arguments.get("event_id"), action.arguments.get("uid")}
    found = {}
    for claim in claims_of(action):
        if claim.mode == "interval" and claim.start and claim.end:
            reading = _Inside(ledger, action.user_id, _UTC, [claim.resource.removesuffix("/slots")])
            reading.tx = tx
            for event in await LedgerCalendar(reading).events(claim.start, claim.end):
                if event.busy and not about & {event.id, event.uid}:
                    found[f"{event.uid}/{event.recurrence_id}"] = event.title
    return found


async def _told(tx: AsyncConnection, ledger: Ledger, actions: Sequence[ActionRecord]) -> dict[str, dict[str, str]]:
    """Return the rulings that the resolver has given already; one on what only waits may weigh more later."""
    ids = [action.id for action in actions]
    found = await ledger_actions.verdicts(tx, ledger.vault, _V.action_id.in_(ids))
    verdicts = [v for v in found if len(v.parties) > 1]
    others = {v.parties[1]["id"] for v in verdicts}
    waiting = set()
    if others:
        waiting = set((await tx.execute(select(_A.id).where(_A.id.in_(others), _A.state.in_(_WAITING)))).scalars())
    told: dict[str, dict[str, str]] = {}
    for v in verdicts:
        other = v.parties[1]["id"]
        if other not in waiting:
            told.setdefault(v.action_id or "", {})[f"{v.rule}/{other}"] = v.why
    return told


async def _done_since(tx: AsyncConnection, ledger: Ledger, action: ActionRecord, since: datetime) -> dict[str, str]:
    """Return what was done since on the same: it may not have been read back from the account yet."""
    done = (_A.user_id == action.user_id, _A.state == ActionState.DONE, _A.updated_at >= since, _A.id != action.id)
    same_domain = _A.kind.startswith(f"{_domain(action)}.")
    claims = claims_of(action)
    return {
        f"done/{other.id}": f"“{title_of(other)}” ({other.kind}) was done since on the same."
        for other in await ledger_actions.load(tx, ledger.vault, *done, same_domain, ledger_actions.WHOLE)
        if any(mine.clashes(theirs) for mine in claims for theirs in claims_of(other))
    }
