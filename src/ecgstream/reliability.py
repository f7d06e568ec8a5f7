"""What the beat detectors' memories tell of the signal: how far they agree, how strong the noise is, what became of the beats.

All functions read the state records of `beats` and `curve_length`.
"""

import numba as nb
import numpy as np

from ecgstream.beats import past_maxima

FS_HZ = 128
AGREE_WITHIN = 19  # model samples, 0.15 s
ACCEPTED, REJECTED = 1, 2  # a candidate's verdict in `beats`


@nb.njit(cache=True, nogil=True)
def _matched(a, n_a, b, n_b, since, until):  # type: ignore[no-untyped-def]
    """How many of `a`'s last beats lie in [since, until), and how many of these have one of `b`'s near."""
    n, matched = 0, 0
    for k in range(max(0, n_a - a.size), n_a):
        t = a[k % a.size]
        if since <= t < until:
            n += 1
            for m in range(max(0, n_b - b.size), n_b):
                if abs(b[m % b.size] - t) <= AGREE_WITHIN:
                    matched += 1
                    break
    return n, matched


@nb.njit(cache=True, nogil=True)
def agreement(a, n_a, b, n_b, since, until):  # type: ignore[no-untyped-def]
    """Share of both detectors' beats in [since, until) that the other has too; 1 when neither has any.

    `a`, `b`: int64 rings of beat times (model samples), of which `n_a`, `n_b` were ever written.
    """
    n, matched = _matched(a, n_a, b, n_b, since, until)
    m, also = _matched(b, n_b, a, n_a, since, until)
    return (matched + also) / (n + m) if n + m > 0 else 1.0


@nb.njit(cache=True, nogil=True)
def _amplitudes(detector, verdict, since, until):  # type: ignore[no-untyped-def]
    """Amplitudes of the candidates of one verdict in [since, until), sorted."""
    size = detector.time.size
    found = np.empty(size, np.float32)
    n = 0
    for k in range(max(0, detector.n_candidates - size), detector.n_candidates):
        j = k % size
        if since <= detector.time[j] < until and detector.verdict[j] == verdict:
            found[n] = detector.amplitude[j]
            n += 1
    return np.sort(found[:n])


@nb.njit(cache=True, nogil=True)
def noise_and_spread(detector, since, until):  # type: ignore[no-untyped-def]
    """Noise: upper quartile of the rejected candidates in [since, until) relative to the median beat; 0 if either is missing.

    Spread: how unlike the beats are in strength, the 90th relative to the 10th percentile (of less than four: largest to least).
    """
    noise = _amplitudes(detector, REJECTED, since, until)
    beats = _amplitudes(detector, ACCEPTED, since, until)
    m = beats.size
    if m == 0:
        return 0.0, 1.0
    spread = beats[m - 1] / beats[0] if m < 4 else beats[(9 * (m - 1)) // 10] / beats[(m - 1) // 10]
    if noise.size == 0:
        return 0.0, spread
    return noise[(3 * noise.size) // 4] / np.median(beats), spread


@nb.njit(cache=True, nogil=True)
def level_kept(detector):  # type: ignore[no-untyped-def]
    """The beats' level relative to that of the last 50 s (the 80th percentile of its seconds' maxima)."""
    maxima = np.sort(past_maxima(detector, detector.n_in // FS_HZ - detector.first // FS_HZ))
    past = maxima[(8 * maxima.size) // 10] if maxima.size > 0 else np.float32(0.0)
    return detector.level / past if past > 0 else 1.0
