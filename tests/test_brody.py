"""The front door: what is given to it, what comes back, and what it says when it cannot."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from brody_agents import AgentAction, Brief, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import encode
from brody_agents.communication.payloads import ScanInbox
from brody_agents.errors import BrodyError, ConfigurationError, NotFound, ProtocolError, UnknownPlaybook, UnknownSource
from brody_agents.ledger.dead_letters import Burial, bury
from brody_agents.settings import Settings
from tests.coordinator.kit import Mailbox, Note, Recorder, Unheard, note

DEMO = Path(__file__).parents[1] / "examples" / "demo"
NOW = datetime.fromisoformat("2026-10-26T07:30:00+01:00")
ACCOUNTS = {
    "mail": [f"eml:{DEMO / 'mail'}"],
    "calendar": f"ics:{DEMO / 'calendar'}",
    "files": [f"dir:{DEMO / 'files'}"],
    "contacts": f"vcf:{DEMO / 'contacts.vcf'}",
}
FIVE = ["analytics_agent", "calendar_agent", "email_agent", "file_agent", "task_agent"]


# -- what it is given --------------------------------------------------------------------------------


async def test_without_a_home_no_disk_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    for name in ("HOME", "XDG_RUNTIME_DIR", "TMPDIR", "BRODY_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    async with Brody(agents=[Recorder()], accounts={"mail": Mailbox("a")}, settings=settings) as brody:
        await brody.run("inbox-scan", now=NOW)
        await brody.send(note())
        await brody.drain()
        assert brody.home is None
        assert (await brody.bus())["bus"] == "memory"
    assert await asyncio.to_thread(lambda: list(tmp_path.rglob("*"))) == []


async def test_accounts_are_words_objects_or_lists_of_both(tmp_path: Path, settings: Settings) -> None:
    """Each is read once, however often it is named."""
    data = Mailbox("c").mails[0].data
    await asyncio.to_thread((tmp_path / "a.eml").write_bytes, data)
    word, one, two = f"eml:{tmp_path}", Mailbox("a"), Mailbox("b", account="box:2")
    for given, count in ((word, 1), (one, 1), ([word, one], 2), ((one, two, one, word, word), 3)):
        accounts: dict[str, Any] = {"mail": given, "tasks": "ledger:"}
        async with Brody(agents=[], accounts=accounts, settings=settings) as brody:
            brief = await brody.run("inbox-scan", now=NOW)
            assert brief.counts.messages_read == count
    assert (one.closed, two.closed) == (True, True)


def test_a_domain_that_does_not_exist_is_named_with_those_that_do() -> None:
    with pytest.raises(ConfigurationError, match=r"'post'.*mail"):
        Brody(accounts={"post": "eml:x"})


@pytest.mark.parametrize(
    ("call", "error", "remedy"),
    [
        (lambda b: b.run("no-such-playbook"), UnknownPlaybook, "prepare-my-day"),
        (lambda b: b.run("inbox-scan", timezone="Mars/Olympus"), ConfigurationError, "Europe/Berlin"),
        (lambda b: b.runs.show("nothing"), NotFound, "runs list"),
        (lambda b: b.replay("nothing"), NotFound, "dead-letters list"),
    ],
)
async def test_what_is_wrong_is_said_with_the_remedy(
    settings: Settings, call: Callable[[Brody], Awaitable[Any]], error: type[BrodyError], remedy: str
) -> None:
    async with Brody(agents=[], accounts={"mail": Mailbox()}, settings=settings) as brody:
        with pytest.raises(error, match=remedy):
            await call(brody)


@pytest.mark.parametrize("accounts", [{}, {"mail": []}, {"files": f"dir:{DEMO}"}])
async def test_a_run_without_any_account_that_it_reads_says_which_to_name(
    settings: Settings, accounts: dict[str, Any]
) -> None:
    async with Brody(agents=[], accounts=accounts, settings=settings) as brody:
        with pytest.raises(ConfigurationError, match="--mail"):
            await brody.run("inbox-scan")


async def test_a_wrong_word_says_which_there_are(settings: Settings) -> None:
    async with Brody(agents=[], accounts={"mail": "pigeon:loft"}, settings=settings) as brody:
        with pytest.raises(UnknownSource, match="maildir"):
            await brody.run("inbox-scan")


async def test_another_users_accounts_are_not_borrowed(home: Path, settings: Settings, tmp_path: Path) -> None:
    """Without any given, a run reads the accounts of its own user's earlier runs; a user without any is told so."""
    box = tmp_path / "box"
    await asyncio.to_thread(box.mkdir)
    await asyncio.to_thread((box / "a.eml").write_bytes, Mailbox("a").mails[0].data)
    async with Brody(home=home, agents=[], accounts={"mail": f"eml:{box}"}, settings=settings) as brody:
        await brody.run("inbox-scan", user_id="ada", now=NOW)
    async with Brody(home=home, agents=[], settings=settings) as brody:
        assert (await brody.run("inbox-scan", user_id="ada", now=NOW)).counts.messages_read == 1
        with pytest.raises(ConfigurationError, match="No account was given"):
            await brody.run("inbox-scan", user_id="ben", now=NOW)


