"""Check a USD scene against our rules, OpenUSD's validators and NVIDIA's."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lyra_sim.errors import LyraSimError
from lyra_sim.inspect import inspect_file
from lyra_sim.usd.probe import probe

ACCEPTED = ("provenance.json", ".nurec")
"""Members that OpenUSD's package validator does not know; nothing of USD opens them."""


@dataclass(frozen=True)
class Finding:
    """Hold one complaint."""

    source: Literal["lyra-sim", "OpenUSD", "NVIDIA"]
    severity: Literal["error", "warning"]
    rule: str
    message: str


@dataclass(frozen=True)
class Validation:
    """Hold all complaints and the rule sets that were asked."""

    path: str
    findings: tuple[Finding, ...]
    checked_by: tuple[str, ...]

    def passed(self, *, strict: bool = False) -> bool:
        """Return whether there is no error, and with `strict` no warning either."""
        return not [f for f in self.findings if strict or f.severity == "error"]


def validate_file(path: str | Path) -> Validation:
    """Check a USD file with every rule set at hand.

    NVIDIA's rules, the Gaussian splat rule VG.035 among them, are asked when `usd-validation-nvidia` is installed.

    Raises:
        LyraSimError: The file is no USD file or so damaged that it cannot be opened.
    """
    from pxr import UsdUtils

    path = Path(path)
    probe(path)
    checked = ["lyra-sim", "OpenUSD"]
    # What the rule sets do inside USD makes it warn on stderr, such as of a dash in the file's name.
    delegate = UsdUtils.CoalescingDiagnosticDelegate()
    try:
        findings = [*_ours(path), *_openusd(path)]
        if importlib.util.find_spec("usd_validation_nvidia"):
            findings += _nvidia(path)
            checked.append("NVIDIA")
    finally:
        delegate.TakeUncoalescedDiagnostics()
    return Validation(str(path), tuple(findings), tuple(checked))


def _ours(path: Path) -> list[Finding]:
    """Return what the scene lacks for simulation; a form for the other Isaac Sim is nobody's duty."""
    try:
        missing = inspect_file(path).missing
    except LyraSimError as error:
        return [Finding("lyra-sim", "error", "readable", str(error))]
    kept = [m for m in missing if not m.startswith(("No ParticleField", "No NuRec", "No provenance"))]
    return [Finding("lyra-sim", "warning", "simulation", message) for message in kept]


def _openusd(path: Path) -> list[Finding]:
    from pxr import Usd, UsdValidation

    context = UsdValidation.ValidationContext(UsdValidation.ValidationRegistry().GetOrLoadAllValidators())
    found = []
    for error in context.Validate(Usd.Stage.Open(str(path))):
        message = " ".join(error.GetMessage().split())
        if "unsupported extension" in message and any(f"{name}'" in message for name in ACCEPTED):
            continue
        serious = error.GetType() == UsdValidation.ValidationErrorType.Error
        found.append(Finding("OpenUSD", "error" if serious else "warning", error.GetName(), message))
    return found


def _nvidia(path: Path) -> list[Finding]:
    from usd_validation_nvidia import GaussianSplatSchemaChecker, IssueSeverity, ValidationEngine

    engine = ValidationEngine()
    engine.enable_rule(GaussianSplatSchemaChecker)
    serious = (IssueSeverity.ERROR, IssueSeverity.FAILURE)
    return [
        Finding(
            "NVIDIA",
            "error" if issue.severity in serious else "warning",
            issue.rule.__name__ if issue.rule else "engine",
            " ".join(str(issue.message).split()),
        )
        for issue in engine.validate(str(path)).issues()
    ]
