"""A picture as large as there is room for, its shape kept."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize
from qtpy.QtGui import QPainter, QPainterPath, QPaintEvent, QPixmap
from qtpy.QtWidgets import QSizePolicy, QWidget

from installer.window import look

#: A small picture is shown larger than it is, but not so large that it is all blur.
_MOST_ENLARGED = 2.0


class Picture(QWidget):
    """Shows a picture file, with round corners."""

    def __init__(self, description: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._pixels = QPixmap()
        self.setAccessibleName(description)
        self.setMinimumHeight(160)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def show_file(self, path: str) -> bool:
        """Show the picture in `path`; return whether there is one."""
        self._pixels = QPixmap(path)
        self.setVisible(not self._pixels.isNull())
        self.updateGeometry()
        self.update()
        return not self._pixels.isNull()

    def sizeHint(self) -> QSize:
        """The picture's own size."""
        return self._pixels.size() if not self._pixels.isNull() else QSize(320, 200)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the picture."""
        if self._pixels.isNull():
            return
        wide, high = self._pixels.width(), self._pixels.height()
        scale = min(self.width() / wide, self.height() / high, _MOST_ENLARGED)
        place = QRectF(0, 0, wide * scale, high * scale)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        rounded = QPainterPath()
        rounded.addRoundedRect(place, look.RADIUS, look.RADIUS)
        painter.setClipPath(rounded)
        painter.drawPixmap(place, self._pixels, QRectF(self._pixels.rect()))
        painter.end()
