"""Admission: what comes from the bus becomes messages that are believed, or dead letters; each message once.

Only the ledger's own words are believed. An entry is taken for one of its messages if it has the same bytes; what a
stranger wrote is adopted without its provenance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from brody_agents.communication.bus.base import Bus, Entry, partition_of
from brody_agents.communication.message_protocol import AgentMessage, decode, encode
from brody_agents.coordinator.lanes import Delivery
from brody_agents.coordinator.outbox import Outbox, Refused
from brody_agents.coordinator.partitions import Share
from brody_agents.errors import Poison, ProtocolError
from brody_agents.ledger import messages
from brody_agents.ledger.dead_letters import Burial, bury
from brody_agents.ledger.ledger import Ledger
from brody_agents.ledger.messages import Standing, Stored, digest_of
from brody_agents.ledger.outages import Outages
from brody_agents.registry import Registry

NOBODY = "nobody"
"""The user under whom bytes are kept that do not say whose they are."""

Arrived = tuple[AgentMessage, Entry]
Decoded = tuple[AgentMessage | ProtocolError, Entry]


@dataclass(slots=True)
class OpenMessage:
    """A message under way: its entries on the bus and the agents that it still has to reach."""

    message: AgentMessage
    digest: bytes
    waiting: set[str]
    entries: list[Entry] = field(default_factory=list)
    later: bool = False
    """Whether an agent tries it again later, so that it stays open in the ledger."""


@dataclass(slots=True)
class _Reading:
    """What becomes of the entries of one reading, apart from the deliveries."""

    own: dict[str, Stored] = field(default_factory=dict)
    """Messages, by id, that were published here and that nobody has handled: the ledger need not be asked."""
    burials: list[Burial] = field(default_factory=list)
    over: dict[tuple[int, str], Entry] = field(default_factory=dict)
    """Entries that are done with, by their place on the bus."""

    def bury(self, entry: Entry, burial: Burial) -> None:
        self.burials.append(burial)
        self.end(entry)

    def end(self, entry: Entry) -> None:
        self.over[entry.partition, entry.id] = entry

    def has(self, entry: Entry) -> bool:
        return (entry.partition, entry.id) in self.over


class Admission:
    """Let messages in; ``open`` are those that are under way."""

    def __init__(
        self,
        ledger: Ledger,
        bus: Bus,
        registry: Registry,
        outbox: Outbox,
        share: Share | None = None,
        outages: Outages | None = None,
    ) -> None:
        self._ledger = ledger
        self._bus = bus
        self._registry = registry
        self._outbox = outbox
        self._share = share or Share()
        self._outages = outages or Outages()
        self.open: dict[str, OpenMessage] = {}
        self._aside: defaultdict[str, list[Entry]] = defaultdict(list)
        """Entries of open messages that others have published: they are done with when the message is."""

    def decoded(self, entries: Sequence[Entry]) -> list[Decoded]:
        """Return entries with the messages that they are, or with what is wrong with them."""
        return [(self._decode(entry), entry) for entry in entries]

    def _decode(self, entry: Entry) -> AgentMessage | ProtocolError:
        try:
            return decode(entry.data, self._registry.payloads)
        except ProtocolError as error:
            return error

    async def admit(self, decoded: Sequence[Decoded]) -> list[Delivery]:
        """Return the deliveries that entries make; one to no agent only has to be closed."""
        reading = _Reading()
        arrived = self._arrived(decoded, reading)
        asked = [(m, e) for m, e in arrived if self._must_ask(m, e, reading)]
        standing = await self._outages.ride_out(lambda: self._standing(asked, reading))
        deliveries = [d for m, e in arrived for d in self._admitted(m, e, standing.get(m.id), reading)]
        await self._outages.ride_out(lambda: self._bury(reading.burials))
        await self._bus.acknowledge(list(reading.over.values()))
        return deliveries

    async def refuse(self, refused: Sequence[Refused]) -> list[Delivery]:
        """Bury messages that the bus does not carry; return deliveries to nobody, which close them."""
        reading, deliveries = _Reading(), []
        for stored, error in refused:
            message = decode(stored.body, self._registry.payloads)
            if message.id not in self.open:
                self.open[message.id] = OpenMessage(message, stored.digest, set())
                self._outbox.arrived(message.id, message.user_id)
                reading.burials.append(burial(message, error.code, str(error), agent=message.recipient))
                deliveries.append(Delivery(message, ""))
        await self._outages.ride_out(lambda: self._bury(reading.burials))
        return deliveries

    def let_go(self, partitions: Collection[int]) -> None:
        """Forget what is under way in partitions that another worker has now."""
        for message_id in [i for i, o in self.open.items() if partition_of(o.message.user_id) in partitions]:
            del self.open[message_id]
        for message_id in [i for i, entries in self._aside.items() if entries[0].partition in partitions]:
            del self._aside[message_id]

    def _arrived(self, decoded: Sequence[Decoded], reading: _Reading) -> list[Arrived]:
        arrived = []
        for message, entry in decoded:
            if entry.partition not in self._share.partitions:
                continue  # its new holder has it, or will read it again
            if isinstance(message, ProtocolError):
                reading.bury(entry, _unreadable(message, entry))
            else:
                arrived.append((message, entry))
        return arrived

    def _must_ask(self, message: AgentMessage, entry: Entry, reading: _Reading) -> bool:
        if message.id in self.open:
            return False
        own = self._outbox.wrote(message.id, entry.data) if self._share.published(entry) else None
        if own is not None:
            reading.own[message.id] = own
        return own is None

    async def _standing(self, arrived: Sequence[Arrived], reading: _Reading) -> dict[str, Standing]:
        """Return what the ledger knows of messages; what it does not have, it adopts."""
        if not arrived:
            return {}
        await self._ledger.ensure_users({m.user_id for m, _ in arrived})
        async with self._ledger.glance() as tx:
            standing = await messages.standing(tx, {m.id for m, _ in arrived})
        adopted: dict[str, AgentMessage] = {}
        for message, entry in arrived:
            if message.id not in standing and message.id not in adopted:
                try:
                    encode(message)
                    adopted[message.id] = message.untrusted()
                except ProtocolError as error:
                    reading.bury(entry, _unreadable(error, entry))
        if adopted:
            async with self._ledger.write() as tx:
                stored = await messages.write(tx, self._ledger.vault, list(adopted.values()))
            standing |= {s.id: Standing(s.digest, open=True) for s in stored}
            if not self._share.alone:
                self._outbox.look()
                await self._share.announce({s.partition for s in stored if not self._share.has(s.user_id)})
        return standing

    def _admitted(
        self, message: AgentMessage, entry: Entry, standing: Standing | None, reading: _Reading
    ) -> list[Delivery]:
        if reading.has(entry):
            return []
        known, own = self.open.get(message.id), reading.own.get(message.id)
        believed: AgentMessage | None = message
        if own and not (known or standing):
            digest = own.digest
        else:
            digest = known.digest if known else standing.digest if standing else digest_of(entry.data)
            believed = _believed(message, entry, digest)
        if believed is None:
            reading.bury(entry, id_taken(message, entry.data))
        elif known:  # a second copy on the bus
            known.entries.append(entry)
        elif (standing is not None and not standing.open) or not self._share.has(message.user_id):
            reading.end(entry)  # what a stranger has put on the wrong stream, the ledger has for its holder
        elif (due := _due_at(message, standing)) and due > datetime.now(UTC) and not message.expired:
            reading.end(entry)
            self._outbox.closed([message.id])
            self._outbox.due_at(due)
        elif not self._share.published(entry):  # an earlier holder's, or a stranger's: the ledger's order decides
            self._aside[message.id].append(entry)
        else:
            return self._opened(OpenMessage(believed, digest, set(), [entry]), standing, reading)
        return []

    def _opened(self, opened: OpenMessage, standing: Standing | None, reading: _Reading) -> list[Delivery]:
        message, done = opened.message, standing.done if standing else set()
        self.open[message.id] = opened
        opened.entries += self._aside.pop(message.id, ())
        self._outbox.arrived(message.id, message.user_id)
        route = self._registry.route(message)
        agents = [name for name in route.agents if name not in done]
        body = opened.entries[0].data
        if message.expired:
            why = "Its deadline had passed."
            reading.burials += [burial(message, "expired", why, agent=a, body=body) for a in agents or [""]]
            agents = []
        elif route.code and message.recipient not in done:
            reading.burials.append(burial(message, route.code, route.reason, agent=message.recipient, body=body))
        opened.waiting.update(agents)
        tries, alone = (standing.attempts, standing.deaths > 0) if standing else (0, False)
        return [Delivery(message, name, alone=alone, tries=tries) for name in agents or [""]]

    async def _bury(self, burials: Sequence[Burial]) -> None:
        if burials:
            await self._ledger.ensure_users({b.user_id for b in burials})
            async with self._ledger.write() as tx:
                await bury(tx, self._ledger.vault, burials)


async def bury_poison(
    ledger: Ledger, left: Sequence[tuple[str, Sequence[str]]], limit: int, registry: Registry
) -> None:
    """Count the death of the last process against what its handlers were at, and bury what has ``limit`` of them."""
    if not left:
        return
    async with ledger.write() as tx:
        dead = await messages.count_deaths(tx, {i for _, ids in left for i in ids}, limit)
    stored = {m.id: m for m in await messages.bodies(ledger, dead)}
    why = str(Poison(f"The process ended {limit} times while it was handled."))
    burials = [
        burial(decode(m.body, registry.payloads), Poison.code, why, agent=agent, body=m.body)
        for agent, ids in left
        for i in ids
        if (m := stored.get(i))
    ]
    async with ledger.write() as tx:
        await bury(tx, ledger.vault, burials)


def _believed(message: AgentMessage, entry: Entry, digest: bytes) -> AgentMessage | None:
    """Return the message as the ledger has it, or ``None`` if the entry is no copy of it."""
    if digest_of(entry.data) == digest:
        return message
    adopted = message.untrusted()
    return adopted if digest_of(encode(adopted)) == digest else None


def _due_at(message: AgentMessage, standing: Standing | None) -> datetime | None:
    """Return from when on a message is handled: its own time, or that of its next try; ``None`` for always."""
    own, next_try = message.not_before, standing.not_before if standing else None
    return max(own, next_try) if own and next_try else own or next_try


def _unreadable(error: ProtocolError, entry: Entry) -> Burial:
    return Burial(user_id=NOBODY, code=error.code, reason=str(error), body=entry.data)


def id_taken(message: AgentMessage, body: bytes) -> Burial:
    """Return the burial of a message whose id another one has; it does not stand for that one."""
    return replace(burial(message, "id_taken", "Another message has this id.", body=body), message_id=None)


def burial(message: AgentMessage, code: str, reason: str, *, agent: str = "", body: bytes = b"") -> Burial:
    """Return the burial of a message for an agent."""
    return Burial(
        user_id=message.user_id,
        code=code,
        reason=reason,
        body=body or encode(message),
        message_id=message.id,
        agent=agent,
        message_type=message.message_type,
        run_id=message.run_id,
    )
