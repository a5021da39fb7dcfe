"""The images of the tests: this version under test, and the clients that use it from within the cluster.

Read first: `clients`.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.append(str(ROOT / "tests/kube"))

from image import libraries, write_image  # noqa: E402

KUBE = ROOT / "tests/kube/kube"
SCRATCH = Path(os.environ.get("STREAMKEEPER_CACHE", ROOT / "target")) / "e2e"
# Two names of one image: a change from one to the other is a change of the image for everybody but the disk.
STREAMKEEPER = os.environ.get("STREAMKEEPER_IMAGE", "localhost/streamkeeper:e2e")
STREAMKEEPER_NEXT = os.environ.get("STREAMKEEPER_NEXT_IMAGE", "localhost/streamkeeper:e2e-next")
CLIENTS = os.environ.get("STREAMKEEPER_CLIENTS_IMAGE", "localhost/streamkeeper-clients:e2e")
# What runs the clients' program in their image.
PYTHON = os.path.realpath(sys.executable)
CLIENTS_COMMAND = [PYTHON, "-B", "/clients/main.py"]
# Parts of Python's own library that no client needs.
UNUSED = shutil.ignore_patterns(
    "__pycache__", "dist-packages", "site-packages", "test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "config-*", "pip*",
    "pytest*", "_pytest", "pygments*", "setuptools*", "pkg_resources", "*distutils*", "_tkinter*", "*.a",
)  # fmt: skip


def streamkeeper():
    """Packs the binary under test; gives the archive."""
    archive = SCRATCH / "streamkeeper.tar"
    SCRATCH.mkdir(parents=True, exist_ok=True)
    options = ["--tag", STREAMKEEPER_NEXT, "--user", "65532:65532", "--certificates", "--strip", "--output", archive]
    subprocess.run([KUBE, "image", STREAMKEEPER, os.environ["STREAMKEEPER"], *options], check=True, stdout=subprocess.DEVNULL)
    return archive


def clients():
    """Packs this Python, the clients' libraries and their program; gives the archive."""
    root, archive = SCRATCH / "clients", SCRATCH / "clients.tar"
    shutil.rmtree(root, ignore_errors=True)
    stdlib = Path(sysconfig.get_path("stdlib"))
    place(root, Path(PYTHON))
    shutil.copytree(stdlib, inside(root, stdlib), ignore=UNUSED)
    shutil.copytree(sysconfig.get_path("purelib"), root / "clients/site-packages", ignore=UNUSED)
    for module in [*HERE.glob("clients/*.py"), *(ROOT / f"tests/conformance/{name}.py" for name in ("load", "histories"))]:
        shutil.copy(module, root / "clients")
    here = [program for program in [Path(PYTHON), *root.rglob("*.so*")] if program.is_file()]
    for library in {library for program in here for library in libraries(program)}:
        if not str(library).startswith(str(root)):
            place(root, library)
    environment = ["PYTHONPATH=/clients/site-packages:/clients", "PYTHONUNBUFFERED=1"]
    write_image([CLIENTS], root, archive, entrypoint=CLIENTS_COMMAND, user="65532:65532", env=environment)
    return archive


def inside(root, path):
    return root / str(path).lstrip("/")


def place(root, file):
    """Copies a file to where it is here, links followed."""
    target = inside(root, file)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(file.resolve(), target)
