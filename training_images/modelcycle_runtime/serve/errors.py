"""What a client gets to hear when its feedback can't be read."""

from __future__ import annotations


class BadRequest(Exception):
    """The request is wrong; the message names the field."""
