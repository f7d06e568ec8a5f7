"""Streaming arrhythmia monitor for single-lead wearable ECG."""

__version__ = "0.1.0"
