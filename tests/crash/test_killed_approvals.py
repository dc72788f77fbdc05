"""Approvals outlive every process: each action happens exactly once, or not at all."""

from __future__ import annotations

import asyncio
import random
import signal
from pathlib import Path
from typing import Any

import pytest

from brody_agents import Brody, BrodyAgent, Context, handles
from brody_agents.communication.payloads import ApprovalResponse
from brody_agents.settings import Settings
from tests.crash.asking import cards, decided, fences, installed, scan, told
from tests.crash.kit import Crash, Kit

pytestmark = [pytest.mark.crash, pytest.mark.timeout(180)]
ANSWERS: tuple[dict[str, Any], ...] = (
    {"answer": "approve"},
    {"answer": "edit", "arguments": {"text": "As I say it."}},
    {"answer": "reject", "text": "No."},
    {"answer": "respond", "text": "Which one?"},
)


class Asker(BrodyAgent):
    """Hear the answers."""

    heard: list[str]

    def __init__(self) -> None:
        super().__init__("asker")
        self.heard = []

    @handles
    async def on_answer(self, answer: ApprovalResponse, ctx: Context) -> None:
        """Note whose answer it is."""
        self.heard.append(answer.action_id)


@pytest.fixture
def asking(kit: Kit, tmp_path: Path, home: Path) -> Kit:
    """Return the kit with an agent that asks for everything."""
    installed(kit, tmp_path / "plug-ins", home)
    return kit


async def test_a_hundred_open_approvals_survive_a_kill_and_are_each_answered_once(
    asking: Kit, home: Path, tmp_path: Path, settings: Settings
) -> None:
    """Killed with all open, restarted, answered in random order and twice each, by several at once."""
    killed = asking.brody(*scan(tmp_path / "mail", home, 100), crash=Crash("print", 1))
    assert killed.code == -signal.SIGKILL
    asker = Asker()
    chance = random.Random(7)
    async with Brody(home, agents=[asker], settings=settings.model_copy(update={"redis_url": "memory:"})) as brody:
        waiting = [card for card in await brody.approvals.list() if card.proposed_by == "asker"]
        assert len(waiting) == 100
        answers = [(card, ANSWERS[n % 4]) for n, card in enumerate(waiting)] * 2
        chance.shuffle(answers)
        await brody.bus()
        decisions = await asyncio.gather(*(brody.approvals.decide(card.id, **answer) for card, answer in answers))
        await brody.drain()
    assert sum(decision.repeated for decision in decisions) == 100
    happened = {card.action_id for card, answer in answers if answer["answer"] in ("approve", "edit")}
    assert told(home) == dict.fromkeys(happened, 1)
    ended = {card.action_id: _ENDS[answer["answer"]] for card, answer in answers}
    assert fences(home) == ended
    assert sorted(asker.heard) == sorted(ended)


_ENDS = {"approve": ("done", 1), "edit": ("done", 1), "reject": ("rejected", 0), "respond": ("superseded", 0)}
"""The state in which an answer leaves the action, and how often it is tried."""


@pytest.mark.parametrize("place", ["before commit", "after commit"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_an_answer_whose_process_is_killed_counts_once(
    asking: Kit, home: Path, tmp_path: Path, place: Any, number: int
) -> None:
    """Given again, it is either new or told again; the action is done once."""
    asking.brody(*scan(tmp_path / "mail", home, 1))
    (card,) = cards(asking, home)
    decide = ("approvals", "decide", card["id"], "approve", "--json", "--home", home)
    killed = asking.brody(*decide, crash=Crash(place, number))
    again = decided(asking.brody(*decide))
    assert killed.code in (-signal.SIGKILL, 0)
    assert again["action"]["state"] == "done"
    assert told(home) == {card["action_id"]: 1}


def test_of_two_processes_that_answer_one_card_one_decides(asking: Kit, home: Path, tmp_path: Path) -> None:
    """The other is told what was decided; the same answer is told the same."""
    asking.brody(*scan(tmp_path / "mail", home, 3))
    for card in cards(asking, home):
        decide = [("approvals", "decide", card["id"], a, "--json", "--home", home) for a in ("approve", "reject") * 2]
        ended = [run.wait() for run in [asking.start(*words) for words in decide]]
        assert sorted(e.code for e in ended) == [0, 0, 1, 1], ended
        assert all("[already_decided]" in e.err for e in ended if e.code)
        results = [decided(e) for e in ended if not e.code]
        assert len({r["approval"]["state"] for r in results}) == 1
        assert sorted(r["repeated"] for r in results) == [False, True]
        approved = results[0]["approval"]["state"] == "approved"
        assert told(home)[card["action_id"]] == int(approved)


def test_an_answer_needs_no_lock_and_is_followed_by_the_worker(asking: Kit, home: Path, tmp_path: Path) -> None:
    """While another process works on the home, the answer is written; whoever works carries it out, once."""
    arguments = scan(tmp_path / "mail", home, 1)
    run = asking.start(*arguments, crash=Crash("print", 1, by=signal.SIGSTOP))
    run.stopped()
    (card,) = cards(asking, home)
    answer = decided(asking.brody("approvals", "decide", card["id"], "approve", "--json", "--home", home))
    assert answer["action"]["state"] == "approved"
    run.signal(signal.SIGCONT)
    assert run.wait().code == 0
    assert asking.brody(*arguments).code == 0
    assert fences(home)[card["action_id"]] == ("done", 1)
    assert told(home) == {card["action_id"]: 1}
