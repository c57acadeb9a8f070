"""``.ci/audit``: findings fail, and where nobody can be asked it says so.

pip-audit is a stand-in here that prints what the real one (2.10) printed in each case.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from bounded import ROOT

KNOWN = "pyyaml 5.3     PYSEC-2021-142 5.4          CVE-2020-14343, GHSA-8q59-q68h-6hv4"
UNREACHABLE = "requests.exceptions.ConnectionError: Max retries exceeded with url: /v1/query"
NOT_FOUND = "pyyaml Dependency not found on PyPI and could not be audited: pyyaml (5.3)"
FOUND = "torch  2.1     PYSEC-2024-259 2.5.0        CVE-2024-48063"

_STAND_IN = """#!/bin/sh
case "$*" in
--version) echo "pip-audit 2.10.1" ;;
*--requirement*) {first} ;;
*"--path {folder}"*) {then} ;;
*) exit 99 ;;
esac
"""


def audit(tmp_path: Path, first: str, then: str = "exit 98") -> subprocess.CompletedProcess[str]:
    """The script where pip-audit does this when it is asked for a version, and for a folder."""
    program = tmp_path / "pip-audit"
    program.write_text(_STAND_IN.format(first=first, then=then, folder=tmp_path))
    program.chmod(0o755)
    command = [ROOT / ".ci" / "audit", program, tmp_path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_nothing_is_found(tmp_path: Path) -> None:
    done = audit(tmp_path, f"echo '{KNOWN}'; exit 1", "echo No known vulnerabilities found")
    assert done.returncode == 0
    assert done.stdout == "No known vulnerabilities found\n"


def test_findings_fail(tmp_path: Path) -> None:
    done = audit(tmp_path, f"echo '{KNOWN}'; exit 1", f"echo '{FOUND}'; exit 1")
    assert done.returncode == 1
    assert FOUND in done.stdout


def test_a_service_that_vanishes_is_no_clean_bill(tmp_path: Path) -> None:
    done = audit(tmp_path, f"echo '{KNOWN}'; exit 1", f"echo '{UNREACHABLE}' >&2; exit 1")
    assert done.returncode == 1


@pytest.mark.parametrize(
    "first",
    [
        f"echo '{UNREACHABLE}' >&2; exit 1",
        f"echo 'No known vulnerabilities found' >&2; echo '{NOT_FOUND}'",
    ],
    ids=["unreachable", "a mirror without vulnerabilities"],
)
def test_where_nobody_knows_it_is_said(tmp_path: Path, first: str) -> None:
    """Both look like an answer to pip-audit: of findings, and of none."""
    done = audit(tmp_path, first)
    assert done.returncode == 0
    assert done.stdout == "not audited: no service here knows of vulnerabilities of packages\n"


def test_pip_audit_must_be_there(tmp_path: Path) -> None:
    command = [ROOT / ".ci" / "audit", tmp_path / "pip-audit", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "not audited" not in done.stdout
