"""A run of an earlier version, whose family had other layers, is rejected with an instruction."""

from __future__ import annotations

import json
import shutil
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from gapcast.recordings.formats.clean_file import CleanFile
from gapcast_trainer.errors import RunError
from gapcast_trainer.training.run import RUN_FILE, WEIGHTS_FILE, load_run


@pytest.fixture
def earlier(linear_run: Path, tmp_path: Path) -> Path:
    """A copy of a run with one array of weights less."""
    folder = Path(shutil.copytree(linear_run, tmp_path / "earlier"))
    _, weights = load_run(folder)
    np.savez(folder / WEIGHTS_FILE, *weights[:-1])
    described = json.loads((folder / RUN_FILE).read_text())
    described["weights_sha256"] = sha256((folder / WEIGHTS_FILE).read_bytes()).hexdigest()
    (folder / RUN_FILE).write_text(json.dumps(described))
    return folder


def test_run_of_other_layers_is_not_exported(earlier: Path, small: CleanFile, tmp_path: Path) -> None:
    from gapcast_trainer.export.export import export

    with pytest.raises(RunError, match="earlier: the weights do not fit family linear of this version: train again"):
        export(earlier, small, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_run_of_other_layers_is_no_start(earlier: Path) -> None:
    from gapcast_trainer.families import find_family
    from gapcast_trainer.training.descent.start_weights import set_start_weights

    run, _ = load_run(earlier)
    family, hyper = find_family(run.experiment.family, run.experiment.hyper)
    with pytest.raises(RunError, match="earlier: the weights do not fit family linear of this version: train again"):
        set_start_weights(family.build(run.design, hyper), earlier)
