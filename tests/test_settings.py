"""Settings: every one comes from the environment, and a wrong one is named."""

from __future__ import annotations

import pytest

from brody_agents.brody import Brody
from brody_agents.errors import ConfigurationError
from brody_agents.settings import settings_from_environment


def test_a_setting_comes_from_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRODY_CPU_WORKERS", "3")
    monkeypatch.setenv("BRODY_LOG_LEVEL", "debug")

    settings = settings_from_environment()

    assert (settings.cpu_workers, settings.log_level) == (3, "DEBUG")


@pytest.mark.parametrize(
    ("variable", "value"), [("BRODY_CPU_WORKERS", "many"), ("BRODY_CPU_WORKERS", "-1"), ("BRODY_LOG_LEVEL", "loud")]
)
def test_a_wrong_value_is_an_error_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(ConfigurationError) as caught:
        Brody()

    assert variable in caught.value.what
    assert value in caught.value.what


def test_rates_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRODY_RATES", '{"gmail": "250/60"}')
    assert settings_from_environment().rates == {"gmail": "250/60"}
    monkeypatch.setenv("BRODY_RATES", "fast")
    with pytest.raises(ConfigurationError, match="BRODY_RATES"):
        settings_from_environment()
