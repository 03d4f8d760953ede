"""Where a quantized model departs from its float parent, layer by layer.

    layers_section(evidence)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgefer.report.html.evidence import Evidence
from edgefer.report.html.markup import Html, bar, choosable, element, number, section, signed, table
from edgefer.report.quantization import Quantization

__all__ = ["layers_section"]

HEADERS = ("layer", "operator", "SNR, dB", "cosine", "clipped, %", "weights, dB", "if float, dB")
# A bar is full there: beyond it nothing is to be seen in the answers.
FULL_DB = 60.0


def layers_section(evidence: Evidence) -> Html | None:
    """A table a model that was looked into; None without any."""
    known = [each for each in evidence.quantizations if each.layers]
    if not known:
        return None
    note = (
        "SNR: the power of a layer's float output over that of its error. If float: how many dB nearer the logits come "
        "to the float parent's when that layer alone stays float."
    )
    parts = [(f"{each.system}, {each.scheme}", _layers(each)) for each in known]
    return section("layers", "Layers", element("p", note), *choosable("layers", "Layers of", parts, shown=0))


def _layers(made: Quantization) -> Html:
    rows = [_row(each, made.culprits) for each in made.layers]
    blamed = f"culprits: {', '.join(made.culprits)}" if made.culprits else "no layer alone costs the logits 1 dB"
    caption = f"{made.system}, {made.scheme}: {blamed}"
    return table(caption, HEADERS, rows, text=2)


def _row(layer: Mapping[str, Any], culprits: tuple[str, ...]) -> list[object]:
    name = str(layer.get("layer"))
    snr = layer.get("activation_snr_db")
    shown = "exact" if snr is None else bar(snr / FULL_DB, f"{snr:.1f}")
    saturation = layer.get("activation_saturation")
    return [
        element("strong", name, " (culprit)") if name in culprits else name,
        layer.get("kind"),
        shown,
        number(layer.get("activation_cosine"), 4),
        number(None if saturation is None else 100 * saturation),
        number(layer.get("weight_snr_db"), 1),
        signed(layer.get("float_gain_db"), 1),
    ]
