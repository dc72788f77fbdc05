"""Instants keep their moment, whatever their zone; a time without one is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import postgresql, sqlite

from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.statements import table
from brody_agents.ledger.tables import User
from brody_agents.ledger.types import UtcTime

ZONES = [ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns"), ZoneInfo("Pacific/Apia"), UTC]
ZONES += [timezone(timedelta(hours=14)), timezone(-timedelta(hours=11, minutes=30))]


@pytest.mark.parametrize("zone", ZONES, ids=str)
async def test_an_instant_comes_back_as_the_same_moment_in_utc(ledger: Ledger, zone: ZoneInfo) -> None:
    at = datetime(2026, 10, 25, 2, 30, 0, 123456, zone, fold=1)  # twice on that night in Berlin
    users = table(User)
    async with ledger.write() as tx:
        await tx.execute(users.update().where(users.c.id == "me").values(created_at=at))
        found = (await tx.execute(users.select().where(users.c.created_at == at))).one()
    assert found.created_at == at.astimezone(UTC)
    assert found.created_at.tzinfo is UTC


async def test_the_hour_that_comes_twice_is_two_moments(ledger: Ledger) -> None:
    first, second = (datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold) for fold in (0, 1))
    users = table(User)
    async with ledger.write() as tx:
        await tx.execute(users.update().where(users.c.id == "me").values(created_at=first))
        await tx.execute(users.update().where(users.c.id == "ada").values(created_at=second))
        order = (await tx.execute(users.select().order_by(users.c.created_at))).all()
    assert [user.id for user in order] == ["me", "ada"]
    assert order[1].created_at - order[0].created_at == timedelta(hours=1)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(TypeError, match="without a zone"):
        UtcTime().process_bind_param(datetime(2026, 1, 1), sqlite.dialect())


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.sampled_from(ZONES)))
def test_every_database_gives_back_the_moment_that_it_was_given(at: datetime) -> None:
    for dialect in (sqlite.dialect(), postgresql.dialect()):  # type: ignore[no-untyped-call]
        stored = UtcTime().process_bind_param(at, dialect)
        assert UtcTime().process_result_value(stored, dialect) == at.astimezone(UTC)
