"""Chat: the protocol of an account that messages are posted to; nothing is read from it."""

from __future__ import annotations

from typing import Protocol


class Chat(Protocol):
    """An account with channels. The caller chooses each post's id, the same one whenever it tries again."""

    @property
    def account(self) -> str:
        """Return the account's stable key, such as ``chat:/home/me/chat``."""

    async def post(self, channel: str, text: str, post_id: str) -> str:
        """Post a text in a channel, once for an id, and return where it is.

        Errors mean what they mean in ``mail.base.Outgoing.send``.
        """

    async def find(self, channel: str, post_id: str) -> str | None:
        """Return where the post with an id is; ``None``: there surely is none."""

    async def check(self) -> str:
        """Return one line for ``brody doctor`` or raise the error that says what to do."""

    async def close(self) -> None:
        """Give up handles and connections."""
