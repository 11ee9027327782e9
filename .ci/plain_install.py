"""Checks the plain wheel in an environment without anything else: it is complete, and has no heavy dependencies."""

from __future__ import annotations

import gzip
import importlib
import pkgutil
import re
import socket
import sys
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from urllib.request import urlopen

import gapcast
from gapcast.app.application import Application
from gapcast.bundled import models_path
from gapcast.compiled.library import loaded
from gapcast.config.settings import Settings
from gapcast.predictors.models_folder.store import default_model, load_model, model_names
from gapcast.sample import sample_path

NOT_OF_THE_EDGE = ("tensorflow", "keras", "pandas", "pyspark", "sklearn", "matplotlib", "lightgbm")
#: Modules that need an extra: the child process of a refit imports LightGBM.
NEED_AN_EXTRA = ("gapcast.refit.fit",)

#: Machines that the wheel has compiled steps for.
WITH_COMPILED_STEPS = ("x86_64", "aarch64", "armv7l")


def main() -> None:
    """Exit with a message if the installed wheel lacks something, or installs too much."""
    where = Path(gapcast.__file__).resolve()
    if Path(sys.prefix).resolve() not in where.parents:
        sys.exit(f"gapcast comes from {where}, not from the installed wheel")
    modules = [
        module.name for module in pkgutil.walk_packages(gapcast.__path__, "gapcast.") if module.name[-9:] != ".__main__"
    ]
    for name in modules:
        if name not in NEED_AN_EXTRA:
            importlib.import_module(name)
    heavy = [name for name in NOT_OF_THE_EDGE if name in sys.modules or find_spec(name)]
    if heavy:
        sys.exit(f"the plain install includes {', '.join(heavy)}")
    if where.parent not in models_path().parents:
        sys.exit(f"the models are loaded from {models_path()}, not from the wheel")
    if loaded().library is None and loaded().machine in WITH_COMPILED_STEPS:
        sys.exit(f"the compiled steps cannot be used: {loaded().problem}")
    models = {name: load_model(models_path() / name).card.version for name in model_names(models_path())}
    if default_model(models_path()) not in models:
        sys.exit(f"the default model is not among those bundled: {', '.join(models)}")
    with gzip.open(sample_path(), "rt", encoding="ascii") as sample:
        n_rows = sum(1 for _ in sample) - 1
    print(
        f"gapcast {version('gapcast')}: {len(modules)} modules, a page of {load_page()} files, a sample of {n_rows} "
        f"minutes; {', '.join(models)}"
    )


def load_page() -> int:
    """Run the service without a broker; load its page and all files that it references, and count them."""
    stopping = Event()
    with tempfile.TemporaryDirectory() as state:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        settings = {"http": {"host": "127.0.0.1", "port": port}, "mqtt": {"host": "127.0.0.1", "port": 1}}
        service = Application(Settings.model_validate({**settings, "state": {"path": state}}), {})
        address = f"http://127.0.0.1:{service.http_port}/"  # binds the port: connections wait until it serves
        serving = Thread(target=service.run, args=(stopping,))
        serving.start()
        try:
            with urlopen(address) as page:
                names = set(re.findall(r'(?:src|href)="(page/[^"]+)"', page.read().decode()))
            for name in names:
                with urlopen(address + name) as file:  # noqa: S310 - our own http://127.0.0.1
                    if not file.read():
                        sys.exit(f"{name} of the page is empty")
        finally:
            stopping.set()
            serving.join()
    return 1 + len(names)


if __name__ == "__main__":
    main()
