"""Devices that aren't there: recordings and synthetic patients, streamed as wearables would stream them.

`devices` cuts recordings into deliveries (pure), `faults` spoils signals and deliveries, `patients` makes signals from
rhythm scripts, `scenarios` reads the YAML gallery, `fleet` publishes in real time.
"""
