"""Instants and durations, read exactly or refused."""

from datetime import UTC, datetime

import pytest

from connector.odrl import moments


@pytest.mark.parametrize(
    "text",
    [
        "2023-12-31T06:00Z",
        "2023-12-31T06:00:00Z",
        "2023-12-31T06:00:00.000Z",
        "2023-12-31T07:00+01:00",
        "2023-12-31T00:30:00-05:30",
    ],
)
def test_notations_of_one_instant_agree(text):
    """The specification's own notation without seconds, fractions and offsets name the same instant."""
    assert moments.instant(text) == datetime(2023, 12, 31, 6, tzinfo=UTC).timestamp()


def test_midnight_may_be_24_oclock():
    """xsd:dateTime allows 24:00:00 for the end of a day."""
    assert moments.instant("2023-12-31T24:00:00Z") == moments.instant("2024-01-01T00:00:00Z")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9" * 99,
        "2023-12-31",
        "2023-12-31T06:00",
        "2023-13-01T00:00Z",
        "2023-12-31T25:00Z",
        "20231231T060000Z",
        "2023-12-31T24:30Z",
        "9999-12-31T24:00:00Z",
        "2023-12-31T06:00Z\n",
        "２０２３-12-31T06:00Z",
    ],
)
def test_instants_that_are_not_exact_are_refused(text):
    """No time zone, no such day, or another format: refused with a sentence, never guessed."""
    with pytest.raises(ValueError, match=r"must be|no time zone|exists"):
        moments.instant(text)


@pytest.mark.parametrize(
    ("text", "seconds", "says"),
    [
        ("P90D", 90 * 86400, "90 days"),
        ("P2W", 14 * 86400, "14 days"),
        ("PT12H30M", 45000, "12 hours 30 minutes"),
        ("PT1.5S", 1.5, "1.5 seconds"),
        ("P1DT1S", 86401, "1 day 1 second"),
        ("P0D", 0, "no time"),
    ],
)
def test_durations_are_read_and_said(text, seconds, says):
    """A duration adds its seconds to the start, and is said in words."""
    assert moments.duration(text).after(1000.0) == 1000.0 + seconds
    assert str(moments.duration(text)) == says


@pytest.mark.parametrize("text", ["", "P", "PT", "P1", "1D", "P-1D", "P1H", "P1DT", "P1Y6", "P99999999D"])
def test_durations_that_are_none_are_refused(text):
    """What is not a duration is refused."""
    with pytest.raises(ValueError, match="must be a duration"):
        moments.duration(text)


def test_offsets_from_the_agreement():
    """EDC's notation gives a duration, also a negative one; other text is none; a bad one is refused."""
    assert moments.agreement_offset("contractAgreement+30d").after(0.0) == 30 * 86400
    assert moments.agreement_offset("contractAgreement+-5m").after(0.0) == -300
    assert moments.agreement_offset("2027-01-01T00:00:00Z") is None
    with pytest.raises(ValueError, match="contractAgreement"):
        moments.agreement_offset("contractAgreement+30y")


def test_moments_are_said_in_english():
    """An instant is said with its day first and in UTC, seconds only where there are some."""
    assert moments.text(moments.instant("2027-12-31T12:00:00Z")) == "31 December 2027 12:00 UTC"
    assert moments.text(5.0) == "1 January 1970 00:00:05 UTC"
    assert moments.text(1e18) == "a day beyond the calendar"
    assert moments.text(float("inf")) == "a day beyond the calendar"
