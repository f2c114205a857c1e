"""The measuring of `peers.py`: one method over all photos, in the process that calls `measure`."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from sama_core.data.sets import Entry, largest_object, load_rgb
from sama_core.evaluation import clicks, matting_metrics, trimap_matting
from sama_core.evaluation.metrics import boundary_iou, iou
from sama_core.evaluation.segmenters import ClickSegmenter, EngineSegmenter, GrabCut, RandomWalker

#: After how many clicks masks are compared; mattes after the last of them.
COUNTS = (1, 3)
SAMA = "SAMA"
#: Takes a photo and a trimap; gives alpha and, if it knows better than who waits for it, the seconds it took.
Matte = Callable[[np.ndarray, np.ndarray], "tuple[np.ndarray, float | None]"]


@dataclass(frozen=True)
class Photo:
    """A photo to measure on.

    Attributes:
        kind: "mask" has an object with a known mask (`entry`), "matte" a known alpha and maybe a trimap that says where
            it is unknown (`alpha`, `trimap`), "shown" nothing but clicks (`points`, `labels`).
        name: unlike any other photo's.
    """

    kind: Literal["mask", "matte", "shown"]
    name: str
    image: Path
    entry: Entry | None = None
    alpha: Path | None = None
    trimap: Path | None = None
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()

    def truth(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The object's mask, and where that is known: H×W bool each; None of a photo that is only shown."""
        if self.entry is not None:
            return largest_object(self.entry)
        if self.alpha is not None:
            mask = read_grey(self.alpha) > 127
            return mask, np.ones_like(mask)
        return None


@dataclass(frozen=True)
class Job:
    """What is to be measured, and where to.

    Attributes:
        band: times the width of trimaps.
    """

    photos: list[Photo]
    out: Path
    model: str
    weights: Path | None
    adapter: Path | None
    band: float

    @property
    def log(self) -> Path:
        """Where rows are appended."""
        return self.out / "rows.jsonl"

    def answer(self, photo: Photo, method: str, what: str) -> Path:
        """Where a mask or matte is kept for the contact sheet."""
        return self.out / "answers" / photo.name.replace("/", "-") / f"{method.replace(' ', '-')}.{what}.png"


def read_grey(path: Path) -> np.ndarray:
    """Read a picture as H×W uint8."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def write_grey(path: Path, values: np.ndarray) -> None:
    """Write H×W uint8."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


