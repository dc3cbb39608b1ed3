"""Our three kinds on a real API server, as a user with kubectl's strictness sees them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from kubernetes import client

from modelcycle.api.schema.kinds import KINDS
from modelcycle.api.v1alpha1.common import GROUP, VERSION

NAMESPACE = "default"
Manifest = dict[str, Any]
_PLURALS = {kind.name: kind.plural for kind in KINDS}


class RefusedError(Exception):
    """The API server said no; the text is its message."""


@dataclass(frozen=True, slots=True)
class ResourceClient:
    api: client.CustomObjectsApi

    def try_out(self, manifest: Manifest) -> Manifest:
        """Create with dry run: everything is checked and defaulted, nothing is stored."""
        return self._create(manifest, options={"dry_run": "All"})

    def create(self, manifest: Manifest) -> Manifest:
        return self._create(manifest, options={})

    def replace(self, manifest: Manifest) -> Manifest:
        return self._answer(self.api.replace_namespaced_custom_object, manifest, name=_name(manifest))

    def replace_status(self, manifest: Manifest) -> Manifest:
        return self._answer(self.api.replace_namespaced_custom_object_status, manifest, name=_name(manifest))

    def get(self, manifest: Manifest) -> Manifest:
        where = (GROUP, VERSION, NAMESPACE, _PLURALS[manifest["kind"]])
        found: Any = self.api.get_namespaced_custom_object(*where, _name(manifest))
        return dict(found)

    def delete(self, manifest: Manifest) -> None:
        self.api.delete_namespaced_custom_object(GROUP, VERSION, NAMESPACE, _PLURALS[manifest["kind"]], _name(manifest))

    def _create(self, manifest: Manifest, options: dict[str, str]) -> Manifest:
        return self._answer(self.api.create_namespaced_custom_object, manifest, field_validation="Strict", **options)

    def _answer(self, call: Any, manifest: Manifest, **arguments: Any) -> Manifest:
        where = {"group": GROUP, "version": VERSION, "namespace": NAMESPACE, "plural": _PLURALS[manifest["kind"]]}
        try:
            answer: Manifest = call(**where, body=manifest, **arguments)
        except client.ApiException as error:
            raise RefusedError(json.loads(error.body or "")["message"]) from error
        return answer


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])
