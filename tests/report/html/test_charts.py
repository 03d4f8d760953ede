import re

import numpy as np
import pytest

from edgefer.report.html.charts import histogram, line_chart, ticks


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1.18, 1.77), (0.0, 0.0), (-3.0, 5.0), (1e-6, 2e-6), (5, 5)])
def test_ticks_enclose_their_range(low, high):
    marks = ticks(low, high)
    assert marks[0] <= low + 1e-12
    assert marks[-1] >= high - 1e-12
    assert 2 <= len(marks) <= 8


def test_charts_accept_missing_single_and_equal_values():
    assert "NaN" not in line_chart({"loss": [float("nan"), 1.0]}, label="x")
    assert line_chart({"loss": [2.0]}, label="x", marked=0).count("polyline") == 1
    same = histogram(np.full(5, 80.0), marks={"p50": 80.0}, label="x")
    assert same.count("<rect") == 48
    assert "nan" not in same.lower()


def test_a_histogram_with_outliers_is_logarithmic_and_labeled_so():
    samples = np.concatenate([np.full(980, 60.0), np.full(20, 4000.0)])
    drawing = histogram(samples, marks={"p50": 60.0, "p99": 4000.0}, label="x")
    assert "logarithmic" in drawing
    assert "logarithmic" not in histogram(np.linspace(60, 90, 50), marks={"p50": 75.0}, label="x")
    heights = [float(height) for height in re.findall(r'<rect [^>]*height="([\d.]+)"', drawing)]
    assert len([height for height in heights if height > 0]) == 2
