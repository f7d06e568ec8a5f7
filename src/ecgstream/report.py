"""The report of one recording: one HTML page that needs nothing else, for a person who reads ECGs."""

from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from msgspec.structs import replace

from ecgstream.burdens import Burdens, add_up, by_the_minute
from ecgstream.ecg_paper import svg
from ecgstream.messages import Alert, Finding, Quality, Strip

MOST_STRIPS = 40
SHOWN_S = 15.0
COLOUR = {
    "sinus": "#9ad0a5", "af": "#e07a5f", "svt": "#e0a35f", "bigeminy": "#b48ade", "trigeminy": "#cbb0ea",
    "idioventricular": "#d46ab0", "junctional": "#7fb8d6", "block": "#5f8fe0", "paced": "#8fd0cf", "vt": "#c0392b",
    "other": "#c9c9c9", "noise": "#e8e2c8", "unreadable": "#f3efe2", "unknown": "#eeeeee",
}  # fmt: skip
STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1c1c1c;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0 0 .2rem}h2{font-size:1.1rem;margin:2rem 0 .5rem}
.sub,.note{color:#555}.note{font-size:.85rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:.7rem;margin:1rem 0}
.tile{border:1px solid #ddd;border-radius:8px;padding:.6rem .8rem}.tile b{display:block;font-size:1.45rem}
.tile span{color:#555;font-size:.85rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #e5e5e5}
svg{display:block;width:100%}.strip{background:#fffafa;border:1px solid #e6b8b8;margin:.3rem 0}
.small{stroke:#f6d5d5;stroke-width:.1;fill:none}.large{stroke:#eba9a9;stroke-width:.2;fill:none}
.ecg{stroke:#111;stroke-width:.35;fill:none;stroke-linejoin:round}.onset{stroke:#1f5fbf;stroke-width:.5;stroke-dasharray:1.5 1}
.beat{font:3px system-ui,sans-serif;text-anchor:middle}.key i{display:inline-block;width:.8em;height:.8em;margin:0 .3em 0 .9em}
.episode{break-inside:avoid;margin:1.2rem 0}.high{color:#b00020;font-weight:600}.medium{color:#8a5a00;font-weight:600}
"""


def page(name: str, findings: Sequence[Finding], alerts: Sequence[Alert]) -> str:
    """The page of one device's or recording's findings and alert revisions. Raises `ValueError` without findings."""
    total = add_up(findings)
    last = {alert.alert_id: alert for alert in alerts}
    episodes = sorted(last.values(), key=lambda a: a.onset_us)
    model = findings[-1].model
    configuration = f", alarm table {escape(episodes[-1].configuration)}" if episodes else ""
    parts = [
        f"<!doctype html><html lang='en'><meta charset='utf-8'><title>{escape(name)}: ECG report</title>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        f"<style>{STYLE}</style><body><h1>{escape(name)}</h1>",
        f"<p class='sub'>{_when(total.start_us)} to {_when(total.end_us)} UTC, {_length(total.duration_s)}; "
        f"model {escape(model)}{configuration}</p>",
        _tiles(total),
        "<h2>Heart rate</h2>",
        _trend(total),
        "<h2>Rhythm</h2>",
        _timeline(total),
        "<h2>Events</h2>",
        _table(episodes, total.end_us),
        "<h2>Strips</h2>",
        _strips(episodes, findings),
        "<p class='note'>Made by software from one lead; no physician has read it. Rhythms and beats are a network's "
        "opinion. 25 mm/s, 10 mm/mV, filtered 0.6 to 40 Hz: rhythm only, not for ST segments.</p>",
    ]
    return "\n".join(parts)


def _tiles(total: Burdens) -> str:
    rates = [rate for _, rate in total.rates]
    known_s = sum(total.rhythm_s.values())
    tiles = [
        ("AF burden", _share(total.af_burden), f"of {_length(known_s)} with a known rhythm"),
        (
            "PVC burden",
            _share(total.pvc_burden),
            f"{total.beats.get('V', 0)} of {_classed(total)} classed beats",
        ),
        ("Supraventricular ectopy", str(total.beats.get("S", 0)), "beats"),
        ("Couplets, runs", f"{total.couplets}, {total.runs}", f"longest run {total.longest_run} beats"),
        ("Heart rate", f"{sum(rates) / len(rates):.0f}" if rates else "–", _range(rates)),
        ("Unreadable", _share(total.unreadable_share), "of the recording"),
    ]
    cells = (f"<div class='tile'><span>{n}</span><b>{v}</b><span>{s}</span></div>" for n, v, s in tiles)
    return f"<div class='tiles'>{''.join(cells)}</div>"


def _classed(total: Burdens) -> int:
    return sum(n for kind, n in total.beats.items() if kind != "Q")


def _range(rates: Sequence[float]) -> str:
    return f"mean; {min(rates):.0f} to {max(rates):.0f}/min" if rates else "never known"


def _trend(total: Burdens) -> str:
    rows = by_the_minute(total.rates)
    if not len(rows):
        return "<p>No heart rate could be read.</p>"
    width, height, left = 1000.0, 180.0, 34.0
    high = max(140.0, float(rows[:, 3].max()) + 10)
    minutes = max(1.0, total.duration_s / 60)

    def x(minute: float) -> float:
        return left + (width - left) * minute / minutes

    def y(rate: float) -> float:
        return height - (height - 8) * (rate - 20) / (high - 20)

    lines = "".join(
        f"<line x1='{left}' x2='{width}' y1='{y(r):.1f}' y2='{y(r):.1f}' stroke='#e5e5e5'/>"
        f"<text x='0' y='{y(r) + 4:.1f}' font-size='12' fill='#666'>{r}</text>"
        for r in range(40, int(high), 40)
    )
    bars = "".join(
        f"<line x1='{x(m + 0.5):.1f}' x2='{x(m + 0.5):.1f}' y1='{y(lo):.1f}' y2='{y(hi):.1f}' stroke='#b9cfe8' "
        f"stroke-width='{max(1.0, 0.7 * (width - left) / minutes):.1f}'/>"
        for m, lo, _, hi in rows.tolist()
    )
    dots = "".join(
        f"<circle cx='{x(m + 0.5):.1f}' cy='{y(mid):.1f}' r='2.4' fill='#1f5fbf'/>"
        for m, _, mid, _ in rows.tolist()
    )
    text = "<p class='note'>Per minute: median (dot), least to greatest (bar), 1/min.</p>"
    return f"<svg viewBox='0 0 {width:.0f} {height + 4:.0f}'>{lines}{bars}{dots}</svg>{text}"


def _timeline(total: Burdens) -> str:
    spans = "".join(
        f"<rect x='{a / total.duration_s * 1000:.2f}' width='{max(0.3, (b - a) / total.duration_s * 1000):.2f}' y='0' "
        f"height='26' fill='{COLOUR.get(label, '#c9c9c9')}'><title>{escape(label)} {a:.0f}–{b:.0f} s</title></rect>"
        for a, b, label in total.timeline
    )
    shares = total.rhythm_s | {"unreadable": total.unreadable_s}
    known = "".join(
        f"<i style='background:{COLOUR.get(label, '#c9c9c9')}'></i>{escape(label)} {_length(seconds)}"
        for label, seconds in sorted(shares.items(), key=lambda item: -item[1])
        if seconds
    )
    return f"<svg viewBox='0 0 1000 26'>{spans}</svg><p class='key note'>{known}</p>"


def _table(episodes: Sequence[Alert], until_us: int) -> str:
    if not episodes:
        return "<p>None.</p>"
    kinds: dict[str, list[Alert]] = {}
    for alert in episodes:
        kinds.setdefault(alert.kind, []).append(alert)
    rows = []
    for kind, alerts in kinds.items():
        lengths = [((until_us if a.end_us is None else a.end_us) - a.onset_us) / 1e6 for a in alerts]
        also = sum(sum((a.evidence.get("held_back") or {}).values()) for a in alerts)
        row = (
            kind,
            str(alerts[0].priority),
            len(alerts),
            also,
            _length(sum(lengths)),
            _length(max(lengths, default=0)),
        )
        rows.append("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>")
    head = "".join(
        f"<th>{n}</th>" for n in ("kind", "priority", "alerts", "held back on them", "in all", "longest")
    )
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _strips(episodes: Sequence[Alert], findings: Sequence[Finding]) -> str:
    shown = [a for a in episodes if a.strip is not None][:MOST_STRIPS]
    parts = []
    for alert in shown:
        assert alert.strip is not None
        end = (
            "not over" if alert.end_us is None else f"lasted {_length((alert.end_us - alert.onset_us) / 1e6)}"
        )
        head = (
            f"<span class='{alert.priority}'>{escape(alert.message)}</span>, {_when(alert.onset_us)}, {end}"
        )
        strip = svg(_around(alert.strip, alert.onset_us), alert.onset_us, alert.beats, alert.message)
        parts.append(f"<div class='episode'>{head}{strip}</div>")
    example = max(findings, key=_ectopy, default=None)
    if not shown and example is not None and example.signal is not None:
        head = f"An example, {_when(example.signal.start_us)}"
        parts.append(
            f"<div class='episode'>{head}{svg(example.signal, None, example.beats, 'example')}</div>"
        )
    more = len([a for a in episodes if a.strip is not None]) - len(shown)
    parts.append(f"<p class='note'>{more} more not shown.</p>" if more > 0 else "")
    return "".join(parts) or "<p>None.</p>"


def _ectopy(finding: Finding) -> tuple[bool, bool, int, int]:
    """What makes a finding an example: a readable strip, its beats classed, ectopy in it, then many beats."""
    kinds = [beat.kind for beat in finding.beats]
    ectopic, unclassed = sum(kind in "VS" for kind in kinds), kinds.count("Q")
    return finding.signal is not None, finding.quality is Quality.FULL, ectopic - unclassed, len(kinds)


def _around(strip: Strip, onset_us: int) -> Strip:
    """`SHOWN_S` of a strip, with the onset at a third where it reaches so far."""
    length = round(SHOWN_S * strip.fs_hz)
    n = len(strip.samples) // 2
    onset = round((onset_us - strip.start_us) / 1e6 * strip.fs_hz)
    first = max(0, min(n - length, onset - length // 3))
    start_us = strip.start_us + round(first / strip.fs_hz * 1e6)
    return replace(strip, start_us=start_us, samples=strip.samples[2 * first : 2 * (first + length)])


def _when(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"
