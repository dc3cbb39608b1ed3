"""Names of children: readable, bounded, and different for each life of their owner."""

from __future__ import annotations

NAME_ROOM = 40
LABEL_ROOM = 63


def uid5(uid: str) -> str:
    """Five characters that tell this life of a resource from an earlier one of the same name."""
    return uid.replace("-", "")[:5]


def child_name(owner: str, uid: str, suffix: str | int) -> str:
    """``<name, 40 at most>-<uid5>-<suffix>``; dots become dashes, since pods and Services need DNS labels."""
    stem = owner[:NAME_ROOM].replace(".", "-").rstrip("-")
    return f"{stem}-{uid5(uid)}-{suffix}"


def label_value(text: str) -> str:
    """``text`` as a label value: 63 characters at most, ending in an alphanumeric."""
    return text[:LABEL_ROOM].rstrip("-._")
