"""The files that say who may do what: keys, tokens, kubeconfigs, and what is audited."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence

from e2e.cluster import control_plane, pki
from e2e.cluster.control_plane import ADMIN, User
from e2e.cluster.paths import ClusterPaths


def make(paths: ClusterPaths, cluster: str, server: str, addresses: Sequence[str], users: Mapping[str, User]) -> None:
    """Write all of them, with a kubeconfig for each of `users` (by component)."""
    paths.config.mkdir(mode=0o700, parents=True)
    keys = pki.Pki(paths.pki)
    pki.make(keys, addresses)
    tokens = {user: secrets.token_urlsafe(24) for user in (ADMIN, *users.values())}
    (paths.config / "tokens.csv").write_text(control_plane.token_file(tokens))
    (paths.config / "audit-policy.json").write_text(json.dumps(control_plane.audit_policy()))
    ca = keys.ca.read_bytes()
    for component, user in users.items():
        content = control_plane.kubeconfig(cluster, server, ca, tokens[user])
        (paths.config / f"{component}.kubeconfig").write_text(content)
    paths.kubeconfig.touch(mode=0o600)
    paths.kubeconfig.write_text(control_plane.kubeconfig(cluster, server, ca, tokens[ADMIN]))
