"""The quick part of kazoo's own published tests, against servers that the suite starts, stops and kills by itself."""

import os
import subprocess

from cluster import ROOT, STREAMKEEPER


def test_every_known_good_test_of_kazoo_still_passes():
    result = subprocess.run(
        [str(ROOT / "tests/conformance/kazoo"), "quick"],
        capture_output=True,
        text=True,
        timeout=900,
        env=dict(os.environ, STREAMKEEPER=STREAMKEEPER),
    )
    assert result.returncode == 0, result.stdout + result.stderr[-3000:]
