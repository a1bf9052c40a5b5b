"""What messages say to people."""

from typing import Any

import pytest

from connector.dsp.messages import TransferTerminationMessage


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (["enough", {"@value": "genug", "@language": "de"}], "enough; genug"),
        (None, "The peer ended it (E1) without a reason."),
    ],
)
def test_a_reason_is_a_sentence(reason: list[Any] | None, why: str) -> None:
    """Reasons in plain JSON and in JSON-LD read alike, and their absence is said."""
    message = TransferTerminationMessage(provider_pid="p", consumer_pid="c", code="E1", reason=reason)
    assert message.why == why
