"""The effect that a decision can't put in a manifest, and the adapter that carries it out: a Secret of random content.

A decision is pure, so it has no random bytes; and what it does not know, it can't write to a log or a status.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from modelcycle.cluster.kinds import SECRET
from modelcycle.constants import FEEDBACK_KEY_FILE
from modelcycle.core.hashing import canonical
from modelcycle.core.plan import Effect, Manifest
from modelcycle.errors import AlreadyExists
from modelcycle.runtime.own_cluster import ENDPOINT, OwnCluster
from modelcycle.runtime.ports import EffectHandler

KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class EnsureFeedbackKey(Effect):
    """Create the Secret with a random key unless it is there. ``secret``: its manifest as JSON, without content.

    Result: None. The operator never reads it, so what is in one that exists is not looked at. ``again`` tells one
    request from a later equal one.
    """

    secret: str
    again: str = ""
    endpoint: str = ENDPOINT


def as_json(manifest: Manifest) -> str:
    return canonical(manifest).decode()


class ClusterEffects(OwnCluster):
    """Effects of deployments on the cluster itself."""

    @property
    def effects(self) -> Mapping[type[Effect], EffectHandler]:
        return {EnsureFeedbackKey: self.ensure_feedback_key}

    async def ensure_feedback_key(self, effect: EnsureFeedbackKey) -> None:
        key = base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
        manifest = json.loads(effect.secret) | {"data": {FEEDBACK_KEY_FILE.rpartition("/")[2]: key}}
        with suppress(AlreadyExists):
            await self._cluster.create(SECRET, manifest)
