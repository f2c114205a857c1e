"""The doctor's checks. Each looks at one thing, never raises, and names a remedy when that thing is not well."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import stat
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sama_core import __version__, paths
from sama_core.cli.gimp_checks import check_gimps, check_menu_entries, check_plug_ins
from sama_core.cli.machine_checks import check_device, check_disk, check_memory
from sama_core.cli.report import REINSTALL, Check
from sama_core.errors import EngineUnavailable, SamaError

#: what the engine imports, and the name it is installed by
PACKAGES = {
    "numpy": "numpy",
    "PIL": "pillow",
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "segment_anything": "segment-anything",
    "safetensors": "safetensors",
    "pymatting": "pymatting",
    "starlette": "starlette",
    "uvicorn": "uvicorn",
}

#: How much higher, of 255, the selection must be on the thing clicked than off it.
LEAST_CONTRAST = 96


def all_checks() -> Iterator[Check]:
    """Make all checks, one after the other, the slow ones last."""
    looks: list[tuple[str, Callable[[], Iterator[Check]]]] = [
        ("Python", check_python),
        ("Product folder", check_home),
        ("Disk space", check_disk),
        ("Memory", check_memory),
        ("Installation", check_install_record),
        ("Engine process", check_engine),
        ("Log", check_log),
        ("GIMP", check_gimps),
        ("GIMP plug-in", check_plug_ins),
        ("Menu entries", check_menu_entries),
        ("Packages", check_packages),
        ("Device", check_device),
        ("Model", check_weights),
        ("SAMA's modules", check_adapters),
        ("Alpha refiner", check_refiner),
        ("A click", check_click),
    ]
    for name, look in looks:
        try:
            yield from look()
        except SamaError as error:
            sentence, _, remedy = str(error).partition(". ")
            yield Check(name, False, sentence, remedy or REINSTALL)
        except Exception as error:  # A check that fails is a finding, not a reason to stop looking.
            yield Check(name, False, f"{type(error).__name__}: {error}", REINSTALL)


def check_python() -> Iterator[Check]:
    """The interpreter."""
    ok = sys.version_info >= (3, 10)
    yield Check(
        "Python",
        ok,
        f"{platform.python_version()} at {sys.executable}",
        "Install Python 3.10 or newer, then reinstall.",
    )


def check_packages() -> Iterator[Check]:
    """The packages the engine imports."""
    found, missing = [], []
    for module, name in PACKAGES.items():
        try:
            importlib.import_module(module)
            found.append(f"{name} {importlib.metadata.version(name)}")
        except Exception as error:  # A package with a broken native library raises whatever it likes.
            missing.append(f"{name} ({type(error).__name__}: {error})")
    if missing:
        yield Check("Packages", False, "cannot be imported: " + "; ".join(missing), REINSTALL)
    else:
        yield Check("Packages", True, ", ".join(found))


def check_weights() -> Iterator[Check]:
    """The weight file of each model."""
    from sama_core.files import file_sha256
    from sama_core.weights.registry import MODELS

    for model in MODELS.values():
        name = f"Model {model.name}"
        if not model.weights.is_file():
            absent = "its weights are not here; it is optional" if model.optional else f"{model.weights} is missing"
            yield Check(name, model.optional, absent, model.remedy)
        elif file_sha256(model.weights) != model.sha256:
            yield Check(name, False, f"{model.weights} is damaged: its checksum is wrong", model.remedy)
        else:
            yield Check(name, True, f"{model.weights.stat().st_size / 1e6:.1f} MB, checksum right")


def check_adapters() -> Iterator[Check]:
    """The file of SAMA's modules of each model."""
    from sama_core.errors import WeightsError
    from sama_core.weights.adapter import read_adapter_info
    from sama_core.weights.registry import MODELS

    for model in MODELS.values():
        name = f"SAMA's modules, {model.name}"
        if not model.adapter.is_file():
            absent = "not here; stock SAM answers" if model.optional else "missing"
            yield Check(name, model.optional, absent, REINSTALL)
            continue
        try:
            about = read_adapter_info(model.adapter)
        except WeightsError as error:
            sentence, _, remedy = str(error).partition(". ")
            yield Check(name, False, sentence, remedy if model.optional else REINSTALL)
            continue
        ok = about.backbone == model.name
        yield Check(name, ok, f"for {about.backbone}, {model.adapter.stat().st_size / 1e6:.1f} MB", REINSTALL)


