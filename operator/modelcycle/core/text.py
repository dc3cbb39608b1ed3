"""Text for people: how what comes from outside enters a status, an event or a tag, and how sentences are joined."""

from __future__ import annotations

import re

_COMMAND = re.compile(r"(^|: )(kubectl|curl) ")
ELLIPSIS = " […] "


def _is_harmless(text: str) -> bool:
    return text.isprintable() or text.replace("\n", "").replace("\t", "").isprintable()


def _bytes(text: str) -> int:
    return len(text.encode())


def clip(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` bytes of UTF-8, without control characters, the middle left out if it is too long.

    Bytes, not characters, so that the bound of a whole status holds for every language. The end is kept (two thirds),
    since the last lines of a traceback say what went wrong.
    """
    clean = text[: 8 * limit] + text[8 * limit :][-8 * limit :]
    if not _is_harmless(clean):  # rare; what is asked of each character costs more than all the rest of a pass
        clean = "".join(c if _is_harmless(c) else "\ufffd" for c in clean)
    if _bytes(clean) <= limit:
        return clean
    room = limit - _bytes(ELLIPSIS)
    if room < 12:
        return clean.encode()[:limit].decode(errors="ignore")
    head = room // 3
    start = clean.encode()[:head].decode(errors="ignore")
    end = clean.encode()[-(room - head) :].decode(errors="ignore")
    return start + ELLIPSIS + end


def sentence(text: str) -> str:
    """``text`` with a capital letter and its full stop.

    One that has a full stop gets no other, and one that ends in a command (after a colon) none at all: it is pasted.
    """
    capital = text[:1].upper() + text[1:]
    return capital if not text or text[-1] in ".!?" or _COMMAND.search(text) else f"{capital}."


def number_of(count: int, noun: str) -> str:
    """``1 pod``, ``2 pods``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
