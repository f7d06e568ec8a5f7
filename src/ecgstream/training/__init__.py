"""From PhysioNet-layout folders to a model folder (needs the `train` extra)."""
