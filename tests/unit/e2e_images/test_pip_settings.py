from __future__ import annotations

import configparser
from pathlib import Path

import pytest

from e2e.images.pip_settings import (
    BUNDLE_IN_BUILD,
    certificate_bundle,
    configuration_files,
    pip_configuration,
    write_secrets,
)


def settings(environment: dict[str, str], *files: Path) -> dict[str, str]:
    parsed = configparser.RawConfigParser()
    parsed.read_string(pip_configuration(environment, list(files)))
    return dict(parsed["global"])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    path = tmp_path / "bundle.crt"
    path.write_text("certificates", encoding="utf-8")
    return path


def test_variables_win_over_files(bundle: Path, tmp_path: Path) -> None:
    file = tmp_path / "pip.conf"
    file.write_text(
        "[global]\nindex-url = https://file.test/simple\ntimeout = 9\n[install]\nretries = 2\n", encoding="utf-8"
    )
    found = settings({"PIP_INDEX_URL": "https://variable.test/simple", "PIP_CERT": str(bundle)}, file)
    assert found == {
        "cert": BUNDLE_IN_BUILD,
        "index-url": "https://variable.test/simple",
        "retries": "2",
        "timeout": "9",
    }


def test_paths_of_the_host_are_left_out(bundle: Path) -> None:
    environment = {"PIP_FIND_LINKS": "/opt/wheels", "PIP_CACHE_DIR": "/cache", "PIP_CERT": str(bundle)}
    assert settings(environment) == {"cert": BUNDLE_IN_BUILD}


def test_percent_signs_are_kept(bundle: Path) -> None:
    url = "https://user:p%40ss@index.test/simple"
    assert settings({"PIP_INDEX_URL": url, "PIP_CERT": str(bundle)})["index-url"] == url


def test_the_strongest_file_comes_last(tmp_path: Path) -> None:
    named = tmp_path / "named.conf"
    environment = {"HOME": "/home/someone", "PIP_CONFIG_FILE": str(named)}
    assert configuration_files(environment)[-1] == named


def test_a_bundle_that_is_not_there_is_passed_over(bundle: Path, tmp_path: Path) -> None:
    environment = {"PIP_CERT": str(tmp_path / "missing"), "SSL_CERT_FILE": str(bundle)}
    assert certificate_bundle(environment) == bundle


def test_secrets_are_for_the_owner_only(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_CERT", str(bundle))
    secrets = write_secrets(tmp_path)
    assert secrets["ca.crt"] == bundle
    assert secrets["pip.conf"].stat().st_mode & 0o077 == 0
