"""The second opinion on a rhythm: gradient-boosted trees on what can be measured in a window (`ecgstream.measurements`).

They learn CinC 2017's four labels, from each recording whole, upside down, and in parts (a stream's windows are 30 s long, in its
first seconds shorter), and from MIT-BIH's windows of one rhythm, so that another electrode and another decade have a say. A
recording of CinC 2017 weighs the same however many rows it gives.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import helper
from sklearn.ensemble import HistGradientBoostingClassifier
from tqdm import tqdm

from ecgstream.measurements import NAMES, measure
from ecgstream.model_folder import CINC_CLASSES
from ecgstream.training.calibrate import Calibration, calibrate
from ecgstream.training.corpus import FS_HZ, Packed
from ecgstream.training.examples import CROP, rhythm_share
from ecgstream.training.learn import Config
from ecgstream.training.network import RHYTHMS

SHORTEST_S, LONGEST_S = 10, 25  # of a part that stands for a stream's first seconds
UPSIDE_DOWN = 0.3  # of a row's weight
SHORT = 0.25  # weight of a short part, beside the whole's
ANNOTATED = 0.15  # weight of an annotated window of 30 s
PURE = 0.99  # of an annotated window is one rhythm
_NODE = (
    "modes",
    "featureids",
    "values",
    "truenodeids",
    "falsenodeids",
    "missing_value_tracks_true",
)  # what ONNX is told of a node
Floats = NDArray[np.float64]


class Rows(NamedTuple):
    """measured: float32 (n, figures). labels: int64 (n,), places among the labels' names. weights: float64 (n,)."""

    measured: NDArray[np.float32]
    labels: NDArray[np.int64]
    weights: Floats


def measured_whole(records: Sequence[Packed]) -> NDArray[np.float32]:
    """What can be measured in whole records: float32 (records, figures)."""
    rows = [measure(r.signal.astype(np.float32), r.peaks) for r in records]
    return np.array(rows, np.float32).reshape(-1, len(NAMES))


def _label_of(record: Packed, start: int, end: int) -> str | None:
    """CinC 2017's label for a window of an annotated record; None where it isn't one rhythm throughout, or hard to say."""
    share = rhythm_share(record, start, end)
    name = RHYTHMS[int(share.argmax())]
    if share.max() < PURE:
        return None
    inside = (record.beats >= start) & (record.beats < end)
    ectopic = int(np.isin(record.kinds[inside], ["S", "V"]).sum())
    if name == "sinus":
        return "N" if ectopic == 0 else "O" if ectopic > 1 else None
    return "A" if name == "af" else "O"


def _parts(record: Packed, rng: np.random.Generator) -> list[tuple[int, int, str, float]]:
    """(start, end, label, weight) of what is learnt of a record."""
    n = record.signal.size
    if not record.label:
        spans = [(start, start + CROP) for start in range(0, n - CROP + 1, CROP)]
        labels = [_label_of(record, *span) for span in spans]
        return [
            (*span, label, ANNOTATED) for span, label in zip(spans, labels, strict=True) if label is not None
        ]
    parts = [(0, n, record.label, 1.0)]
    if n > CROP * 1.2:
        parts = [(0, n, record.label, 0.5), (0, CROP, record.label, 0.25), (n - CROP, n, record.label, 0.25)]
    short = min(n, int(rng.uniform(SHORTEST_S, LONGEST_S) * FS_HZ))
    start = int(rng.uniform(0, n - short + 1))
    return [*parts, (start, start + short, record.label, SHORT)]


def rows_of(records: Sequence[Packed], seed: int) -> Rows:
    """What is learnt of some records of CinC 2017 and of annotated databases."""
    rng = np.random.default_rng(seed)
    measured, labels, weights = [], [], []
    for record in tqdm(records, desc="measuring", unit="record", leave=False):
        signal = record.signal.astype(np.float32)
        for start, end, label, weight in _parts(record, rng):
            for sign, share in ((1, 1 - UPSIDE_DOWN), (-1, UPSIDE_DOWN)):
                measured.append(measure(sign * signal[start:end], record.peaks - start))
                labels.append(CINC_CLASSES.index(label))
                weights.append(weight * share)
    return Rows(
        np.array(measured, np.float32).reshape(-1, len(NAMES)),
        np.array(labels, np.int64),
        np.array(weights),
    )


def fit(rows: Rows, seed: int, n_trees: int) -> HistGradientBoostingClassifier:
    """Trees that learnt `rows`; every label has to be among them."""
    return grown(
        rows,
        CINC_CLASSES,
        seed,
        n_trees,
        learning_rate=0.05,
        max_leaf_nodes=12,
        min_samples_leaf=40,
        max_features=0.25,
    )