# -- open and closed ---------------------------------------------------------------------------------

USES: dict[str, Callable[[Brody], Any]] = {
    "send": lambda b: b.send(note()),
    "run": lambda b: b.run("inbox-scan"),
    "drain": lambda b: b.drain(),
    "execute": lambda b: b.execute(AgentAction(kind="notify", arguments={"text": "x"})),
    "replay": lambda b: b.replay("x"),
    "context": lambda b: b.context("me"),
    "bus": lambda b: b.bus(),
    "actions": lambda b: b.actions.list(),
    "dead letters": lambda b: b.dead_letters.list(),
    "runs": lambda b: b.runs.list(),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_brody_that_is_not_open_says_how_to_open_it(
    home: Path, settings: Settings, use: str, when: str
) -> None:
    """Before it was opened, and after it was closed: nothing starts to work behind one's back."""
    settings = settings.model_copy(update={"redis_url": "memory:", "lock_timeout": 0.0})
    brody = Brody(home=home, agents=[], accounts={"mail": Mailbox()}, settings=settings)
    if when == "after":
        async with brody:
            pass
    with pytest.raises(ConfigurationError, match=r"not open.*async with Brody"):
        await USES[use](brody)
    async with Brody(home=home, agents=[], settings=settings) as free:
        await free.bus()


async def test_the_agents_are_those_that_were_given(settings: Settings) -> None:
    """Before and while it works: the coordinator's own is not among them."""
    recorder = Recorder()
    async with Brody(agents=[recorder], settings=settings) as brody:
        assert brody.agents == [recorder]
        await brody.drain()
        assert brody.agents == [recorder]


# -- agents and plug-ins -----------------------------------------------------------------------------


def test_without_agents_the_installed_ones_are_found() -> None:
    brody = Brody()
    assert sorted(agent.name for agent in brody.agents) == FIVE
    assert brody.left_out == []


PLUGIN = """
from brody_agents import BrodyAgent, Context, Payload, handles

class Mine(Payload, message_type="mine"):
    pass

class Taken(Payload, message_type="scan_inbox"):
    pass

class Good(BrodyAgent):
    @handles
    async def on_mine(self, message: Mine, ctx: Context) -> None:
        pass

class Namesake(Good):
    name = "email_agent"

class Impostor(Good):
    name = "coordinator"

class Clash(BrodyAgent):
    @handles
    async def on_taken(self, message: Taken, ctx: Context) -> None:
        pass

class NeedsMore(BrodyAgent):
    def __init__(self, more: str) -> None:
        super().__init__()

no_agent = dict
"""
BROKEN = {
    "a_raises": ("brody_test_raises:Agent", "RuntimeError: no library"),
    "b_missing": ("brody_test_plugin:Nowhere", "AttributeError"),
    "c_no_module": ("brody_test_nothing:Agent", "ModuleNotFoundError"),
    "d_needs_more": ("brody_test_plugin:NeedsMore", "TypeError"),
    "e_no_agent": ("brody_test_plugin:no_agent", "dict"),
    "f_namesake": ("brody_test_plugin:Namesake", "email_agent"),
    "g_clash": ("brody_test_plugin:Clash", "scan_inbox"),
    "h_impostor": ("brody_test_plugin:Impostor", "coordinator"),
    "i_exits": ("brody_test_exits:Agent", "SystemExit"),
}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install distributions with one good agent and one of every broken kind."""
    (tmp_path / "brody_test_plugin.py").write_text(PLUGIN)
    (tmp_path / "brody_test_raises.py").write_text("raise RuntimeError('no library')")
    (tmp_path / "brody_test_exits.py").write_text("import sys; sys.exit('not on this machine')")
    info = tmp_path / "brody_test-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: brody-test\nVersion: 1.0\n")
    lines = [f"{name} = {target}" for name, (target, _) in BROKEN.items()]
    points = "\n".join(["[brody_agents.agents]", *lines, "z_good = brody_test_plugin:Good"])
    (info / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("plugins")
async def test_a_broken_plugin_is_reported_and_the_rest_runs(settings: Settings) -> None:
    """Whatever is wrong with it: import, class, name, payloads."""
    async with Brody(accounts={"mail": Mailbox("a")}, settings=settings) as brody:
        assert sorted(agent.name for agent in brody.agents) == sorted([*FIVE, "good"])
        assert [failure.name for failure in brody.left_out] == list(BROKEN)
        for failure in brody.left_out:
            assert BROKEN[failure.name][1] in failure.reason
        assert (await brody.run("inbox-scan", now=NOW)).complete


def test_a_wrong_staff_is_refused_with_the_remedy() -> None:
    """Two of one name, the coordinator's name, everybody's name, a payload type that is taken."""

    class Taken(Payload, message_type="scan_inbox"):
        pass

    class Clash(BrodyAgent):
        @handles
        async def on_taken(self, message: Taken, ctx: Context) -> None: ...

    staffs: list[tuple[list[BrodyAgent], str]] = [
        ([Recorder("one"), Recorder("one")], "another name"),
        ([Recorder("coordinator")], "another name"),
        ([Recorder("*")], "another name"),
        ([Clash()], "message_type"),
    ]
    for agents, remedy in staffs:
        with pytest.raises(ConfigurationError, match=remedy):
            Brody(agents=agents)


# -- what comes back ---------------------------------------------------------------------------------


def compared(brief: Brief) -> dict[str, Any]:
    """Return what two runs over the same accounts have in common."""
    data: dict[str, Any] = json.loads(brief.as_json())
    data["counts"].pop("new_messages")
    return {name: value for name, value in data.items() if name not in ("run_id", "timing", "notices")}


async def test_a_brief_is_its_json(home: Path, settings: Settings) -> None:
    """Nothing is lost on the way to JSON and back, and the ledger keeps it; a second run changes nothing."""
    options: dict[str, Any] = {"user_id": "mira", "now": NOW, "timezone": "Europe/Berlin"}
    async with Brody(home=home, accounts=ACCOUNTS, settings=settings) as brody:
        brief = await brody.run("prepare-my-day", **options)
        kept = await brody.runs.brief(brief.run_id)
        actions = await brody.actions.list("mira", limit=1000)
    assert Brief.model_validate_json(brief.as_json()) == brief
    assert json.loads(brief.as_json())["mail"][0]["from"] == brief.mail[0].sender
    assert kept == json.loads(brief.as_json()) | {"timing": {"seconds": 0.0}}
    assert all((brief.mail, brief.agenda, brief.conflicts, brief.tasks, brief.proposals, brief.analytics))
    assert NOW.utcoffset() in {event.start.utcoffset() for event in brief.agenda}

    async with Brody(home=home, accounts=ACCOUNTS, settings=settings) as brody:
        again = await brody.run("prepare-my-day", **options)
        assert again.run_id != brief.run_id
        assert again.counts.new_messages == 0
        assert compared(again) == compared(brief)
        assert await brody.actions.list("mira", limit=1000) == actions


@pytest.mark.parametrize(
    ("now", "timezone", "expected"),
    [
        (datetime(2026, 10, 26, 7, 30), "Europe/Berlin", "2026-10-26T07:30:00+01:00"),
        (datetime(2026, 7, 1, 7, 30), "Europe/Berlin", "2026-07-01T07:30:00+02:00"),
        (datetime(2026, 7, 1, 7, 30), None, "2026-07-01T07:30:00+00:00"),
        (datetime(2026, 7, 1, 7, 30, tzinfo=UTC), "Asia/Kathmandu", "2026-07-01T13:15:00+05:45"),
        (datetime(2026, 7, 1, 7, 30, tzinfo=ZoneInfo("Asia/Tokyo")), "America/New_York", "2026-06-30T18:30:00-04:00"),
    ],
)
async def test_a_time_without_a_zone_is_in_the_zone_of_the_run(
    settings: Settings, now: datetime, timezone: str | None, expected: str
) -> None:
    """And every other is the moment that it is, shown in that zone."""
    seen: list[str] = []

    class Watch(BrodyAgent):
        @handles
        async def on_scan(self, message: ScanInbox, ctx: Context) -> None:
            seen.append(ctx.now.isoformat())

    async with Brody(agents=[Watch("watch")], accounts={"mail": Mailbox()}, settings=settings) as brody:
        brief = await brody.run("inbox-scan", now=now, timezone=timezone)
    assert (seen, brief.now.isoformat()) == ([expected], expected)
    assert brief.timezone == (timezone or "UTC")


async def test_the_progress_of_a_run_can_be_watched(settings: Settings) -> None:
    """Stages come in order, and no count ever goes down."""
    calls: list[tuple[str, int, int | None]] = []
    box = Mailbox(*(f"mail-{n}" for n in range(5)))
    async with Brody(agents=[], accounts={"mail": box}, settings=settings) as brody:
        await brody.run("inbox-scan", now=NOW, progress=lambda *call: calls.append(call))
    reading = [done for stage, done, _ in calls if stage == "reading mail"]
    assert reading == sorted(reading)
    assert reading[-1] == 5


# -- messages and letters ----------------------------------------------------------------------------


async def test_what_cannot_be_sent_is_refused_and_harms_nobody_else(settings: Settings) -> None:
    class Odd(Payload, message_type="odd"):
        value: Any = None

    recorder = Recorder()
    async with Brody(agents=[recorder], settings=settings) as brody:
        bad = note().model_copy(update={"payload": Odd(value=float("nan"))})
        results = await asyncio.gather(
            *(brody.send(m) for m in (note(text="1"), bad, note(text="2"))), return_exceptions=True
        )
        await brody.drain()
    assert [isinstance(r, ProtocolError) for r in results] == [False, True, False]
    assert sorted(recorder.seen) == ["1", "2"]


async def test_bytes_that_are_no_message_stay_a_letter_when_they_are_replayed(settings: Settings) -> None:
    """They are handled when somebody understands them."""
    good = encode(note(text="hi"))
    recorder = Recorder()
    async with Brody(agents=[recorder], settings=settings) as brody:
        await brody.ledger.ensure_users({"nobody"})
        async with brody.ledger.write() as tx:
            burials = [Burial(user_id="nobody", code="not_json", reason="?", body=body) for body in (b"no {", good)]
            await bury(tx, brody.ledger.vault, burials)
        bad, fine = sorted(await brody.dead_letters.list(), key=lambda letter: len(letter.body))
        with pytest.raises(ProtocolError):
            await brody.replay(bad.id)
        await brody.replay(fine.id)
        await brody.drain()
        assert [letter.id for letter in await brody.dead_letters.list()] == [bad.id]
    assert recorder.seen == ["hi"]


async def test_a_letter_is_handled_when_its_agent_is_mended(home: Path, settings: Settings) -> None:
    """By another process, under the same message id, once."""

    class Broken(Recorder):
        @handles
        async def on_note(self, message: Note, ctx: Context) -> None:
            raise ValueError("broken")

    async with Brody(home=home, agents=[Broken("recorder")], settings=settings) as brody:
        await brody.send(note(text="again", id="the-one"))
        await brody.drain()
        (letter,) = await brody.dead_letters.list()
    mended = Recorder()
    async with Brody(home=home, agents=[mended], settings=settings) as brody:
        await brody.replay(letter.id[:10])
        await brody.drain()
        assert await brody.dead_letters.list() == []
        assert len(await brody.dead_letters.list(replayed=True)) == 1
    assert (mended.seen, mended.messages[0].id) == (["again"], "the-one")


async def test_a_broadcast_that_may_go_unheard_is_no_fault(settings: Settings) -> None:
    """A payload says whether somebody must listen."""
    async with Brody(agents=[], settings=settings) as brody:
        brody.registry.payloads.add(Unheard)
        await brody.send(note("*").model_copy(update={"payload": ScanInbox()}))
        await brody.send(note("*").model_copy(update={"payload": Unheard()}))
        await brody.drain()
        assert [letter.message_type for letter in await brody.dead_letters.list()] == ["unheard"]


async def test_a_server_word_that_means_nothing_is_named_each_time(home: Path, settings: Settings) -> None:
    """A start that fails leaves nothing behind: the home is free for the next one."""
    wrong = settings.model_copy(update={"redis_url": "pigeon://loft", "lock_timeout": 0.0})
    async with Brody(home=home, agents=[], settings=wrong) as brody:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match=r"BRODY_REDIS_URL.*redis://"):
                await brody.drain()
        async with Brody(home=home, agents=[], settings=settings.model_copy(update={"lock_timeout": 0.0})) as other:
            await other.drain()
