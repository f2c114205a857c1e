"""The list of what is being done, a sign in front of each step."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from installer.window.parts.boxes import Box
from installer.window.parts.state_icon import State, StateIcon
from installer.window.parts.words import beside_icon, give_part, label


class StepList(Box):
    """Steps by name, in the order in which they were named first."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("box", parent)
        self._rows: dict[str, _Row] = {}

    def clear(self) -> None:
        """Forget all steps."""
        for row in self._rows.values():
            self.column.removeWidget(row)
            row.hide()
            row.deleteLater()
        self._rows.clear()

    def show_step(self, name: str, title: str, state: State, detail: str = "") -> None:
        """Show how it stands with the step `name`; a new name is a new row at the end."""
        if name not in self._rows:
            self._rows[name] = _Row(self)
            self.column.addWidget(self._rows[name])
        self._rows[name].show_step(title, state, detail)

    def states(self) -> dict[str, State]:
        """How it stands with each step."""
        return {name: row.icon.state for name, row in self._rows.items()}

    def end_running(self, state: State) -> None:
        """Give every step that is running the sign `state`."""
        for row in self._rows.values():
            if row.icon.state is State.RUNNING:
                row.icon.show_state(state)


class _Row(QWidget):
    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        across = QHBoxLayout(self)
        across.setContentsMargins(0, 0, 0, 0)
        across.setSpacing(10)
        self.icon = StateIcon()
        across.addWidget(self.icon, 0, Qt.AlignmentFlag.AlignTop)
        texts = QVBoxLayout()
        texts.setSpacing(2)
        self._title: QLabel = beside_icon(label(""))
        self._detail: QLabel = label("", "muted")
        texts.addWidget(self._title)
        texts.addWidget(self._detail)
        across.addLayout(texts, 1)

    def show_step(self, title: str, state: State, detail: str) -> None:
        self.icon.show_state(state)
        self._title.setText(title)
        give_part(self._title, "muted" if state in (State.WAITING, State.SKIPPED) else "heading")
        self._detail.setText(detail)
        self._detail.setVisible(bool(detail))
        self.setAccessibleName(f"{title}: {state.value}. {detail}".strip())
