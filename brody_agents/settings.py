"""Settings from the environment (``BRODY_…``); every one has a default that needs no server and no key."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from brody_agents.errors import ConfigurationError

Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(str.upper)]


class Settings(BaseSettings):
    """What can be set; ``BRODY_REDIS_URL`` is the setting ``redis_url``."""

    model_config = SettingsConfigDict(env_prefix="BRODY_", extra="ignore")

    home: Path = Path("~/.brody")
    redis_url: str = ""
    """A Redis or Valkey to use instead of the embedded one; ``memory:`` for the in-memory bus."""
    database_url: str = ""
    """A PostgreSQL to use instead of the home's SQLite file: ``postgresql://user:password@host/database``."""
    cpu_workers: int = Field(default_factory=lambda: os.cpu_count() or 1, ge=0)
    """Processes for parsing and features; 0 does it all in threads."""
    lock_timeout: float = 60.0
    """Seconds to wait for another process that works on the same home."""
    approval_days: float = Field(default=7.0, gt=0, le=3650)
    """Days that a proposal waits for the person's answer before it expires."""
    handler_timeout: float = Field(default=300.0, gt=0)
    """Seconds that a handler may take, unless it says otherwise."""
    output_limit: int = Field(default=1_000, gt=0)
    """How many messages, actions and shared values a handler may put out for one message."""
    backlog_limit: int = Field(default=250_000, gt=0)
    """From how many open messages on new ones from outside are refused for a while."""
    poison_after: int = Field(default=3, gt=0)
    """How often handling a message may end the process before it goes to the dead letters."""
    log_level: Level = "ERROR"
    """From which level on the command line shows logs; the dead letters tell of failures in any case."""
    timezone: str = ""
    """The user's zone where none is given; empty for the system's."""


def settings_from_environment() -> Settings:
    """Return the settings; raise ``ConfigurationError`` that names the first variable with a wrong value."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        name = f"BRODY_{str(first['loc'][0]).upper()}"
        what = f"{name} is {os.environ.get(name, first['input'])!r}: {first['msg']}."
        raise ConfigurationError(what, "Set it right or unset it.") from error
