"""Where a command's outcome goes: looked at before the work that leads to it, not after."""

import os
from pathlib import Path


def check_file(option: str, path: Path) -> None:
    """Raises `OSError`, naming option and path, where no file can be written there."""
    if path.is_dir():
        raise OSError(f"{option} {path}: a folder; expected a file to write")
    if not path.parent.is_dir():
        raise OSError(f"{option} {path}: no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise OSError(f"{option} {path}: can't be written")


def check_folder(option: str, path: Path) -> None:
    """Raises `OSError`, naming option and path, where there is no folder to write into and none can be made."""
    there = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not there.is_dir():
        raise OSError(f"{option} {path}: {there} is a file; expected a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise OSError(f"{option} {path}: {there} can't be written into")