def grown(
    rows: Rows, names: Sequence[str], seed: int, n_trees: int, **shape: Any
) -> HistGradientBoostingClassifier:
    """Trees of a `shape` in scikit-learn's words that learnt `rows`, whose labels are places in `names`; `ValueError` if one has none."""
    missing = set(range(len(names))) - set(rows.labels.tolist())
    if missing:
        raise ValueError(
            f"labels: nothing to learn from is labelled {', '.join(names[i] for i in sorted(missing))}"
        )
    trees = HistGradientBoostingClassifier(
        max_iter=n_trees, l2_regularization=3.0, early_stopping=False, random_state=seed, **shape
    )
    unheard_of = np.isnan(rows.measured).all(axis=0)  # of which scikit-learn can't make anything
    return trees.fit(np.where(unheard_of, 0.0, rows.measured), rows.labels, sample_weight=rows.weights)


def opinion(
    learnt: Sequence[Packed], kept: Sequence[Packed], before: NDArray[np.floating], config: Config
) -> tuple[HistGradientBoostingClassifier, Calibration]:
    """Trees of all records, and how they and the network are weighed.

    The weights come from the records `kept`, of which `before`, a network's probabilities (n, rhythms), and the trees of those `learnt`
    alone know nothing.
    """
    first = fit(rows_of(learnt, config.seed), config.seed, config.n_trees)
    calibration = calibrate(before, said_of(first, kept), kept)
    return fit(rows_of([*learnt, *kept], config.seed), config.seed, config.n_trees), calibration


def said_of(trees: HistGradientBoostingClassifier, records: Sequence[Packed]) -> Floats:
    """The trees' probabilities of whole records: float64 (records, labels)."""
    p: Floats = trees.predict_proba(measured_whole(records))
    return p


def export_trees(trees: HistGradientBoostingClassifier, path: Path) -> None:
    """Write trees as an ONNX graph, ``measured`` float32 (n, figures) -> ``probabilities`` float32 (n, labels), and check it.

    Nodes are read where scikit-learn keeps them: no converter that goes with today's ``onnx`` was found.
    """
    n_labels = len(trees.classes_)
    per_node: dict[str, list[Any]] = {name: [] for name in ("treeids", "nodeids", *_NODE)}
    leaves: list[tuple[int, int, int, float]] = []  # tree, node, label, weight
    every = [(label, tree.nodes) for step in trees._predictors for label, tree in enumerate(step)]
    for t, (label, nodes) in enumerate(every):
        for k, node in enumerate(nodes):
            is_leaf = bool(node["is_leaf"])
            values = ("LEAF", 0, 0.0, 0, 0, 0) if is_leaf else (
                "BRANCH_LEQ", int(node["feature_idx"]), _at_most(node["num_threshold"]),
                int(node["left"]), int(node["right"]), int(node["missing_go_to_left"]),
            )  # fmt: skip
            for name, value in zip(("treeids", "nodeids", *_NODE), (t, k, *values), strict=True):
                per_node[name].append(value)
            if is_leaf:
                leaves.append((t, k, label, float(node["value"])))
    classes = zip(("treeids", "nodeids", "ids", "weights"), zip(*leaves, strict=True), strict=True)
    attributes: Any = {f"nodes_{name}": values for name, values in per_node.items()}
    attributes |= {f"class_{name}": list(values) for name, values in classes}
    node = helper.make_node(
        "TreeEnsembleClassifier", ["measured"], ["label", "probabilities"], domain="ai.onnx.ml",
        base_values=[float(x) for x in trees._baseline_prediction.ravel()],
        classlabels_int64s=list(range(n_labels)), post_transform="SOFTMAX",
        **attributes,
    )  # fmt: skip
    graph = helper.make_graph(
        [node], "trees",
        [helper.make_tensor_value_info("measured", onnx.TensorProto.FLOAT, ["n", trees.n_features_in_])],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["n", n_labels])],
    )  # fmt: skip
    versions = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3)]
    onnx.save(helper.make_model(graph, opset_imports=versions, ir_version=10), path)
    _check(trees, path)


def _at_most(threshold: float) -> float:
    """The greatest float32 that isn't greater, so that a float32 figure falls on the same side of both."""
    nearest = np.float32(threshold)
    return float(nearest if nearest <= threshold else np.nextafter(nearest, np.float32(-np.inf)))


def _check(trees: HistGradientBoostingClassifier, path: Path) -> None:
    """The graph must agree with scikit-learn to 1e-4 on random figures, some of them unknown, else `ValueError`."""
    rng = np.random.default_rng(0)
    example = rng.normal(0, 1, (256, trees.n_features_in_)).astype(np.float32)
    example[rng.random(example.shape) < 0.2] = np.nan
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["probabilities"], {"measured": example})
    worst = float(np.abs(found - trees.predict_proba(example)).max())
    if worst > 1e-4:
        raise ValueError(
            f"{path.name}: ONNX differs from scikit-learn by {worst:.2g}, at most 1e-4 is allowed"
        )
