"""Extracts the files for the page from an npm release of uPlot: see scripts/page-library."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import tarfile
from pathlib import Path

FILES = {
    "package/LICENSE": "LICENSE",
    "package/dist/uPlot.iife.min.js": "uPlot.iife.min.js",
    "package/dist/uPlot.min.css": "uPlot.min.css",
}


def main(folder: Path, version: str, archive: Path) -> None:
    """Check the recorded hash of ``archive``, and write its files and their hashes to ``folder``."""
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    written = folder / "release.json"
    if written.exists():
        known = json.loads(written.read_text(encoding="utf-8"))
        if known["version"] == version and known["integrity"] != integrity:
            sys.exit(f"uplot {version} has the hash {integrity}, not {known['integrity']}: nothing was changed")
    hashes = {}
    with tarfile.open(archive) as release:
        for member, name in FILES.items():
            content = release.extractfile(member)
            if content is None:
                sys.exit(f"uplot {version} has no {member}")
            (folder / name).write_bytes(content.read())
            hashes[name] = hashlib.sha512((folder / name).read_bytes()).hexdigest()
    document = {"name": "uplot", "version": version, "integrity": integrity, "files": hashes}
    written.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"uplot {version}: {', '.join(FILES.values())}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
