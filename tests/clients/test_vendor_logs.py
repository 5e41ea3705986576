"""What the libraries of object stores log while a ledger is used, and afterwards."""

import logging
from collections.abc import Iterator

import pytest

from airflow_provider_amplitude_segment.clients.vendor_logs import vendor_logs_at_warning

# It writes some twenty lines for each request.
CHATTY = "azure.core.pipeline.policies.http_logging_policy"


@pytest.fixture(params=["azure", "botocore", "google"])
def vendor(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[logging.Logger]:
    """Return a vendor's logger as Airflow leaves it: without a level of its own, below a root at ``INFO``."""
    caplog.set_level(logging.INFO)
    logger = logging.getLogger(request.param)
    before = logger.level
    logger.setLevel(logging.NOTSET)
    yield logger
    logger.setLevel(before)


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return what was logged since this was asked last."""
    messages = list(caplog.messages)
    caplog.clear()
    return messages


def speak(logger: logging.Logger) -> None:
    logger.debug("bytes")
    logger.info("request")
    logger.warning("slow")


def test_only_warnings_are_logged_inside_and_everything_as_before_afterwards(
    vendor: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    deep = vendor.getChild("core.pipeline")
    with vendor_logs_at_warning():
        speak(deep)
        assert said(caplog) == ["slow"]

    speak(deep)
    assert said(caplog) == ["request", "slow"]


def test_levels_are_given_back_when_the_sync_fails(vendor: logging.Logger) -> None:
    with pytest.raises(RuntimeError), vendor_logs_at_warning():
        raise RuntimeError

    assert vendor.level == logging.NOTSET


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.ERROR])
def test_a_level_that_was_chosen_for_a_vendor_is_kept(vendor: logging.Logger, level: int) -> None:
    vendor.setLevel(level)

    with vendor_logs_at_warning():
        assert vendor.level == level

    assert vendor.level == level


def test_the_level_that_was_chosen_for_one_part_of_a_vendor_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, logger=CHATTY)

    with vendor_logs_at_warning():
        speak(logging.getLogger(CHATTY))
        speak(logging.getLogger("azure.identity"))

    assert said(caplog) == ["request", "slow", "slow"]


def test_who_logs_everything_at_debug_sees_the_vendors_too(
    vendor: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    with vendor_logs_at_warning():
        speak(vendor)

    assert said(caplog) == ["bytes", "request", "slow"]
