"""What an undo claims: what its action claimed, and what that leaves or takes again when it goes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from brody_agents.action import Claim
from brody_agents.communication.message_protocol import stable_id
from brody_agents.ledger.actions import ActionRecord, task_of
from brody_agents.policy.basis import claims_of

_AHEAD = timedelta(days=366)
"""How far ahead the times are looked up that an event takes again."""
_MOST = 64


def claims_of_undo(action: ActionRecord) -> tuple[Claim, ...]:
    """Return what an action holds while it is undone; one that was not done yet holds its own claims still."""
    more = _MORE.get(action.kind, _nothing)
    return tuple(dict.fromkeys([*claims_of(action), *more(action)]))


def _nothing(action: ActionRecord) -> Iterator[Claim]:
    yield from ()


def _new_task(action: ActionRecord) -> Iterator[Claim]:
    yield Claim(f"{action.user_id}/task/{task_of(action.id)}", "exclusive")


def _new_file(action: ActionRecord) -> Iterator[Claim]:
    account, path = action.arguments["account"], (action.result or {}).get("path", action.arguments["path"])
    yield Claim(f"{account}/file/{stable_id(account, path)}", "exclusive")


def _earlier_place(action: ActionRecord) -> Iterator[Claim]:
    if key := (action.intent or {}).get("key"):
        yield Claim(f"{action.arguments['account']}/path/{key}", "exclusive")


def _times(action: ActionRecord) -> Iterator[Claim]:
    """Claim the event, and the times that it takes again."""
    done, account = action.intent or {}, action.arguments["account"]
    if event_id := (action.result or {}).get("event_id"):
        yield Claim(f"{account}/event/{event_id}", "exclusive")
    now = datetime.now(UTC)
    taken = _occurrences(account, done.get("after"), now)
    for start, end in sorted(_occurrences(account, done.get("before"), now) - taken)[:_MOST]:
        yield Claim(f"{account}/slots", "interval", start, end)


def _occurrences(account: str, data: str | None, now: datetime) -> set[tuple[datetime, datetime]]:
    from brody_agents.integrations.calendar.expansion import StoredEvent, expand_all

    stored = [StoredEvent(account, "", "", data)] if data else []
    found = expand_all(stored, now, now + _AHEAD, ZoneInfo("UTC")).events
    return {(e.start, e.end) for e in found if e.busy and not e.all_day and e.start < e.end}


_MORE: Mapping[str, Callable[[ActionRecord], Iterator[Claim]]] = {
    "task.create": _new_task,
    "file.create": _new_file,
    "file.move": _earlier_place,
    **dict.fromkeys(
        ("calendar.create", "calendar.update", "calendar.cancel", "calendar.respond", "calendar.invite"), _times
    ),
}
