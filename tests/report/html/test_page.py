import dataclasses
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from edgefer import plugins
from edgefer.errors import DataError, EdgeferError
from edgefer.models import SHIPPED
from edgefer.report.html.charts import histogram, line_chart, ticks
from edgefer.report.html.loading import read_report_data
from edgefer.report.html.markup import Html, element, table
from edgefer.report.html.page import page
from edgefer.report.html.page_data import ReportData, Training
from edgefer.report.html.pareto import front, points
from edgefer.report.loading import Results
from edgefer.report.quantization_record import Quantization
from edgefer.results import schema
from edgefer.results.benchmark import BenchmarkResult, Comparison, SoakInterval
from edgefer.results.device_state import DeviceState

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'&"
LAYER = {
    "index": 0, "kind": "CONV_2D", "layer": "stem", "activation_snr_db": 31.25, "activation_cosine": 0.99937,
    "activation_saturation": 0.0123, "weight_snr_db": 48.5, "weight_cosine": 1.0, "weight_saturation": 0.0,
    "float_gain_db": 7.94,
}  # fmt: skip
HISTORY = """\
epoch,learning_rate,loss,accuracy,selection_loss,selection_accuracy,duration_s
1,0.1,1.9,0.3,1.8,0.35,60
2,0.01,1.5,0.4,1.6,0.42,66
"""
FLIPS = """\
row,label,float_label,label_now,float_probability,probability_now
17,happy,happy,sad,0.512,0.4567
4,sad,fear,sad,0.4,0.39
"""
VOID = {"br", "circle", "line", "meta", "path", "polyline", "rect", "img", "input"}


