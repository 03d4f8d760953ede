"""The whole page: its parts in order, what could not be shown and which command gives it, style and script.

    document = page(evidence)
    document.html, document.sections, document.missing
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass

from edgefer.report.html.benchmark import benches_section
from edgefer.report.html.charts import latency_section
from edgefer.report.html.evaluation import confusion_section, models_section
from edgefer.report.html.ledgers import claims_section, instructions_section, peers_section
from edgefer.report.html.markup import Html, element
from edgefer.report.html.page_data import ReportData
from edgefer.report.html.pareto import pareto_section
from edgefer.report.html.provenance import environment_section, reproduce_section
from edgefer.report.html.quantization import classes_section, flips_section, layers_section, verdicts_section
from edgefer.report.html.training import training_section
from edgefer.report.html.trials import trials_section

__all__ = ["Page", "page"]


@dataclass(frozen=True)
class Part:
    """A part of the page.

    Attributes:
        name: its anchor.
        title: in the navigation.
        make: gives its HTML, or None where there is nothing to show.
        command: what gives it something to show; None for what only edgefer's own development has.
    """

    name: str
    title: str
    make: Callable[[ReportData], Html | None]
    command: str | None = None


QUANTIZE = "edgefer quantize RUN --int8 --out int8.json"
PARTS = (
    Part("training", "Training", training_section, "edgefer report RUN --html FILE"),
    Part("models", "Models", models_section, "edgefer report MODEL.tflite --html FILE"),
    Part("verdicts", "Verdicts", verdicts_section, QUANTIZE),
    Part("pareto", "Trade-off", pareto_section, "edgefer bench MODEL.tflite --out bench.json"),
    Part("classes", "Classes", classes_section, QUANTIZE),
    Part("flips", "Changes", flips_section, QUANTIZE),
    Part("confusion", "Confusion", confusion_section, "edgefer evaluate MODEL.tflite --out evaluation.json"),
    Part("latency", "Latency", latency_section, "edgefer bench MODEL.tflite --samples --out bench.json"),
    Part("benches", "Benches", benches_section, "edgefer bench A.tflite --compare B.tflite --soak 5m --out bench.json"),
    Part("instructions", "Instructions", instructions_section),
    Part("layers", "Layers", layers_section, "edgefer quantize RUN --int8 --debug-layers --out int8.json"),
    Part("claims", "Reference systems", claims_section),
    Part("search", "Search", trials_section),
    Part("peers", "Others", peers_section),
    Part("environment", "Environment", environment_section, "edgefer report RUN --html FILE"),
    Part("reproduce", "Reproduce", reproduce_section, "edgefer report RUN --html FILE"),
)
CHOOSABLE = 'class="choosable"'
# Nothing is loaded: not even what a hostile name in a record could ask for if it got past the escaping.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Page:
    """A page, and what is in it.

    Attributes:
        html: all of it.
        sections: the names of its parts.
        missing: the parts that it has nothing for, with the command that gives it.
    """

    html: str
    sections: tuple[str, ...]
    missing: dict[str, str]


def page(evidence: ReportData) -> Page:
    """The page of ``evidence``; the same evidence gives the same bytes."""
    made = [(part, part.make(evidence)) for part in PARTS]
    shown = [(part, content) for part, content in made if content is not None]
    missing = {part.title: part.command for part, content in made if content is None and part.command is not None}
    title = f"edgefer: {', '.join(evidence.sources)}"
    body = element(
        "body",
        element("a", "Skip to the results", href="#main", class_="skip"),
        element("header", element("h1", title), _about()),
        _navigation([part for part, _ in shown]),
        element("main", *(content for _, content in shown), _missing(missing), id="main"),
        element("footer", element("p", "Made by edgefer.")),
        element("script", _resource("plot.js")) if any(part.name == "pareto" for part, _ in shown) else None,
        element("script", _resource("choose.js")) if any(CHOOSABLE in content for _, content in shown) else None,
    )
    whole = element("html", _head(title), body, lang="en")
    return Page(f"<!doctype html>\n{whole}\n", tuple(part.name for part, _ in shown), missing)


def _head(title: str) -> Html:
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", _resource("page.css")),
    )


def _about() -> Html:
    said = (
        "A model names how a face looks, not what a person feels. Every number here is rendered from a record; "
        "intervals are of 95 %."
    )
    return element("p", said)


def _navigation(parts: list[Part]) -> Html:
    links = [element("li", element("a", part.title, href=f"#{part.name}")) for part in parts]
    return element("nav", element("ul", *links), aria_label="Parts of the report")


def _missing(missing: dict[str, str]) -> Html | None:
    if not missing:
        return None
    rows = [element("li", f"{title}: ", element("code", command)) for title, command in missing.items()]
    heading = element("h2", "Not in this report", id="missing-title")
    return element("section", heading, element("ul", *rows), id="missing", aria_labelledby="missing-title")


def _resource(name: str) -> Html:
    return Html(importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8"))
