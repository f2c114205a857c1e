"""Colours and sizes. All of them follow the system's palette, so that dark mode is simply the system's."""

from __future__ import annotations

from dataclasses import dataclass

from qtpy.QtGui import QColor, QFont, QPalette

#: Pixels at 100 %; Qt scales them.
GAP = 12
MARGIN = 28
RADIUS = 8


@dataclass(frozen=True)
class Tints:
    """The colours that a palette has no role for.

    Attributes:
        muted: secondary text, 4.5:1 against the window.
        line: borders of boxes.
        box: the ground of boxes.
        side: the ground of the list of pages.
        soft: the ground of the chosen entry in that list.
        scroll: the handle of a scroll bar.
    """

    good: QColor
    bad: QColor
    warning: QColor
    accent: QColor
    muted: QColor
    line: QColor
    box: QColor
    side: QColor
    soft: QColor
    scroll: QColor


#: In the order of the fields.
_LIGHT = "#1f7a46 #b3261e #8a5a00 #1f5fbf #5b616b #d5d8de #ffffff #e8eaee #d6dce8 #b9bec8"
_DARK = "#57c785 #ff8a80 #f0b94d #8ab4f8 #a9b0bb #474c55 #2c3036 #1d2024 #343a44 #5c636e"


def is_dark(palette: QPalette) -> bool:
    """Whether the system asks for light text on a dark ground."""
    return palette.color(QPalette.ColorRole.Window).lightness() < 128


def tints(palette: QPalette) -> Tints:
    """The colours that go with `palette`."""
    return Tints(*map(QColor, (_DARK if is_dark(palette) else _LIGHT).split()))


def stylesheet(palette: QPalette, font: QFont) -> str:
    """The window's style sheet for the system's palette and font. Parts are named by their `part` property."""
    points = font.pointSizeF() if font.pointSizeF() > 0 else 10.0
    tint = tints(palette)
    line, box, muted, accent = (color.name() for color in (tint.line, tint.box, tint.muted, tint.accent))
    on_accent = "#10151d" if is_dark(palette) else "#ffffff"
    text = palette.color(QPalette.ColorRole.WindowText).name()
    return f"""
    QLabel[part="title"] {{ font-size: {points * 2:.1f}pt; font-weight: 600; }}
    QLabel[part="lead"] {{ color: {muted}; font-size: {points * 1.15:.1f}pt; }}
    QLabel[part="heading"] {{ font-weight: 600; }}
    QLabel[part="muted"] {{ color: {muted}; }}
    QLabel[part="good"] {{ color: {tint.good.name()}; font-weight: 600; }}
    QFrame[part="box"] {{ background: {box}; border: 1px solid {line}; border-radius: {RADIUS}px; }}
    QFrame[part="bad"] {{ background: {box}; border: 1px solid {tint.bad.name()}; border-radius: {RADIUS}px; }}
    QFrame[part="warning"] {{ background: {box}; border: 1px solid {tint.warning.name()}; border-radius: {RADIUS}px; }}
    QFrame[part="side"] {{ background: {tint.side.name()}; border: 0; }}
    QFrame[part="rule"] {{ background: {line}; border: 0; }}
    QLabel[part="entry"] {{ padding: 7px 10px; border-radius: 6px; color: {muted}; }}
    QLabel[part="entry-now"] {{ padding: 7px 10px; border-radius: 6px; font-weight: 600;
        background: {tint.soft.name()}; color: {text}; }}
    QLabel[part="pill"] {{ background: {tint.soft.name()}; border-radius: 6px; padding: 5px 12px; color: {text}; }}
    QLabel[part="picture"] {{ background: transparent; }}
    QScrollArea {{ background: transparent; border: 0; }}
    QScrollBar:vertical {{ background: transparent; width: 10px; margin: 0; }}
    QScrollBar::handle:vertical {{ background: {tint.scroll.name()}; border-radius: 4px; min-height: 32px;
        margin: 0 1px; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ height: 0; width: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
    QCheckBox:disabled {{ color: {text}; }}
    QPushButton {{ padding: 7px 18px; min-width: 52px; border: 1px solid {line}; border-radius: 6px;
        background: {box}; color: {text}; }}
    QPushButton:hover {{ border-color: {accent}; }}
    QPushButton:focus {{ border: 2px solid {accent}; padding: 6px 17px; }}
    QPushButton:pressed {{ background: {tint.soft.name()}; }}
    QPushButton:disabled {{ color: {muted}; background: transparent; }}
    QPushButton[part="main"] {{ background: {accent}; border-color: {accent}; color: {on_accent}; font-weight: 600; }}
    QPushButton[part="main"]:hover {{ border-color: {text}; }}
    QPushButton[part="main"]:focus {{ border-color: {text}; }}
    QToolButton {{ border: 1px solid transparent; border-radius: 4px; padding: 3px 6px; color: {accent}; }}
    QToolButton:focus {{ border-color: {accent}; }}
    QProgressBar {{ border: 0; border-radius: 4px; background: {line}; min-height: 8px; max-height: 8px; }}
    QProgressBar::chunk {{ border-radius: 4px; background: {accent}; }}
    QPlainTextEdit {{ background: {box}; border: 1px solid {line}; border-radius: {RADIUS}px; }}
    """
