"""The compose file: what must outlive a container lies on a volume."""

from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_kafkas_logs_lie_on_its_volume() -> None:
    kafka = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["kafka"]
    mounted = [volume.split(":")[1] for volume in kafka["volumes"]]
    assert mounted == [kafka["environment"]["KAFKA_LOG_DIRS"]]
