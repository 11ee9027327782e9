"""Run by an environment that holds the plain wheel and nothing else: it is whole, and light."""

from __future__ import annotations

import gzip
import importlib
import pkgutil
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import edge
from edge.bundled import models_path
from edge.predictors.store import default_model, load_model, model_names
from edge.sample import sample_path

NOT_OF_THE_EDGE = ("tensorflow", "keras", "pandas", "pyspark", "sklearn", "matplotlib")


def main() -> None:
    """Fail with a sentence where the installed wheel lacks something, or brings too much."""
    where = Path(edge.__file__).resolve()
    if Path(sys.prefix).resolve() not in where.parents:
        sys.exit(f"edge comes from {where}, not from the installed wheel")
    modules = [
        module.name for module in pkgutil.walk_packages(edge.__path__, "edge.") if module.name[-9:] != ".__main__"
    ]
    for name in modules:
        importlib.import_module(name)
    heavy = [name for name in NOT_OF_THE_EDGE if name in sys.modules or find_spec(name)]
    if heavy:
        sys.exit(f"the plain install brings {', '.join(heavy)}")
    if where.parent not in models_path().parents:
        sys.exit(f"the models are taken from {models_path()}, not from the wheel")
    models = {name: load_model(models_path() / name).card.version for name in model_names(models_path())}
    if default_model(models_path()) not in models:
        sys.exit(f"the default model is not among those bundled: {', '.join(models)}")
    with gzip.open(sample_path(), "rt", encoding="ascii") as sample:
        n_rows = sum(1 for _ in sample) - 1
    print(f"gapcast {version('gapcast')}: {len(modules)} modules, a sample of {n_rows} minutes; {', '.join(models)}")


if __name__ == "__main__":
    main()
