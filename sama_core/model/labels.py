"""Labels of the sparse prompt tokens, as in SAM's ONNX export (a file of its own: no torch needed to read it)."""

PAD, EXCLUDE, INCLUDE, BOX_TOP_LEFT, BOX_BOTTOM_RIGHT = -1, 0, 1, 2, 3
