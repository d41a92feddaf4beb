"""Each fuzz target takes any input: so that none has grown old when somebody fuzzes again. No atheris is needed."""

import importlib.util
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

TARGETS = sorted(Path(__file__).parent.glob("fuzz_*.py"))


def target(path):
    spec = importlib.util.spec_from_file_location(f"angarium_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.one_input


@pytest.mark.parametrize("path", TARGETS, ids=lambda path: path.stem)
def test_any_input(path):
    one_input = target(path)

    @settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
    @given(st.binary(max_size=300))
    @example(b"")
    @example(b"\x08\xa4")
    @example(bytes(range(200)))
    def any_input(data):
        one_input(data)

    any_input()
