"""Streaming arrhythmia monitor for single-lead wearable ECG."""

import os

# ONNX Runtime's wheels report their use to their maker when they can. A monitor of patients tells nobody that it runs.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
