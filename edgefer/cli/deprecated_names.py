"""Former names of options and choices, accepted for one release with a notice on stderr.

    command.context_settings.update(context_settings("bench"))      # --rigour now means --preset

The former names do not appear in --help. Remove an entry with the release after the one that renamed the option.
"""

from __future__ import annotations

from typing import Any

from edgefer.cli.streams import write

__all__ = ["DEPRECATED", "context_settings"]

# Former name -> present name, by command. A name without dashes is a choice, such as the value of --rounding.
DEPRECATED = {
    "bench": {"--rigour": "--preset", "--against": "--compare", "--into": "--output-dir"},
    "export": {"--into": "--output-dir"},
    "live": {"--unsure-below": "--min-confidence"},
    "quantize": {
        "--ranges": "--calibration-method",
        "--skip-layer": "--keep-float",
        "--stability": "--calibration-trials",
        "--distill": "--distill-weight",
        "second-order": "gptq",
    },
    "train": {"--from": "--init-from"},
}


def context_settings(command: str) -> dict[str, Any]:
    """Return the click context settings that make ``command`` accept its former names; empty if it has none."""
    if command not in DEPRECATED:
        return {}
    names = {former.removeprefix("--"): (former, present) for former, present in DEPRECATED[command].items()}

    def normalize(token: str) -> str:
        # click passes every option on the command line without its dashes, and every choice.
        if token not in names:
            return token
        former, present = names[token]
        write(f"{former} is deprecated and will be removed in the next release; use {present}", to_stderr=True)
        return present.removeprefix("--")

    return {"token_normalize_func": normalize}
