"""Where the model that comes with ecgstream lies: in the installed package, or in a checkout's ``models/``."""

from pathlib import Path

DEFAULT_MODEL = "ecgstream-1"


def shipped_model(name: str = DEFAULT_MODEL) -> Path:
    """The folder of the model of that name; raises `FileNotFoundError` where none came with this install."""
    package = Path(__file__).parent
    places = [package / "models" / name, package.parents[1] / "models" / name]
    for folder in places:
        if (folder / "model.json").is_file():
            return folder
    raise FileNotFoundError(f"model {name!r}: in none of {', '.join(str(place) for place in places)}")
