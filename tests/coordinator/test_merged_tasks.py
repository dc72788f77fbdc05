"""The same task from many sources: whatever the order, all sources stay, and the strictest of everything holds."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from brody_agents import ActionState, AgentAction, Brody
from brody_agents.communication.message_protocol import Priority
from brody_agents.items import TaskItem
from brody_agents.settings import Settings
from tests.coordinator.kit import note
from tests.coordinator.test_executor import Looker

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
WORDINGS = ["Send the report to Ann", "send the report to Ann", "Send report to Ann", "send  the REPORT to ann."]
WISHES = st.lists(
    st.fixed_dictionaries(
        {
            "title": st.sampled_from(WORDINGS),
            "priority": st.sampled_from([p.value for p in Priority]),
            "due": st.none() | st.integers(0, 9).map(lambda days: MONDAY + timedelta(days=days)),
        }
    ),
    min_size=2,
    max_size=6,
)


async def list_of(wishes: list[dict[str, Any]]) -> list[TaskItem]:
    """Have all wishes settled and carried out, some at once and some later; return the tasks."""
    looker = Looker()
    async with Brody(agents=[looker], settings=Settings(cpu_workers=0, timezone="UTC")) as brody:
        first, *others = [
            AgentAction(kind="task.create", arguments=wish, cause=str(n)) for n, wish in enumerate(wishes)
        ]
        await asyncio.gather(*(brody.execute(action) for action in others))
        await brody.execute(first)
        states = {action.state for action in await brody.actions.list()}
        assert states <= {ActionState.DONE, ActionState.MERGED}
        await brody.send(note("looker"))
        await brody.drain()
    return looker.tasks


@settings(max_examples=12, deadline=None)
@given(WISHES, st.randoms(use_true_random=False))
def test_one_task_keeps_all_sources_the_earliest_due_date_and_the_highest_priority(
    wishes: list[dict[str, Any]], chance: random.Random
) -> None:
    for n, wish in enumerate(wishes):
        wish["sources"] = [{"type": "email", "id": f"mail-{n}"}]
        wish["reasons"] = [f"reason {n}"]
    chance.shuffle(wishes)
    (task,) = asyncio.run(list_of(wishes))
    ranks = [p.value for p in Priority]
    assert {s.id for s in task.sources} == {f"mail-{n}" for n in range(len(wishes))}
    assert set(task.reasons) == {f"reason {n}" for n in range(len(wishes))}
    assert task.due == min((w["due"] for w in wishes if w["due"]), default=None)
    assert task.priority == min((w["priority"] for w in wishes), key=ranks.index)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(1, 99), min_size=2, max_size=4, unique=True), st.sampled_from(["Pay invoice {}", "{} plants"])
)
def test_other_numbers_are_other_tasks(numbers: list[int], words: str) -> None:
    """However alike the rest is."""
    tasks = asyncio.run(list_of([{"title": words.format(n)} for n in numbers]))
    assert sorted(t.title for t in tasks) == sorted(words.format(n) for n in numbers)


async def test_a_wish_is_not_merged_into_what_nobody_sees(settings: Settings) -> None:
    """A task that is gone from its account, or cannot be read, is no task to merge into."""
    from brody_agents.integrations.tasks.base import RawTask
    from brody_agents.ledger import items
    from brody_agents.ledger.items import Owner

    looker = Looker()
    async with Brody(agents=[looker], settings=settings) as brody:
        owner = Owner("me", "todo:1", None, MONDAY)
        await brody.ledger.ensure_users({"me"})
        async with brody.ledger.write() as tx:
            await items.write_tasks(tx, brody.ledger.vault, owner, [RawTask("k", "1", "Water the plants")])
            await items.remove(tx, owner, "tasks", ["k"])
        await brody.execute(AgentAction(kind="task.create", arguments={"title": "Water the plants"}))
        await brody.send(note("looker"))
        await brody.drain()
    assert [t.title for t in looker.tasks] == ["Water the plants"]
