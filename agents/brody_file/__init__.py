"""The file agent: what belongs to a meeting or a thread, and where attachments should lie."""

from brody_file.agent import FileAgent

__all__ = ["FileAgent"]
