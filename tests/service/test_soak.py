"""A short soak: `benchmarks/soak.py` makes the long one, whose figures are in docs/results.md."""

from __future__ import annotations

import json

from soak_load import MIX, Load

STORE = 8 * 2**20
#: Pictures in flight, and the allocator's mood; a leak of one small picture in ten requests would be over it.
MIB_AT_MOST = 40


def test_memory_and_descriptors_stay_flat_over_hundreds_of_requests(start_engine):
    engine = start_engine(SAMA_TEST_LIMITS=json.dumps({"IMAGE_STORE_BYTES": STORE}))
    load = Load(engine, "small", sizes=((40, 30), (320, 240), (700, 500)))
    load.fill(STORE)
    soak = load.run(400, every=5)
    assert soak.asked.keys() == MIX.keys()
    first, last = soak.medians("memory")
    assert last - first < MIB_AT_MOST
    first, last = soak.medians("descriptors")
    assert last - first < 3
    # a thread pool grows to its size, and then no more
    assert max(sample.threads for sample in soak.samples) < 60
    assert "Traceback" not in engine.log