class Meter:
    """What a process has cost since `reset`, as the kernel counts it (Linux)."""

    def __init__(self, pid: int) -> None:
        self._folder = Path("/proc") / str(pid)
        self._cpu = 0.0

    def reset(self) -> None:
        """Begin anew; the memory's mark only where the kernel allows it."""
        with contextlib.suppress(OSError):
            (self._folder / "clear_refs").write_text("5")
        self._cpu = self._cpu_seconds()

    def read(self) -> dict[str, float]:
        """Highest resident memory and the time of all its threads, as a row has them."""
        return {"cpu_seconds": self._cpu_seconds() - self._cpu, "peak_mib": self._peak_mebibytes()}

    def _cpu_seconds(self) -> float:
        # the name, in brackets, may hold spaces; user and system time are fields 14 and 15
        fields = (self._folder / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _peak_mebibytes(self) -> float:
        for line in (self._folder / "status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise OSError("The kernel does not tell the peak memory of processes. Run this on Linux.")


@dataclass
class Method:
    """How to ask one method.

    Attributes:
        segmenter: answers clicks; None makes no masks.
        matte: None makes no mattes.
        pid: the process that computes.
        seconds: what the last mask took, if the method knows better than who waits for it.
        revive: called after a failure, before anything else is asked.
    """

    segmenter: ClickSegmenter | None = None
    matte: Matte | None = None
    pid: int = field(default_factory=os.getpid)
    seconds: Callable[[], float] | None = None
    revive: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Timed:
    """An answer (H×W bool) and its cost."""

    answer: np.ndarray
    cost: dict[str, float]


class Stopwatch:
    """A segmenter that keeps all answers of another and what they took; the first one's cost includes the photo's."""

    def __init__(self, method: Method) -> None:
        assert method.segmenter is not None
        self.name = method.segmenter.name
        self.answers: list[Timed] = []
        self._segmenter, self._seconds = method.segmenter, method.seconds
        self._meter = Meter(method.pid)
        self._opened = 0.0

    def begin(self, rgb: np.ndarray) -> None:
        """Open a photo, H×W×3 uint8."""
        self.answers = []
        self._meter.reset()
        began = time.perf_counter()
        self._segmenter.begin(rgb)
        self._opened = time.perf_counter() - began

    def click(self, points: list[tuple[float, float]], labels: list[int]) -> np.ndarray:
        """Answer the clicks, H×W bool."""
        if self.answers:
            self._meter.reset()
        began = time.perf_counter()
        answer = self._segmenter.click(points, labels)
        waited = time.perf_counter() - began + (0 if self.answers else self._opened)
        seconds = waited if self._seconds is None else self._seconds()
        self.answers.append(Timed(answer, {"seconds": seconds} | self._meter.read()))
        return answer


_Ask = Callable[[Photo, Method], Iterator[dict[str, Any]]]


class Measurer:
    """Asks one method about the photos and logs what is not logged yet."""

    def __init__(self, name: str, job: Job) -> None:
        self._name, self._job = name, job
        rows = clicks.read_log(job.log)
        self._done = {(row["photo"], row["what"]) for row in rows if row["method"] == name}
        self._clicks = {row["photo"]: row for row in rows if row["what"] == "clicks"}

    def pending(self, photo: Photo, tasks: tuple[str, ...]) -> list[str]:
        """Which of the tasks are still to be done; without SAMA's clicks there is nothing to follow."""
        if self._name != SAMA and photo.name not in self._clicks:
            return []
        return [what for what in tasks if (photo.name, what) not in self._done]

    def photo(self, photo: Photo, method: Method, tasks: tuple[str, ...]) -> None:
        """Do the tasks that are pending."""
        asking = {"clicks": self._lead, "mask": self._follow, "dialogue": self._own_dialogue, "matte": self._matte}
        for what in self.pending(photo, tasks):
            self._once(photo, method, what, asking[what])

    def _once(self, photo: Photo, method: Method, what: str, ask: _Ask) -> None:
        print(f"\r{self._name}: {photo.name}, {what}\033[K", end="", file=sys.stderr)
        try:
            rows = list(ask(photo, method))
        except Exception as error:  # what a method cannot do is a result like any other
            if self._name == SAMA:
                raise
            print(f"\n{error}", file=sys.stderr)
            rows = [{"what": what, "error": f"{type(error).__name__}: {error}".splitlines()[0]}]
            method.revive()
        with self._job.log.open("a") as file:
            # at once, so that a run cut short leaves all of it or nothing
            file.write("".join(json.dumps({"photo": photo.name, "method": self._name} | row) + "\n" for row in rows))

    def _lead(self, photo: Photo, method: Method) -> Iterator[dict[str, Any]]:
        """SAMA's dialogue, whose clicks all others are given, and its matte at once: the engine holds the photo."""
        watch, last = Stopwatch(method), COUNTS[-1]
        watch.begin(load_rgb(photo.image))
        truth = photo.truth()
        if truth is None:
            points, labels = list(photo.points), list(photo.labels)
            for count in range(1, len(points) + 1):
                watch.click(points[:count], labels[:count])
        else:
            dialogue = clicks.play(watch, *truth, least=last, most=clicks.LIMIT if photo.kind == "mask" else last)
            points, labels = dialogue.points[:last], dialogue.labels[:last]
            if photo.kind == "mask":
                yield {"what": "dialogue", "curve": dialogue.curve, "boundary": dialogue.boundary}
        yield {"what": "clicks", "points": points, "labels": labels}
        yield from self._mask_rows(photo, {count: watch.answers[min(count, len(points)) - 1] for count in COUNTS})
        if photo.kind != "mask":
            yield from self._matte(photo, method)

    def _follow(self, photo: Photo, method: Method) -> Iterator[dict[str, Any]]:
        """The masks of another method, given SAMA's clicks."""
        watch = Stopwatch(method)
        watch.begin(load_rgb(photo.image))
        row = self._clicks[photo.name]
        for count in COUNTS:
            watch.click([(x, y) for x, y in row["points"][:count]], row["labels"][:count])
        yield from self._mask_rows(photo, dict(zip(COUNTS, watch.answers, strict=True)))

    def _own_dialogue(self, photo: Photo, method: Method) -> Iterator[dict[str, Any]]:
        """Clicks where this method is most wrong."""
        assert method.segmenter is not None
        truth = photo.truth()
        assert truth is not None
        method.segmenter.begin(load_rgb(photo.image))
        dialogue = clicks.play(method.segmenter, *truth, least=COUNTS[-1])
        yield {"what": "dialogue", "curve": dialogue.curve, "boundary": dialogue.boundary}

    def _mask_rows(self, photo: Photo, answers: dict[int, Timed]) -> Iterator[dict[str, Any]]:
        write_grey(self._job.answer(photo, self._name, "mask"), answers[COUNTS[-1]].answer.astype(np.uint8) * 255)
        if photo.kind == "matte":
            return  # its masks are there for the trimaps
        truth = photo.truth()
        for count, timed in answers.items():
            row: dict[str, Any] = {"what": "mask", "clicks": count} | timed.cost
            if truth is not None:
                row |= {"iou": iou(timed.answer, *truth), "boundary_iou": boundary_iou(timed.answer, *truth)}
            yield row

    def _matte(self, photo: Photo, method: Method) -> Iterator[dict[str, Any]]:
        """A matte of what the last clicks select."""
        assert method.matte is not None
        rgb, mask = load_rgb(photo.image), read_grey(self._job.answer(photo, SAMA, "mask")) > 127
        trimap = trimap_matting.trimap_around(mask, self._job.band * half_width(mask))
        meter = Meter(method.pid)
        meter.reset()
        began = time.perf_counter()
        alpha, seconds = method.matte(rgb, trimap)
        waited = time.perf_counter() - began
        cost = {"seconds": waited if seconds is None else seconds} | meter.read()
        write_grey(self._job.answer(photo, self._name, "matte"), alpha)
        yield {"what": "matte", "clicks": COUNTS[-1]} | cost | matte_errors(photo, alpha)
        if self._name == SAMA and photo.alpha is not None:
            # what the others' trimaps were made from
            yield {"what": "mask as matte", "clicks": COUNTS[-1]} | matte_errors(photo, mask.astype(np.uint8) * 255)


def matte_errors(photo: Photo, alpha: np.ndarray) -> dict[str, float]:
    """SAD and Grad over the whole picture and where its trimap says unknown; nothing for a photo without alpha."""
    if photo.alpha is None:
        return {}
    truth = read_grey(photo.alpha)
    whole = matting_metrics.matting_errors(alpha, truth)
    errors = {"sad": whole.sad, "grad": whole.grad}
    if photo.trimap is not None:
        inside = matting_metrics.matting_errors(alpha, truth, read_grey(photo.trimap) == matting_metrics.UNKNOWN)
        errors |= {"sad_unknown": inside.sad, "grad_unknown": inside.grad}
    return errors


def half_width(mask: np.ndarray) -> float:
    """Pixels to both sides of the mask's edge that trimaps leave unknown.

    Six cells of a 512×512 grid and 0.008 √area, which is the band of closed-form matting in the engine
    (`matting.band_reach`) at the time of writing.
    """
    return 6 * max(mask.shape) / 512 + 0.008 * float(np.sqrt(mask.sum()))


@contextlib.contextmanager
def sama(job: Job) -> Iterator[Method]:
    """SAMA Select and SAMA Matte."""
    segmenter = EngineSegmenter(job.model, "cpu", job.weights, job.adapter)
    yield Method(segmenter, lambda rgb, trimap: (segmenter.matte(), None))


@contextlib.contextmanager
def grabcut(job: Job) -> Iterator[Method]:
    """OpenCV's GrabCut."""
    yield Method(GrabCut())


@contextlib.contextmanager
def random_walker(job: Job) -> Iterator[Method]:
    """Scikit-image's random walker."""
    yield Method(RandomWalker())


@contextlib.contextmanager
def closed_form(job: Job) -> Iterator[Method]:
    """PyMatting's closed-form matting."""
    yield Method(matte=lambda rgb, trimap: (trimap_matting.closed_form(rgb, trimap), None))


@contextlib.contextmanager
def knn(job: Job) -> Iterator[Method]:
    """PyMatting's KNN matting."""
    yield Method(matte=lambda rgb, trimap: (trimap_matting.knn(rgb, trimap), None))


@contextlib.contextmanager
def gimp(engine: Literal["global", "levin"]) -> Iterator[Method]:
    """GIMP's foreground extraction; a GIMP that failed is replaced by a fresh one."""
    from gimp_extraction import ForegroundExtraction, GimpSegmenter
    from sandbox import GimpSession, Workspace, find_gimp

    workspace = Workspace(find_gimp())
    with contextlib.ExitStack() as running:
        running.callback(workspace.remove, "peers")
        sessions = running.enter_context(contextlib.ExitStack())

        def start(method: Method) -> None:
            sessions.close()
            session = sessions.enter_context(GimpSession(workspace, "peers"))
            extraction = ForegroundExtraction(session, engine)
            segmenter = GimpSegmenter(f"GIMP {engine}", extraction)

            def matte(rgb: np.ndarray, trimap: np.ndarray) -> tuple[np.ndarray, float]:
                extraction.begin(rgb)
                return extraction.matte(trimap)

            method.segmenter, method.matte, method.pid = segmenter, matte, session.process_id
            method.seconds = lambda: segmenter.seconds

        method = Method()
        method.revive = lambda: start(method)
        start(method)
        yield method


@dataclass(frozen=True)
class Peer:
    """What a method is asked, and how to get it ready.

    Attributes:
        dialogues: whether it also has dialogues of its own.
    """

    open: Callable[[Job], contextlib.AbstractContextManager[Method]]
    masks: bool = False
    dialogues: bool = False
    mattes: bool = False

    def tasks(self, photo: Photo) -> tuple[str, ...]:
        """What to measure on a photo."""
        wanted = {
            "mask": self.masks and photo.kind != "matte",
            "dialogue": self.dialogues and photo.kind == "mask",
            "matte": self.mattes and photo.kind != "mask",
        }
        return tuple(what for what, asked in wanted.items() if asked)


class Leader(Peer):
    """SAMA: its clicks come with its masks, its dialogue and its matte."""

    def tasks(self, photo: Photo) -> tuple[str, ...]:
        """What to measure on a photo."""
        return ("clicks",)


#: By the name in tables; SAMA leads. A click takes the Levin engine too long for dialogues.
METHODS: dict[str, Peer] = {
    SAMA: Leader(sama),
    "GrabCut": Peer(grabcut, masks=True, dialogues=True),
    "random walker": Peer(random_walker, masks=True, dialogues=True),
    "GIMP global": Peer(lambda job: gimp("global"), masks=True, dialogues=True, mattes=True),
    "GIMP levin": Peer(lambda job: gimp("levin"), masks=True, mattes=True),
    "closed form": Peer(closed_form, mattes=True),
    "KNN": Peer(knn, mattes=True),
}


def measure(name: str, job: Job) -> None:
    """Ask one method about all photos; what is in the log already is not asked again."""
    peer, measurer, caller = METHODS[name], Measurer(name, job), multiprocessing.parent_process()
    if not any(measurer.pending(photo, peer.tasks(photo)) for photo in job.photos):
        return
    with peer.open(job) as method:
        warm_up(method)
        for photo in job.photos:
            if caller is not None and not caller.is_alive():
                return  # another run may be writing the log by now
            measurer.photo(photo, method, peer.tasks(photo))
    print(file=sys.stderr)


def warm_up(method: Method) -> None:
    """Let a method load and compile what it needs, on a drawn disk."""
    rows, columns = np.indices((96, 128))
    disk = np.hypot(rows - 48, columns - 64) < 30
    rgb = np.where(disk[..., None], (200, 60, 40), (30, 90, 60)).astype(np.uint8)
    if method.segmenter is not None:
        method.segmenter.begin(rgb)
        method.segmenter.click([(64.0, 48.0)], [1])
    if method.matte is not None:
        method.matte(rgb, trimap_matting.trimap_around(disk, 5))
