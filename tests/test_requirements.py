"""The versions in code are those of pyproject.toml and of what CI installs on the oldest board."""

import re
from pathlib import Path

import pytest

from edgefer import requirements
from edgefer.fleet.provisioning import REQUIREMENTS

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
LOWEST = (ROOT / ".ci" / "constraints-tflite-runtime.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("requirement", [requirements.NUMPY, requirements.OPENCV, requirements.LITERT])
def test_a_requirement_is_a_dependency_of_the_package(requirement):
    assert re.search(rf'^    "{re.escape(requirement)}["; ]', PROJECT, re.MULTILINE)


def test_tflite_runtime_is_the_version_of_the_extra_and_of_ci():
    (extra,) = re.findall(r"^tflite-runtime = \[(.*)\]$", PROJECT, re.MULTILINE)
    assert f'"{requirements.TFLITE_RUNTIME};' in extra
    assert f"\n{requirements.TFLITE_RUNTIME}\n" in LOWEST


def test_numpy_1_is_the_lower_bound_of_numpy_with_the_upper_bound_of_the_extra():
    lower, upper = requirements.NUMPY_1.split(",")
    assert lower == requirements.NUMPY.split(",")[0]
    assert f'["numpy{upper}", "{requirements.TFLITE_RUNTIME};' in PROJECT
    assert f'"{requirements.OPENCV_FOR_NUMPY_1.split(",")[0]},<5; python_version < \'3.12\'"' in PROJECT


@pytest.mark.parametrize("requirement", [requirements.NUMPY, requirements.OPENCV_FOR_NUMPY_1])
def test_ci_runs_the_lower_bounds(requirement):
    name, lower = re.match(r"([a-z-]+)>=([\d.]+),", requirement).groups()
    assert re.search(rf"^{name}=={re.escape(lower)}\b", LOWEST, re.MULTILINE)


def test_litert_machines_are_those_of_the_dependency():
    machines = re.search(r"platform_machine in '(.*)'", PROJECT).group(1)
    assert tuple(machines.split()) == requirements.LITERT_MACHINES


def test_boards_get_no_other_versions():
    known = {getattr(requirements, name) for name in requirements.__all__ if name != "LITERT_MACHINES"}
    assert {requirement for packages in REQUIREMENTS.values() for requirement in packages} <= known


# Package, first version without the known vulnerability, and its number. Each lower bound is at least this version.
FIXED = {
    "opencv-python-headless": ("4.12", "CVE-2025-53644"),
    "keras": ("3.12.1", "CVE-2026-0897"),
    "starlette": ("1.3.1", "CVE-2026-54283"),
    "h11": ("0.16", "CVE-2025-43859"),
}


@pytest.mark.parametrize("name", FIXED)
def test_a_lower_bound_excludes_known_vulnerabilities_and_the_security_policy_names_them(name):
    version, vulnerability = FIXED[name]
    policy = (ROOT / ".github/SECURITY.md").read_text(encoding="utf-8")
    assert vulnerability in policy
    bounds = re.findall(rf'"{name}>=([\d.]+)[^"]*"', PROJECT)
    assert bounds
    if name == "opencv-python-headless":  # numpy 1 has no fixed version; the policy says so
        bounds = [bound for bound in bounds if bound != "4.11"]
    for bound in bounds:
        assert tuple(map(int, bound.split("."))) >= tuple(map(int, version.split(".")))
