"""Crash-test an agent: it is killed at its awaits, started again, and its world is looked at from outside.

`Baker` proposes and survives. `HastyBaker` writes to the disk in its handler, as many agents do: whoever is killed
after that and before the handler's end writes again, and the sweep says where.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from brody_agents import AgentMessage, Brody, BrodyAgent, Context, Payload, handles
from brody_agents.communication.message_protocol import new_context
from brody_agents.testing import approve_all, crash_points, settled, sweep

WHEN = datetime(2026, 10, 26, 7, tzinfo=UTC)


class BreadWanted(Payload, message_type="bread_wanted"):
    loaves: int
    shop: str


class Baker(BrodyAgent):
    @handles
    async def on_order(self, wanted: BreadWanted, ctx: Context) -> None:
        await ctx.remember("loaves", wanted.loaves)
        note = {"account": f"dir:{wanted.shop}", "path": "today.txt", "text": f"{wanted.loaves} loaves\n"}
        ctx.propose("file.create", note, why="The oven wants to know.")


class HastyBaker(BrodyAgent):
    @handles
    async def on_order(self, wanted: BreadWanted, ctx: Context) -> None:
        with Path(wanted.shop, "today.txt").open("a") as file:  # noqa: ASYNC230 - an effect in a handler: do not
            file.write(f"{wanted.loaves} loaves\n")
        await ctx.remember("loaves", wanted.loaves)


async def work(folder: Path, agent: type[BrodyAgent] = Baker) -> None:
    """The scenario: it runs in a process of its own, and again on the same folder after each kill."""
    shop = folder / "shop"
    shop.mkdir(exist_ok=True)
    order = AgentMessage(
        id="the order",  # sent again after a crash, it is the same message
        sender="you",
        recipient="*",
        payload=BreadWanted(loaves=3, shop=str(shop)),
        context=new_context("me", timestamp=WHEN),
    )
    async with Brody(folder / "home", accounts={"files": f"dir:{shop}"}, agents=[agent()]) as brody:
        await brody.send(order)
        await settled(brody)
        while await approve_all(brody):
            await settled(brody)


async def hasty_work(folder: Path) -> None:
    await work(folder, HastyBaker)


def world(folder: Path) -> dict[str, str]:
    """What there is in the end, seen from outside."""
    return {path.name: path.read_text() for path in (folder / "shop").iterdir()}


async def main() -> None:
    points = [point for point in crash_points([Path(__file__)], framework=False) if "Baker" in point.function]
    with TemporaryDirectory() as folder:
        for name, scenario in (("baker", work), ("hasty baker", hasty_work)):
            report = await sweep(scenario, world, Path(folder, name), points=points, when=("after",))
            print(f"{name}: {len(report.survived)} of {len(report.cases)} kills survived")
            for case in report.broken:
                print(f"  {case.hit}")
                print(f"    left {case.world['today.txt']!r} instead of {report.expected['today.txt']!r}")


if __name__ == "__main__":
    asyncio.run(main())
