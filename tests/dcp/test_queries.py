"""Queries for presentations, as they come in."""

import pytest

from connector.dcp import messages
from connector.dcp.messages import CONTEXT, PresentationQueryMessage
from connector.errors import RemoteProtocolError


def query(**members: object) -> PresentationQueryMessage:
    document = {"@context": [CONTEXT], "type": "PresentationQueryMessage", **members}
    return messages.parse(document, PresentationQueryMessage)


def test_a_definition_is_told_from_what_is_none() -> None:
    """A presentation definition is read as such; null is no definition."""
    assert query(presentationDefinition={"id": "x", "input_descriptors": []}).presentation_definition
    assert query(presentationDefinition=None).presentation_definition is None


@pytest.mark.parametrize("wrong", [{}, {"id": "x"}, {"input_descriptors": []}, [], "x", 7])
def test_a_broken_definition_is_the_senders_mistake(wrong: object) -> None:
    """Not something that this node can't do, which is another answer."""
    with pytest.raises(RemoteProtocolError, match="presentationDefinition"):
        query(presentationDefinition=wrong)