class Reader(HTMLParser):
    """Elements with their attributes, rows of tables by caption, and what is left open."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.tables, self.texts = [], [], {}, {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows, self.caption = [], ""
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        if tag == "table":
            self.tables[self.caption] = self.rows

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        self.texts[inside] = self.texts.get(inside, "") + data
        if inside == "caption":
            self.caption += data
        elif {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


def cells(reader, caption):
    """Rows of the one table whose caption begins so, as mappings from header to text."""
    (rows,) = [rows for name, rows in reader.tables.items() if name.startswith(caption)]
    return [dict(zip(rows[0], row)) for row in rows[1:]]


@pytest.fixture
def folder(quantized, evaluated, measured, tmp_path):
    """A run with all that a page can show."""
    run = tmp_path / "runs" / "first"
    run.mkdir(parents=True)
    (run / "settings.toml").write_text('system = "small"\nepochs = 2\n\n[augment]\nflip = true\n')
    (run / "history.csv").write_text(HISTORY)
    data = {"layout": "fer2013.csv", "sha256": "d" * 64, "images": {"Training": 9}}
    data |= {"source": "/home/someone/fer2013.csv", "opened_with": {"data": "/home/someone/fer2013.csv"}}
    environment = {"edgefer": "0.1.0", "python": "3.11.7", "packages": {"keras": "3.15.1"}, "data": data}
    (run / "environment.json").write_text(json.dumps(environment))
    evaluation = evaluated("f" * 64, scheme="keras", system="small").to_json()
    (run / "metrics.json").write_text(json.dumps({"best_epoch": 2, "epochs": 2, "evaluation": evaluation}))
    own = measured(samples=True)
    slower = measured("f" * 64, p50_us=110, file="small-float32.tflite")
    looks = (DeviceState(10.0, temperature_c=50.0), DeviceState(20.0, temperature_c=70.0, throttled=("too hot",)))
    bench = BenchmarkResult(
        "pi4", (own, slower), comparisons=(Comparison(0, 1, 1.1, (1.05, 1.15)),), causes=(HOSTILE,),
        soak=tuple(SoakInterval(100.0, 110.0 + 10 * index, look) for index, look in enumerate(looks)),
    ).to_json(samples=True)  # fmt: skip
    (run / SHIPPED.with_suffix(".flips.csv").name).write_text(FLIPS)
    parity = {**schema.header("parity", 1), "subject": {"sha256": "a" * 64}, "least_agreement": 0.9912}
    written = {"int8": quantized(layers=[LAYER]), "bench": bench, "parity": parity, "odd": {"kind": "x"}}
    for name, record in written.items():
        (run / f"{name}.json").write_text(json.dumps(record))
    (run / SHIPPED.name).write_bytes(SHIPPED.read_bytes())
    return run


@pytest.fixture
def made(folder):
    return page(read_report_data([folder]))


@pytest.fixture
def reader(made):
    return Reader(made.html)


def test_a_run_with_everything_has_every_part(made, reader):
    assert made.missing == {}
    names = [attributes["id"] for tag, attributes in reader.elements if tag == "section"]
    assert names == list(made.sections)
    links = [attributes["href"] for tag, attributes in reader.elements if tag == "a"]
    assert set(links) == {"#main", *(f"#{name}" for name in names)}
    assert reader.open == []


def test_what_is_missing_is_named_with_its_command(evaluated, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(evaluated().to_json()))
    made = page(read_report_data([tmp_path / "a.json"]))
    assert made.sections == ("confusion",)
    assert made.missing["Latency"] == "edgefer bench MODEL.tflite --samples --out bench.json"
    assert "Not in this report" in made.html
    assert made.missing["Layers"] in made.html


def test_the_same_files_give_the_same_bytes(folder, made):
    assert page(read_report_data([folder])).html == made.html


def test_nothing_is_loaded_and_nobody_is_told_where_the_data_lay(made, reader):
    assert not re.search(r"https?:(?!//www\.w3\.org/2000/svg)|@import|url\(|fetch\(|XMLHttp|/home/someone", made.html)
    for tag, attributes in reader.elements:
        assert not {"src", "srcset", "data", "action"} & set(attributes), tag
        assert tag not in ("link", "iframe", "object", "embed", "base")
        assert attributes.get("href", "#").startswith("#")
        assert not [name for name in attributes if name.startswith("on")]


def test_ids_are_unique_and_labels_lead_somewhere(reader):
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    named = [attributes["aria-labelledby"] for _, attributes in reader.elements if "aria-labelledby" in attributes]
    assert set(named) <= set(ids)


def test_a_page_can_be_read_without_eyes(reader):
    tags = [tag for tag, _ in reader.elements]
    assert dict(reader.elements)["html"]["lang"] == "en"
    assert {"header", "nav", "main", "footer"} <= set(tags)
    assert tags.count("table") == tags.count("caption")
    assert all("scope" in attributes for tag, attributes in reader.elements if tag == "th")
    images = [attributes for tag, attributes in reader.elements if tag == "svg"]
    assert all(each.get("aria-label") or each.get("aria-hidden") for each in images)


# Numbers


def test_the_training_is_what_the_run_says(reader, made):
    rows = {row["what"]: row["value"] for row in cells(reader, "Training of small")}
    assert rows["SHA-256 of the data"] == "d" * 64
    assert rows["epochs"] == "2, of which number 2 was kept"
    assert rows["duration"] == "2.1 min"
    assert rows["accuracy on PublicTest"].startswith("75.00 % (")
    settings = {row["setting"]: row["value"] for row in cells(reader, "Settings")}
    assert settings == {"system": "small", "epochs": "2", "augment.flip": "true"}
    curves = [
        re.findall(r'<polyline [^>]*class="([^"]+)"', drawing)
        for drawing in re.findall(r"<svg [^>]*aria-label=\"[a-z ]+ by epoch.*?</svg>", made.html)
    ]
    assert curves == [["series series0", "series series1"]] * 2 + [["series series0"]]


def test_the_verdict_is_what_the_record_says(reader, quantized):
    (row,) = cells(reader, "Accuracy against the float parent")
    verdict = quantized()["verdict"]
    low, high = verdict["difference_interval_95_points"]
    assert row["points (95 %)"] == f"{verdict['difference_points']:+.2f} ({low:+.2f} to {high:+.2f})"
    assert (row["float, %"], row["accuracy, %"]) == ("75.00", "75.00")
    assert row["McNemar p"] == f"{verdict['mcnemar_p']:.2g}"
    assert (row["same label, %"], row["kernels agree, %"]) == ("90.00", "99.12")
    assert row["gates"] == "none broken"


def test_the_calibrated_error_stands_beside_that_of_the_bare_logits(quantized, tmp_path):
    warm = {"n": 20, "temperature": 0.8, "ece": 0.04, "calibrated_ece": 0.0123}
    for confidence, told in ((warm, "1.2"), (None, "-")):
        fields = {} if confidence is None else {"confidence": confidence}
        path = tmp_path / "int8.json"
        path.write_text(json.dumps(quantized(**fields)))
        (row,) = cells(Reader(page(read_report_data([path])).html), "Accuracy against the float parent")
        assert row["ECE calibrated, %"] == told
        assert "→" in row["ECE, %"]


def test_a_broken_gate_is_said(quantized, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(quantized(gates_broken=["2.00 points were lost, 1 may be"])))
    (row,) = cells(Reader(page(read_report_data([tmp_path])).html), "Accuracy against")
    assert row["gates"] == "broken: 2.00 points were lost, 1 may be"


def test_flips_are_mended_broken_or_wrong_either_way(reader):
    (row,) = cells(reader, "Images that get another label")
    assert [row[name] for name in ("images", "changed", "mended", "broken", "wrong either way")] == [
        "20", "2", "1", "1", "0",
    ]  # fmt: skip


def test_classes_have_intervals_and_old_records_wider_ones(reader, quantized, tmp_path):
    rows = {row["class"]: row for row in cells(reader, "Recall per class")}
    assert [rows["sad"][name] for name in ("n", "right before", "right now", "points")] == ["10", "7", "7", "+0.00"]
    old = quantized()
    for each in old["verdict"]["per_class"]:
        del each["only_parent"], each["only_own"]
    (tmp_path / "old.json").write_text(json.dumps(old))
    other = Reader(page(read_report_data([tmp_path / "old.json"])).html)
    wide = {row["class"]: row for row in cells(other, "Recall per class")}
    assert wide["sad"]["95 % interval"].startswith("~ ")

    def width(row):
        low, high = map(float, row["95 % interval"].removeprefix("~ ").split(" to "))
        assert low < 0 < high
        return high - low

    assert width(rows["sad"]) < width(wide["sad"])


def test_confusion_is_float_own_and_their_difference(reader, quantized):
    record = quantized()
    for caption, counts in (
        ("small, float", np.array(record["parent"]["confusion"])),
        ("small, int8", np.array(record["evaluation"]["confusion"])),
        ("small, int8 minus float", np.array(record["evaluation"]["confusion"]) - record["parent"]["confusion"]),
    ):
        assert [[int(cell) for cell in row[1:]] for row in reader.tables[caption][1:]] == counts.tolist()


def test_latencies_are_what_the_bench_says_with_a_histogram_where_samples_are(reader, made, measured):
    rows = cells(reader, "Latency, in microseconds")
    assert [(row["scheme"], row["p50, us"], row["p90, us"], row["p99, us"], row["runs"]) for row in rows] == [
        ("int8", f"{bench.p50_us:.1f}", f"{bench.p90_us:.1f}", f"{bench.p99_us:.1f}", "2,000")
        for bench in (measured(), measured(p50_us=110))
    ]
    assert "Histogram of the latency of small, int8" in made.html
    assert "p90 110.0" in made.html


def test_without_samples_there_are_bars_alone(measured, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(measured().to_json()))
    html = page(read_report_data([tmp_path])).html
    assert "Histogram of" not in html
    assert "edgefer bench --samples" in html
    assert 'class="bar p99"' in html


def test_layers_are_what_debug_layers_found(reader):
    (row,) = cells(reader, "small, int8: culprits: stem")
    assert list(row.values()) == ["stem (culprit)", "CONV_2D", "31.2", "0.9994", "1.23", "48.5", "+7.9"]


def test_what_rounds_to_nothing_is_not_less_than_nothing(quantized, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(quantized(layers=[{**LAYER, "float_gain_db": -0.01}])))
    (row,) = cells(Reader(page(read_report_data([tmp_path])).html), "small, int8: culprits: stem")
    assert row["if float, dB"] == "+0.0"


def test_the_commands_make_it_again(made):
    assert "edgefer train --settings first.toml --data fer2013.csv --run runs/first" in made.html
    line = "edgefer quantize runs/first --scheme int8 --calibration fer2013-500 --calibration-method min-max --per-tensor"
    assert f"{line} --keep-float &#x27;^stem$&#x27;" in made.html


def test_benches_tell_ratios_causes_and_how_the_device_fared(reader, made):
    assert "small, int8 and small-float32, int8 on pi4, Cortex-A76" in reader.texts["h3"]
    (row,) = cells(reader, "Measured in turns")
    assert row["takes"].startswith("small-float32")
    assert row["of the time of"].startswith("small, int8")
    assert (row["ratio"], row["95 % interval"]) == ("1.10", "1.05 to 1.15")
    assert html.escape(HOSTILE) in made.html
    soaked = cells(reader, "A long run of small, int8")
    assert [(each["s"], each["p90, us"], each["C"], each["held back by"]) for each in soaked] == [
        ("10", "110.0", "50", "-"), ("20", "120.0", "70", "too hot"),
    ]  # fmt: skip
    labels = [attributes.get("aria-label") for tag, attributes in reader.elements if tag == "svg"]
    assert "temperature, C over seconds" in labels


def test_images_that_change_are_listed_by_row_and_label_where_the_model_is(reader, made, quantized, tmp_path):
    rows = cells(reader, f"Images whose label {SHIPPED.name} changes")
    assert [list(row.values()) for row in rows] == [
        ["17", "happy", "happy", "sad", "51.2", "45.7"], ["4", "sad", "fear", "sad", "40.0", "39.0"],
    ]  # fmt: skip
    assert "<img" not in made.html
    (tmp_path / "a.json").write_text(json.dumps(quantized()))
    assert ".flips.csv beside a model says" in page(read_report_data([tmp_path / "a.json"])).html


def test_a_model_that_was_judged_twice_stands_there_once(quantized, tmp_path):
    for name, layers in (("a", []), ("b", [LAYER])):
        (tmp_path / f"{name}.json").write_text(json.dumps(quantized(layers=layers)))
    evidence = read_report_data([tmp_path])
    assert [len(each.layers) for each in evidence.quantizations] == [1]


def test_counts_of_instructions_claims_trials_and_peers_have_their_parts(tmp_path):
    results = Path(__file__).parents[3] / "benchmarks" / "results"
    if not results.is_dir():
        pytest.skip("there is no checkout, the package alone is tested")
    reader = Reader(page(read_report_data([results / "arm64-emulated", results / "systems.json"])).html)
    counts = {(row["model"], row["runtime"]): row for row in cells(reader, "Million instructions")}
    record = json.loads((results / "arm64-emulated" / "compact_small-int8.arm64.json").read_text())
    known = record["instructions"]["litert"]["Pi 4"]
    assert counts[("compact_small-int8", "litert")]["Pi 4"] == f"{known / 1e6:.2f}"
    systems = json.loads((results / "systems.json").read_text())["systems"]
    assert [row["system"] for row in cells(reader, "Claims")] == [each["system"] for each in systems]


def test_an_artifact_shows_its_contract():
    made = page(read_report_data([SHIPPED]))
    assert "models" in made.sections
    (row,) = cells(Reader(made.html), "Model files")
    assert (row["model"], row["scheme"], row["input"]) == (SHIPPED.name, "int8", "grey 48 x 48")
    assert row["KiB with contract"] == f"{SHIPPED.stat().st_size / 1024:,.1f}"


# The trade-off


def embedded(html):
    return json.loads(re.search(r'<script type="application/json" id="points">(.*?)</script>', html)[1])


def test_points_join_accuracy_latency_and_size(made, measured):
    (point,) = [each for each in embedded(made.html)["points"] if each["scheme"] == "int8" and each["p50_us"] == 100]
    assert (point["accuracy"], point["p50_us"], point["file_bytes"]) == (75.0, 100.0, 20480)
    assert point["device"] == "Cortex-A76, litert 2.3.0, 1 thread"


def test_nothing_beats_what_is_in_front(evaluated, measured, tmp_path):
    known = {"a": (100, 15), "b": (200, 18), "c": (150, 14), "d": (200, 18), "e": (300, 17)}
    for name, (p50_us, right) in known.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(evaluated(name * 64, right=right, model=name).to_json()))
        bench = measured(name * 64, p50_us=p50_us, file=f"{name}-int8.tflite")
        (tmp_path / f"{name}-bench.json").write_text(json.dumps(bench.to_json()))
    found = points(read_report_data([tmp_path]))
    assert len(found) == 5
    assert sorted(each.model for each in front(found, "p50_us")) == ["a", "b", "d"]


# Hostile and damaged input


def test_names_from_records_are_text_everywhere(quantized, measured, evaluated, tmp_path):
    record = quantized(system=HOSTILE, layers=[{**LAYER, "layer": HOSTILE, "kind": HOSTILE}], gates_broken=[HOSTILE])
    record["provenance"]["converter"] = HOSTILE
    record["evaluation"] = evaluated(data=HOSTILE, model=HOSTILE).to_json()
    record["verdict"]["per_class"][0]["label"] = HOSTILE
    record["measurement"] = measured(file=HOSTILE, device={"cpu": HOSTILE}, runtime=HOSTILE).to_json()
    (tmp_path / "a.json").write_text(json.dumps(record))
    made = page(read_report_data([tmp_path]))
    reader = Reader(made.html)
    assert reader.open == []
    assert "img" not in [tag for tag, _ in reader.elements]
    assert [tag for tag, _ in reader.elements].count("script") == 2
    assert "alert(1)" in made.html
    assert "<img src=x" not in made.html
    assert "<img src=x onerror" in embedded(made.html)["points"][0]["model"]


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (f"{SHIPPED.stem}.flips.csv", "row,label\n1,happy\n"), ("metrics.json", "[" * 100_000),
        ("environment.json", '{"data": {"images": {"Training": "many"}}}'),
        ("settings.toml", "system = "), ("history.csv", "epoch,loss\n1,low\n"), ("metrics.json", "{"),
        ("metrics.json", '{"evaluation": {}}'), ("environment.json", "[1"), ("environment.json", "{}"),
        ("int8.json", '{"kind": "quantization"}'),
    ],
)  # fmt: skip
def test_a_damaged_file_of_a_run_is_named(folder, file, content):
    (folder / file).write_text(content)
    with pytest.raises(DataError, match=re.escape(file)):
        read_report_data([folder])


def test_a_quantization_without_its_counts_says_whose_it_is(quantized, tmp_path):
    record = quantized()
    del record["verdict"]["only_own_correct"]
    (tmp_path / "a.json").write_text(json.dumps(record))
    with pytest.raises(DataError, match="small-int8.tflite"):
        read_report_data([tmp_path])


@pytest.mark.parametrize("layer", [{}, {**LAYER, "activation_snr_db": "loud"}, {**LAYER, "layer": None}])
def test_a_damaged_layer_says_whose_it_is(quantized, tmp_path, layer):
    (tmp_path / "a.json").write_text(json.dumps(quantized(layers=[layer])))
    with pytest.raises(DataError, match="small-int8.tflite"):
        read_report_data([tmp_path])


def test_a_latency_of_nothing_is_shown_and_a_size_that_is_none_is_left_out(measured, evaluated, tmp_path):
    record = measured(p50_us=0, runs=3).to_json()
    record["subject"]["file_bytes"] = -1
    (tmp_path / "a.json").write_text(json.dumps(record))
    (tmp_path / "b.json").write_text(json.dumps(evaluated().to_json()))
    made = page(read_report_data([tmp_path]))
    assert [each["file_bytes"] for each in embedded(made.html)["points"]] == [None]
    assert cells(Reader(made.html), "Latency, in")[0]["p50, us"] == "0.0"


def test_a_training_that_goes_on_says_so(folder):
    (folder / "metrics.json").unlink()
    rows = {row["what"]: row["value"] for row in cells(Reader(page(read_report_data([folder])).html), "Training of small")}
    assert rows["epochs"] == "2 of 2, not finished"


def test_a_page_of_nothing_is_a_page():
    made = page(ReportData(sources=("nothing",)))
    assert made.sections == ()
    assert Reader(made.html).open == []


def variants(record, path=()):
    """The record with each of its leaves in turn as something else."""
    inner = record
    for key in path:
        inner = inner[key]
    items = inner.items() if isinstance(inner, dict) else enumerate(inner) if isinstance(inner, list) else ()
    for key, value in items:
        if isinstance(value, (dict, list)):
            yield from variants(record, (*path, key))
        for odd in (None, [], {}, "x", -1, {"x": [HOSTILE]}):
            if type(odd) is type(value) and odd != -1:
                continue
            copy = json.loads(json.dumps(record))
            target = copy
            for each in path:
                target = target[each]
            target[key] = odd
            yield (*path, key), odd, copy


@pytest.mark.parametrize("kind", ["quantization", "bench", "training"])
def test_whatever_is_odd_in_a_record_is_refused_or_shown_as_text(quantized, folder, tmp_path, kind):
    metrics = json.loads((folder / "metrics.json").read_text())
    training = {
        **schema.header("training", 1), "run": "runs/first", "duration_s": 9.0, "settings": {"system": "small"},
        "environment": json.loads((folder / "environment.json").read_text()), **metrics,
    }  # fmt: skip
    record = {
        "quantization": quantized(layers=[LAYER]), "bench": json.loads((folder / "bench.json").read_text()),
        "training": training,
    }[kind]  # fmt: skip
    for measurement in record.get("measurements", []):
        measurement.pop("samples", None)
    file, shown = tmp_path / "odd.json", 0
    for path, odd, changed in variants(record):
        file.write_text(json.dumps(changed))
        try:
            made = page(read_report_data([file]))
        except EdgeferError:
            continue
        except Exception as error:
            raise AssertionError(f"{path} = {odd!r}") from error
        assert "<img src=x" not in made.html, path
        shown += 1
    assert shown > 20


# Parts


def test_plain_text_is_escaped_and_html_is_not():
    assert element("b", "<", Html("<i>"), class_='"', title=None) == '<b class="&quot;">&lt;<i></b>'
    assert "<td>-</td>" in table("c", ["a", "b"], [["x", None]], text=2)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (1.18, 1.77), (0.0, 0.0), (-3.0, 5.0), (1e-6, 2e-6), (5, 5)])
def test_ticks_hold_what_they_are_for(low, high):
    marks = ticks(low, high)
    assert marks[0] <= low + 1e-12
    assert marks[-1] >= high - 1e-12
    assert 2 <= len(marks) <= 8


def test_charts_take_what_runs_have():
    assert "NaN" not in line_chart({"loss": [float("nan"), 1.0]}, label="x")
    assert line_chart({"loss": [2.0]}, label="x", marked=0).count("polyline") == 1
    same = histogram(np.full(5, 80.0), marks={"p50": 80.0}, label="x")
    assert same.count("<rect") == 48
    assert "nan" not in same.lower()


def test_a_histogram_of_outliers_is_logarithmic_and_says_so():
    samples = np.concatenate([np.full(980, 60.0), np.full(20, 4000.0)])
    drawn = histogram(samples, marks={"p50": 60.0, "p99": 4000.0}, label="x")
    assert "logarithmic" in drawn
    assert "logarithmic" not in histogram(np.linspace(60, 90, 50), marks={"p50": 75.0}, label="x")
    heights = [float(each) for each in re.findall(r'<rect [^>]*height="([\d.]+)"', drawn)]
    assert len([each for each in heights if each > 0]) == 2


def test_a_short_bench_gives_way_to_a_real_one(quantized, measured):
    record = quantized()
    made = (Quantization.from_json(record),)
    assert len(ReportData(quantizations=made).measurements) == 1
    bench = measured(p50_us=77)
    evidence = ReportData(results=Results(measurements=(bench,)), quantizations=made)
    assert [each.p50_us for each in evidence.measurements] == [77.0]


@pytest.mark.parametrize("system", ["compact_small", "vgg_clahe"])
def test_the_settings_on_the_page_are_those_that_a_training_takes(system):
    workstation = pytest.importorskip("edgefer.workstation.training.settings")
    settings = plugins.load("edgefer.workstation.training.systems", system).SYSTEM
    training = Training(name=system, settings=dataclasses.asdict(settings), environment={})
    made = page(ReportData(trainings=(training,)))
    shown = re.search(r"<pre[^>]*><code>(system = .*?)</code>", made.html, re.DOTALL)[1]
    assert workstation.from_toml(html.unescape(shown)) == settings

