"""Look at one mail: what the rules of triage ask of it, each thing worked out when it is first asked for."""

from __future__ import annotations

from functools import cached_property

from brody_agents.items import MailItem
from brody_email.asks import LOOKED_AT, Ask, AskKind, find_asks, sentences_of
from brody_email.authentication import accused, failed, pretence
from brody_email.circumstances import Circumstances
from brody_email.dates import Due, find_due
from brody_email.instructions import before_orders, may_address_assistant
from brody_email.signals import Addressed, addressed, machine_reason, recipients, was_delivered
from brody_email.spam import SpamScore, spam_score
from brody_email.tasks import spoken_to

MANY = 8
"""To more people than this, a question is to nobody in particular."""


class Look:
    """A mail, the circumstances it is read in, and what follows from the two."""

    def __init__(self, mail: MailItem, about: Circumstances) -> None:
        self.mail = mail
        self.about = about

    @cached_property
    def forged(self) -> bool:
        """Say whether the user's own server found the sender forged."""
        return failed(self.mail, self.about)

    @cached_property
    def by_user(self) -> bool:
        """Say whether the user wrote it; the address alone is anybody's to write."""
        if "sent" in self.mail.flags:
            return True
        if self.mail.sender.address not in self.about.own or self.forged:
            return False
        return not was_delivered(self.mail) or not self.spam.is_spam

    @cached_property
    def pretence(self) -> str:
        """Say as whom it comes that it may not be from."""
        return "" if self.by_user else pretence(self.mail, self.about)

    @property
    def is_doubtful(self) -> bool:
        """Say whether it comes as somebody else and some server found it forged: then nothing of it goes on."""
        return bool(self.pretence) and accused(self.mail)

    @cached_property
    def known(self) -> bool:
        """Say whether the user has to do with the sender; a forged sender proves nothing."""
        if self.forged:
            return False
        return self.mail.sender.address in self.about.known or bool(self.mail.flags & {"answered", "flagged"})

    @cached_property
    def machine(self) -> str:
        """Say what shows that a machine wrote it."""
        return machine_reason(self.mail)

    @cached_property
    def how(self) -> Addressed:
        """Say how it came to the user."""
        return addressed(self.mail, self.about.own)

    @cached_property
    def spam(self) -> SpamScore:
        """Return the signs of unwanted mail."""
        return spam_score(self.mail, forged=self.forged)

    @cached_property
    def _sentences(self) -> tuple[list[str], bool]:
        sentences = sentences_of(self.mail.reply)
        return before_orders(sentences) if self._may_give_orders else (sentences, False)

    @cached_property
    def _may_give_orders(self) -> bool:
        return may_address_assistant(self.mail.reply[:LOOKED_AT])

    @property
    def gives_orders(self) -> bool:
        """Say whether the text speaks to the assistant."""
        return self._may_give_orders and self._sentences[1]

    @cached_property
    def asks(self) -> tuple[Ask, ...]:
        """Return what it asks and promises, up to the first sentence that speaks to the assistant."""
        return find_asks(self._sentences[0])

    @cached_property
    def asked(self) -> Ask | None:
        """Return the first thing that it wants of the user, requests before questions."""
        wanted = [ask for ask in self.asks if ask.wants_something and self._is_meant(ask)]
        return next((ask for ask in wanted if ask.kind is AskKind.REQUEST), wanted[0] if wanted else None)

    @cached_property
    def promised(self) -> Ask | None:
        """Return the first thing that it promises."""
        return next((ask for ask in self.asks if ask.kind is AskKind.PROMISE and ask.confidence >= 0.6), None)

    @cached_property
    def deadline(self) -> Due | None:
        """Return the earliest date that it sets the user."""
        base = self.mail.received_at.astimezone(self.about.timezone)
        dates = (find_due(ask.text, base) for ask in self.asks if ask.wants_something and self._is_meant(ask))
        return min((due for due in dates if due and due.when >= base), key=lambda due: due.when, default=None)

    def _is_meant(self, ask: Ask) -> bool:
        if self.by_user:
            return True
        called = spoken_to(ask.text, self.mail, self.about.own) if self.about.own else None
        if called is not None:
            return called in self.about.own
        people = len(recipients(self.mail))
        return (self.how == "to" and people <= MANY) or (self.how == "unseen" and people <= 1)
