"""Who moves what: from the state of the two aliases to what this deployment does about them.

The table is ``docs/reference/rollouts.md``; a test reads it there and compares each row with ``act``.
"""

from __future__ import annotations

from enum import StrEnum


class Activity(StrEnum):
    """``rolling``: a candidate is on its way, whatever for."""

    IDLE = "idle"
    ROLLING = "rolling"


class Champion(StrEnum):
    """What the champion alias names, compared with what this deployment last decided."""

    SAME = "same"
    MOVED = "moved"
    GONE = "gone"


class Challenger(StrEnum):
    """What the challenger alias names, compared with what this deployment knows.

    ``none``: no alias, and none was expected. ``same``: the candidate, or a version that was judged or serves. ``new``:
    a version without a verdict. ``gone``: the candidate lost the alias, or the version can't be found any more.
    """

    NONE = "none"
    SAME = "same"
    NEW = "new"
    GONE = "gone"


class Action(StrEnum):
    KEEP = "Keep"  # go on with what is under way, or with nothing
    ROLL = "Roll"  # start a rollout of the challenger
    FOLLOW = "Follow"  # end what is under way, then serve the version that the champion alias names
    REPLACE = "Replace"  # end the rollout: another challenger takes its place
    WITHDRAW = "Withdraw"  # end the rollout: its challenger was taken back


def act(activity: Activity, champion: Champion, challenger: Challenger) -> Action:
    """The table of aliases. A champion that somebody moved comes before everything else."""
    if champion is Champion.MOVED:
        return Action.FOLLOW
    if activity is Activity.IDLE:
        return Action.ROLL if challenger is Challenger.NEW else Action.KEEP
    return {Challenger.NEW: Action.REPLACE, Challenger.GONE: Action.WITHDRAW}.get(challenger, Action.KEEP)
