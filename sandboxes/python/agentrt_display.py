"""What a call shows beside its text: open figures, images, and the last expression's own pictures.

matplotlib is told to draw with this module (`MPLBACKEND=module://agentrt_display`), so that `plt.show()` hands a
figure over where it stands between the prints; what is still open when the call ends follows then. Nothing is
imported here before the code itself has imported it. Stdlib only; runs in the box, see runner.py.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder

# As in agentrt_worker.py: a copy that the code cannot reach.
globals()["__builtins__"] = dict(vars(builtins))

MAX_DISPLAYS = 20
MAX_BYTES = 8 * 1024 * 1024

_FOUND_FONTS = "/opt/agentrt/matplotlib"

Send = Callable[[str, bytes], None]

_REPRESENTATIONS = (
    ("_repr_png_", "image/png"),
    ("_repr_jpeg_", "image/jpeg"),
    ("_repr_svg_", "image/svg+xml"),
    ("_repr_html_", "text/html"),
)


class Displays:
    """Counts and bounds what one call shows. send takes a media type and the bytes."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._n_left = MAX_DISPLAYS

    def start_call(self) -> None:
        self._n_left = MAX_DISPLAYS

    def show(self, value: object) -> bool:
        """Hand over the best picture that value has of itself; False if it has none."""
        for mime, data in _pictures(value):
            self._hand_over(mime, data)
            return True
        return False

    def show_figures(self) -> None:
        """Hand over every open figure and close it. Does nothing where matplotlib was not imported."""
        plots = sys.modules.get("matplotlib.pyplot")
        if plots is None:
            return
        for number in plots.get_fignums():
            figure = plots.figure(number)
            try:
                if figure.axes or figure.texts or figure.images:
                    picture = io.BytesIO()
                    figure.savefig(picture, format="png", bbox_inches="tight")
                    self._hand_over("image/png", picture.getvalue())
            finally:
                plots.close(figure)

    def install(self) -> None:
        """Be the backend that MPLBACKEND names, and what PIL's `Image.show` shows with."""
        backend = types.ModuleType("agentrt_display")
        backend.__dict__["show"] = lambda *args, **kwargs: self.show_figures()
        backend.__dict__["__getattr__"] = lambda name: _canvas(backend, name)
        sys.modules["agentrt_display"] = backend
        os.environ.setdefault("MPLBACKEND", "module://agentrt_display")
        os.environ.setdefault("MPLCONFIGDIR", _matplotlib_folder())
        sys.meta_path.insert(0, _ImageShow(self))

    def _hand_over(self, mime: str, data: bytes) -> None:
        if self._n_left > 0 and 0 < len(data) <= MAX_BYTES:
            self._n_left -= 1
            self._send(mime, data)


def _matplotlib_folder() -> str:
    """A folder that matplotlib may write, with the fonts in it that the image has found already (Dockerfile)."""
    folder = "/tmp/matplotlib"
    try:
        os.makedirs(folder, exist_ok=True)
        for entry in os.scandir(_FOUND_FONTS):
            os.symlink(entry.path, os.path.join(folder, entry.name))
    except OSError:  # another image, or a worker before this one has done it
        return folder
    return folder


class _ImageShow:
    """Puts a viewer of ours before PIL's own when PIL.ImageShow is imported, which `Image.show` does."""

    def __init__(self, displays: Displays) -> None:
        self._displays = displays

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        if name != "PIL.ImageShow":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path)
        if spec is None or spec.loader is None:
            return spec
        load, displays = spec.loader.exec_module, self._displays

        def exec_module(module: types.ModuleType) -> None:
            load(module)
            viewer = type("Viewer", (module.Viewer,), {"show": lambda viewer, image, **options: displays.show(image)})
            module.register(viewer(), 0)

        vars(spec.loader)["exec_module"] = exec_module
        return spec


def _canvas(backend: types.ModuleType, name: str) -> object:
    """matplotlib asks the backend for its FigureCanvas, and then copies the module's names: the plain one goes in."""
    if name != "FigureCanvas":
        raise AttributeError(name)
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # type: ignore[import-not-found,unused-ignore]

    backend.__dict__[name] = FigureCanvasAgg
    return FigureCanvasAgg


def _pictures(value: object) -> Iterator[tuple[str, bytes]]:
    """What value's own methods draw. A class has them too, unbound: that is no picture."""
    if isinstance(value, type):
        return
    for method, mime in _REPRESENTATIONS:
        draw = getattr(value, method, None)
        try:
            drawn = draw() if callable(draw) else None
        except Exception:
            continue
        if isinstance(drawn, tuple):  # (data, metadata)
            drawn = drawn[0]
        if isinstance(drawn, str):
            drawn = drawn.encode("utf-8", "replace")
        if isinstance(drawn, bytes):
            yield mime, drawn
