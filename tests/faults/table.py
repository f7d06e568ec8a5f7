"""Print what fault tests noted (`FAULTS_TO=file make test-faults`) as a table: python tests/faults/table.py file."""

import json
import sys
from pathlib import Path

COLUMNS = ("findings", "findings_lost", "alerts", "alerts_lost", "alerts_doubled")


def main(file: str) -> None:
    """Sum up the runs of each fault."""
    totals: dict[str, list[int]] = {}
    for line in Path(file).read_text(encoding="utf-8").splitlines():
        outcome = json.loads(line)
        row = totals.setdefault(outcome["fault"], [0] * (1 + len(COLUMNS)))
        for k, n in enumerate([1, *(outcome[name] for name in COLUMNS)]):
            row[k] += n
    print("| fault | runs | findings expected | lost | alerts expected | lost | doubled |")
    print("|---|---|---|---|---|---|---|")
    for fault, row in totals.items():
        print(f"| {fault} | " + " | ".join(f"{n:,}" for n in row) + " |")


if __name__ == "__main__":
    main(sys.argv[1])
