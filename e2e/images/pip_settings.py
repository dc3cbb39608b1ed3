"""The host's pip settings and certificates, lent to the build steps that call pip and to nothing else."""

from __future__ import annotations

import configparser
import io
import os
import sys
from collections.abc import Mapping
from pathlib import Path

BUNDLE_IN_BUILD = "/run/secrets/ca.crt"
# Paths of the host mean nothing in a build, and the log is the builder's.
_LEFT_OUT = frozenset(
    {"cache_dir", "cert", "client_cert", "config_file", "find_links", "log", "require_virtualenv", "target"}
)
_BUNDLE_VARIABLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_SYSTEM_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def configuration_files(environment: Mapping[str, str]) -> list[Path]:
    """List pip's own places for settings, the strongest last."""
    home = Path(environment.get("HOME", "/"))
    user = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    files = [Path("/etc/pip.conf"), home / ".pip/pip.conf", user / "pip/pip.conf", Path(sys.prefix) / "pip.conf"]
    if named := environment.get("PIP_CONFIG_FILE"):
        files.append(Path(named))
    return files


def pip_configuration(environment: Mapping[str, str], files: list[Path]) -> str:
    """Write one pip.conf that says what pip would do on the host: its files, then its PIP_ variables."""
    found = configparser.RawConfigParser()
    found.read(files, encoding="utf-8")
    settings: dict[str, str] = {}
    for section in ("global", "install"):
        if found.has_section(section):
            settings.update({name.replace("-", "_"): value for name, value in found.items(section)})
    settings.update(
        {name.removeprefix("PIP_").lower(): value for name, value in environment.items() if name.startswith("PIP_")}
    )
    lent = {name.replace("_", "-"): value for name, value in sorted(settings.items()) if name not in _LEFT_OUT}
    if certificate_bundle(environment) is not None:
        lent["cert"] = BUNDLE_IN_BUILD
    result = configparser.RawConfigParser()
    result["global"] = lent
    text = io.StringIO()
    result.write(text)
    return text.getvalue()


def certificate_bundle(environment: Mapping[str, str]) -> Path | None:
    """Find the file of certificates that the host trusts."""
    candidates = [environment[name] for name in _BUNDLE_VARIABLES if environment.get(name)]
    for path in (*map(Path, candidates), *map(Path, _SYSTEM_BUNDLES)):
        if path.is_file():
            return path
    return None


def write_secrets(folder: Path) -> dict[str, Path]:
    """Write what the Dockerfiles' RUN steps may mount: secret id to file."""
    environment = os.environ
    configuration = folder / "pip.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(pip_configuration(environment, configuration_files(environment)), encoding="utf-8")
    secrets = {"pip.conf": configuration}
    if (bundle := certificate_bundle(environment)) is not None:
        secrets["ca.crt"] = bundle
    return secrets
