"""A model that never met the patient: VFDB's patients take turns.

VFDB is too small to hold patients back for good. A model folder therefore carries, beside the head that
serves, one acute head a fold, each trained without that fold's patients (`acute-fold-K.onnx`); its encoder
was not trained on VFDB at all. Here each of VFDB's records meets the head of its own fold.
"""

from typing import TYPE_CHECKING

from ecgstream.training.splits import VFDB, fold_of

if TYPE_CHECKING:
    from ecgstream.model_folder import Model


def has_folds(model: "Model") -> bool:
    """Whether the model folder carries heads of folds."""
    return "acute-fold-0.onnx" in model.spec.sha256


def fold_for(model: "Model", database: str, record: str) -> int | None:
    """The fold whose head has never met a record's patient; ``None`` where the serving head is the one to
    judge.
    """
    return fold_of(database, record) if database == VFDB and has_folds(model) else None


def with_fold(model: "Model", fold: int | None) -> "Model":
    """The model with the acute head of a fold in the serving one's place; the model itself for ``None``.

    Raises `KeyError` where the folder has no such head.
    """
    if fold is None:
        return model
    import onnxruntime as ort

    name = f"acute-fold-{fold}.onnx"
    if name not in model.spec.sha256:
        raise KeyError(f"{model.folder}: no {name} in model.json")
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(model.folder / name), options, providers=["CPUExecutionProvider"])
    return model._replace(graphs={**model.graphs, "acute.onnx": session})
