"""Take the screenshot of a report page that the documents show, from the results of ``make demo``.

    make demo
    python docs/take_screenshot.py

The model of ``make demo`` is trained on synthetic faces, so the screenshot shows no photograph of a person. Chromium
must be installed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
RUN = ROOT / "runs" / "demo"
PICTURE = ROOT / "docs" / "images" / "report.png"
SIZE = (1100, 900)
FLAGS = (
    "--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--no-sandbox",
    "--hide-scrollbars", "--force-device-scale-factor=1",
)  # fmt: skip


def main() -> None:
    """Write docs/images/report.png."""
    if not RUN.is_dir():
        sys.exit(f"{RUN} does not exist: run make demo first")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "report.html")
        report = [sys.executable, "-m", "edgefer", "report", str(RUN), "--html", str(page)]
        subprocess.run(report, check=True, cwd=ROOT)
        shot = [f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={PICTURE}", f"--user-data-dir={folder}/profile"]
        subprocess.run(["chromium", *FLAGS, *shot, page.as_uri()], check=True, capture_output=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
