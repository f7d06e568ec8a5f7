"""Beats: a causal QRS detector at the model's rate (`detector`) on the signal's envelope around 13 Hz (`envelope`)."""

from ecgstream.beats.detector import STATE, past_maxima, start, step
from ecgstream.beats.envelope import wavelet

__all__ = ["STATE", "past_maxima", "start", "step", "wavelet"]
