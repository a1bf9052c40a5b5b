"""Who retired an agreement, in sentences that are kept as the other side is told them."""

from datetime import UTC, datetime

from connector.dsp.process import Process
from connector.node import Node
from connector.store import courses
from connector.store.courses import Course

_LEAD = "The agreement was retired by "
_OTHER = f"{_LEAD}its other side: "


def reason(course: Course) -> str | None:
    """The reason that was given, without who gave it: `retired_by` says that."""
    if course.reason is None:
        return None
    return course.reason.removeprefix(_OTHER).removeprefix(f"{_LEAD}{course.retired_by}: ")


def sentence(course: Course) -> str:
    """That an agreement was retired already: by whom, when, and why."""
    at = datetime.fromtimestamp(course.ended or 0.0, UTC)
    return (
        f"The agreement {course.agreement} was retired by {course.retired_by} "
        f"at {at:%Y-%m-%d %H:%M:%S} UTC: {reason(course)}"
    )


def by_whom(node: Node, process: Process, text: str | None) -> str | None:
    """A sentence about a process with the name of who retired its agreement in it."""
    if text is None or _OTHER not in text or "agreement" not in process.details:
        return text
    key = (process.role, process.details["agreement"], process.participant)
    course = courses.find(node.db.read, *key)
    who = course.retired_by if course is not None and course.retired_by else process.participant
    return text.replace(_OTHER, f"{_LEAD}{who}: ", 1)