def check_refiner() -> Iterator[Check]:
    """The file of the alpha refiner."""
    from sama_core.files import file_sha256
    from sama_core.weights.files import REFINER, REFINER_SHA256

    if not REFINER.is_file():
        yield Check("Alpha refiner", False, f"{REFINER} is missing", REINSTALL)
    elif file_sha256(REFINER) != REFINER_SHA256:
        yield Check("Alpha refiner", False, f"{REFINER} is damaged: its checksum is wrong", REINSTALL)
    else:
        yield Check("Alpha refiner", True, f"{REFINER.stat().st_size / 1e6:.1f} MB, checksum right")


def check_home() -> Iterator[Check]:
    """The product's folder."""
    home = paths.home()
    if not home.exists():
        parent = next(folder for folder in home.parents if folder.exists())
        ok = os.access(parent, os.W_OK)
        yield Check("Product folder", ok, f"{home} is not there yet", f"Make {parent} writable.")
        return
    try:
        with tempfile.TemporaryFile(dir=home):
            pass
    except OSError as error:
        yield Check("Product folder", False, f"{home}: {error.strerror}", f"Make {home} a folder you can write to.")
        return
    if os.name == "posix":
        for path, wanted in ((home, 0o700), (paths.state_file(), 0o600)):
            if path.exists() and stat.S_IMODE(path.stat().st_mode) & ~wanted:
                mode = stat.S_IMODE(path.stat().st_mode)
                yield Check(
                    "Product folder",
                    False,
                    f"others may look into {path} (mode {mode:o})",
                    f"chmod {wanted:o} '{path}'",
                )
                return
    yield Check("Product folder", True, str(home))


def check_install_record() -> Iterator[Check]:
    """The file that tells the plug-in how to start the engine."""
    path = paths.install_record()
    if not path.exists():
        yield Check("Installation", False, f"{path} is missing, so GIMP cannot start the engine", "Run the installer.")
        return
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        python, arguments, version = Path(record["python"]), " ".join(record["args"]), str(record["version"])
        runs = python.is_file() and os.access(python, os.X_OK)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        yield Check("Installation", False, f"{path} is damaged", REINSTALL)
        return
    if not runs:
        yield Check("Installation", False, f"the engine's Python {python} is missing", REINSTALL)
    elif version != __version__:
        yield Check("Installation", False, f"version {version} is installed, this is {__version__}", REINSTALL)
    else:
        yield Check("Installation", True, f"version {version}: {python} {arguments}")


def check_engine() -> Iterator[Check]:
    """The engine process, if one runs."""
    from sama_core.service.client import NoEngine, find_engine

    name = "Engine process"
    try:
        hello = find_engine().hello
    except NoEngine as error:
        yield Check(name, True, str(error))
        return
    except EngineUnavailable as error:
        sentence, _, remedy = str(error).partition(". ")
        yield Check(name, False, sentence, remedy or "End it and run again.")
        return
    running = f"running, pid {hello.get('pid')}, version {hello.get('version')}, {hello.get('device')}"
    ok = hello.get("version") == __version__
    yield Check(name, ok, running, f"End process {hello.get('pid')}: it is another version than this {__version__}.")


def check_log() -> Iterator[Check]:
    """The engine's log: where it is, and whether the engine can write to it."""
    path = paths.log_file()
    files = [file for file in path.parent.glob(f"{path.name}*") if file.is_file()]
    nearest = next(place for place in (path, *path.parents) if place.exists())
    ok = os.access(nearest, os.W_OK)
    size = sum(file.stat().st_size for file in files) / 1e6
    found = f"{path} ({len(files)} files, {size:.1f} MB)" if files else f"{path} (not there yet)"
    yield Check("Log", ok, found if ok else f"{nearest} cannot be written to", f"Make {nearest} writable for you.")


def check_click() -> Iterator[Check]:
    """A click on a small picture, through the engine's library."""
    import numpy as np

    from sama_core.inference.engine import Engine
    from sama_core.prompts import Prompt

    rows, columns = np.mgrid[0:240, 0:320]
    disc = (columns - 190) ** 2 + (rows - 110) ** 2 <= 60**2
    ground = np.stack([np.full_like(rows, 30), 60 + rows // 3, 170 - rows // 3], axis=2)
    picture = np.where(disc[..., None], (235, 140, 40), ground).astype(np.uint8)
    began = time.perf_counter()
    engine = Engine()
    engine.set_image(picture)
    answer = engine.select(Prompt(points=[(190, 110)], labels=[1]))
    seconds = time.perf_counter() - began
    contrast = float(answer.alpha[disc].mean() - answer.alpha[~disc].mean())
    ok = contrast >= LEAST_CONTRAST
    found = "the thing was selected" if ok else f"the thing was missed (contrast {contrast:.0f} of 255)"
    yield Check("A click", ok, f"{found}, {answer.device}, {seconds:.1f} s", REINSTALL)
