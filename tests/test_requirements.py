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
    assert requirements.OPENCV_FOR_NUMPY_1.split(",")[0] == requirements.OPENCV.split(",")[0]


@pytest.mark.parametrize("requirement", [requirements.NUMPY, requirements.OPENCV])
def test_ci_runs_the_lower_bounds(requirement):
    name, lower = re.match(r"([a-z-]+)>=([\d.]+),", requirement).groups()
    assert re.search(rf"^{name}=={re.escape(lower)}\b", LOWEST, re.MULTILINE)


def test_litert_machines_are_those_of_the_dependency():
    machines = re.search(r"platform_machine in '(.*)'", PROJECT).group(1)
    assert tuple(machines.split()) == requirements.LITERT_MACHINES


def test_boards_get_no_other_versions():
    known = {getattr(requirements, name) for name in requirements.__all__ if name != "LITERT_MACHINES"}
    assert {requirement for packages in REQUIREMENTS.values() for requirement in packages} <= known
