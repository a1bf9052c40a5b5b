"""Who retired an agreement, when and why, in sentences."""

from datetime import UTC, datetime

from connector.store.courses import Course


def reason(course: Course) -> str | None:
    """The reason that was given, without who gave it: `retired_by` says that."""
    return None if course.reason is None else course.reason.partition(": ")[2]


def sentence(course: Course) -> str:
    """That an agreement was retired already: by whom, when, and why."""
    at = datetime.fromtimestamp(course.ended or 0.0, UTC)
    return (
        f"The agreement {course.agreement} was retired by {course.retired_by} "
        f"at {at:%Y-%m-%d %H:%M:%S} UTC: {reason(course)}"
    )
