"""What both sides must agree on: the plug-in refuses early what the engine would refuse late."""

from __future__ import annotations

from gimp_plugin.sama_select.sama import client
from sama_core import image_limits


def test_the_cap_on_pictures_is_the_engines_own():
    assert (client.MAX_PIXELS, client.MAX_SIDE) == (image_limits.MAX_PIXELS, image_limits.MAX_SIDE)
