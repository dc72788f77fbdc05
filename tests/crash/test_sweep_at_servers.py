"""The crash sweep where effects are counted at servers that somebody else wrote: aiosmtpd, and radicale.

The SMTP server delivers into the Maildir where the sender looks for what it has sent.
"""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import SMTP

from brody_agents import Brody
from brody_agents.integrations.calendar.caldav import CalDav
from brody_agents.settings import Settings
from brody_agents.testing import CrashPoint, Report, crash_points, lose_answer_at, sweep
from tests.crash import office, post
from tests.crash.test_crash_sweep import database
from tests.integration import conftest as servers
from tests.integration.conftest import Radicale

pytestmark = [pytest.mark.integration, pytest.mark.crash, pytest.mark.timeout(3600)]
radicale = servers.radicale
PARTS = 4
LIBRARIES = ["aiosmtplib"]
"""The client of SMTP is under test too: a process can die between any two steps of the dialogue."""
_CALENDAR = """<?xml version="1.0"?><c:mkcalendar xmlns:d="DAV:" xmlns:c="urn:ietf:params:xml:ns:caldav"/>"""
IN_SHORT = (
    "mail.outbox await self._locked",
    "aiosmtplib.protocol await self.read_response",
    "calendar.caldav await self._write",
)
LOST = (
    "account_effects.sending await job.provider.send",
    "account_effects.calendar await job.provider.put",
    "calendar.caldav await self._write",
    "mail.outbox await self._locked",
    "aiosmtplib.protocol await self.read_response",
)


@asynccontextmanager
async def smtp(folder: Path) -> AsyncIterator[int]:
    """Run an aiosmtpd that delivers into the Maildir of a case; give its port."""
    handler, talks = Mailbox(folder / "mail"), list[SMTP]()

    def talk() -> SMTP:
        talks.append(SMTP(handler, hostname="localhost"))
        return talks[-1]

    server = await asyncio.get_running_loop().create_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for transport in filter(None, (one.transport for one in talks)):  # that its client was killed may come late
            transport.close()
        await server.wait_closed()
        await asyncio.sleep(0)  # transports are closed in the loop's next round


async def swept(folder: Path, points: list[CrashPoint], radicale: Radicale, server: Path | None, **how: Any) -> Report:
    """Sweep the office with a post."""

    @asynccontextmanager
    async def furnished(case: Path) -> AsyncIterator[Mapping[str, str]]:
        path = f"/me/{case.name}/"
        assert (await asyncio.to_thread(radicale.request, "MKCALENDAR", path, _CALENDAR))[0] == 201
        place = f"http://me@127.0.0.1:{radicale.port}{path}"
        async with smtp(case) as port:
            accounts = {"send": post.sender(case, port), "calendar": f"caldav:{place}"}
            office.furnish(case, post.wishes(CalDav(place).account), accounts)
            (case / "collection").write_text(str(radicale.storage / "collection-root" / "me" / case.name))
            shutil.copytree(folder / "home", case / "home")
            with database(server, template) as url:
                yield {"BRODY_DATABASE_URL": url, "BRODY_RECALL_SECONDS": "0"}

    with database(server) as template:
        async with Brody(folder / "home", agents=[], settings=Settings(database_url=template)):
            pass
        options: dict[str, Any] = {"surroundings": furnished, "modules": LIBRARIES} | how
        report = await sweep(post.work, post.counted, folder / "cases", points=points, **options)
    assert report.expected == {"mails": Counter([post.SUBJECT]), "events": Counter(["Watering"])}
    return report


async def test_each_effect_arrives_once_at_its_server(radicale: Radicale, tmp_path: Path) -> None:
    """At the steps on which it depends whether a mail has left and an event is there."""
    points = office.points_at(*IN_SHORT, modules=LIBRARIES)
    report = await swept(tmp_path, points, radicale, None, when=("after",))
    assert report.ok, str(report)
    assert len(report.survived) >= len(IN_SHORT), "each place is reached"


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
async def test_each_effect_arrives_once_wherever_its_process_is_killed(
    radicale: Radicale,
    one_of_two_databases: Path | None,
    part: int,
    tmp_path: Path,
) -> None:
    """At every crash point of the turn, the executor, the accounts and the client of SMTP, on both databases."""
    report = await swept(tmp_path, crash_points(LIBRARIES)[part::PARTS], radicale, one_of_two_databases)
    print(f"part {part}: {report}")
    assert report.ok, str(report)


@pytest.mark.slow
async def test_each_effect_arrives_once_wherever_an_answer_is_lost(radicale: Radicale, tmp_path: Path) -> None:
    """The servers have done what they were asked, and the answer is a time-out."""
    report = await swept(
        tmp_path,
        office.points_at(*LOST, modules=LIBRARIES),
        radicale,
        None,
        hit=lose_answer_at,
        when=("after",),
        visits=9,
    )
    assert report.ok, str(report)
