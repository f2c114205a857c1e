"""What both sides must agree on: the plug-in refuses early what the engine would refuse late."""

from __future__ import annotations

import sama_client

from sama_core import images


def test_the_cap_on_pictures_is_the_engines_own():
    assert (sama_client.MAX_PIXELS, sama_client.MAX_SIDE) == (images.MAX_PIXELS, images.MAX_SIDE)
