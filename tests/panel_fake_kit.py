"""A strict, recording stand-in for the names of Kit that the panel uses.

Only these names exist, with only these arguments: a misspelt name is an AttributeError or an ImportError, a
misspelt argument a TypeError. Stages, layers and references are real (usd-core); undo restores the root layer.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
import tomllib
import types
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pxr import Gf, Sdf, Usd, UsdGeom

REPOSITORY = Path(__file__).resolve().parents[1]
EXTENSION = REPOSITORY / "exts" / "lyra.sim.panel"

COMMON = frozenset({"width", "height", "style", "visible", "enabled", "tooltip", "identifier", "name"})


class Strict:
    """An object that takes no attribute that its class does not know."""

    _known: frozenset[str] = frozenset()

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and name not in self._known and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__} has no {name}")
        object.__setattr__(self, name, value)


class FakeKit:
    """One running application; `update` is one frame of it."""

    def __init__(self, *, version: str = "110.1.2+release.1", without: frozenset[str] = frozenset()) -> None:
        """Start an application.

        Args:
            version: Kit's version.
            without: Names of optional extensions that are not there.
        """
        self.version = version
        self.without = without
        self.loop = asyncio.new_event_loop()
        self.actions: dict[tuple[str, str], Callable[[], None]] = {}
        self.menu: dict[str, tuple[str, str]] = {}
        self.subscriptions: weakref.WeakSet = weakref.WeakSet()
        self.windows: list[Any] = []
        self.show_window_fns: dict[str, Callable] = {}
        self.notifications: list[tuple[str, str]] = []
        self.log: list[str] = []
        self.settings: dict[str, object] = {}
        self.clipboard = ""
        self.dialogs: list[Any] = []
        self.playing = False
        self.nvidia_setups: list[str] = []
        self.unsaved = False
        self.stage: Usd.Stage | None = Usd.Stage.CreateInMemory()
        UsdGeom.SetStageUpAxis(self.stage, UsdGeom.Tokens.z)
        UsdGeom.SetStageMetersPerUnit(self.stage, 1.0)
        self.commands: list[tuple[str, dict]] = []
        self.undo_stack: list[str] = []
        self.fail_command: str | None = None
        self.fail_menu = False
        self._group_depth = 0
        self._waiters: list[asyncio.Future] = []
        self._containers: list[Any] = []
        self.modules = _modules(self)
        with (EXTENSION / "config" / "extension.toml").open("rb") as file:
            for key, value in tomllib.load(file)["settings"]["exts"]["lyra.sim.panel"].items():
                self.settings[f"/exts/lyra.sim.panel/{key}"] = value

    def update(self, frames: int = 1) -> None:
        """Run frames: asyncio work, then drawing."""
        for _ in range(frames):
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            for window in list(self.windows):
                if window.visible:
                    window._draw()

    def update_until(self, condition: Callable[[], object], *, seconds: float = 60.0) -> None:
        """Run frames until something is so."""
        import time

        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited too long"
            self.update()
            time.sleep(0.005)

    def next_update(self) -> asyncio.Future:
        """Return a future that the next frame completes."""
        future = self.loop.create_future()
        self._waiters.append(future)
        return future

    def run(self, work: Any) -> Any:
        """Run a coroutine to its end, with frames going on."""
        task = self.loop.create_task(work)
        self.update_until(task.done)
        return task.result()

    def click_menu(self, path: str) -> None:
        """Choose a menu item."""
        self.actions[self.menu[path]]()
        self.update()

    def say_event(self, name: str) -> None:
        """Dispatch an event to its observers."""
        for subscription in list(self.subscriptions):
            if subscription.event_name == name:
                subscription.on_event(types.SimpleNamespace(event_name=name))

    def undo(self) -> None:
        """Press Ctrl-Z."""
        assert self.stage is not None
        self.stage.GetRootLayer().ImportFromString(self.undo_stack.pop())

    def tasks(self) -> set[asyncio.Task]:
        """Return the tasks that have not ended."""
        return asyncio.all_tasks(self.loop)

    def left_behind(self) -> dict[str, object]:
        """Return what is registered or running."""
        self.update(2)
        found = {
            "actions": dict(self.actions),
            "menu": dict(self.menu),
            "subscriptions": list(self.subscriptions),
            "windows": list(self.windows),
            "show_window_fns": dict(self.show_window_fns),
            "tasks": self.tasks(),
        }
        return {name: value for name, value in found.items() if value}

    def find(self, kind: str, **attributes: object) -> Any:
        """Return the only widget of a kind with these attributes."""
        found = self.find_all(kind, **attributes)
        assert len(found) == 1, f"{len(found)} widgets {kind} {attributes}"
        return found[0]

    def find_all(self, kind: str, **attributes: object) -> list[Any]:
        """Return the widgets of a kind with these attributes, in the order of the windows."""
        return [
            widget
            for window in self.windows
            for widget in window.frame._walk()
            if type(widget).__name__ == kind
            and all(getattr(widget, name) == value for name, value in attributes.items())
        ]

    def texts(self) -> str:
        """Return all labels, for searching."""
        return "\n".join(widget.text for widget in self.find_all("Label"))

    # USD

    @contextlib.contextmanager
    def group(self) -> Iterator[None]:
        """Make one step of undo of what happens inside."""
        if self._group_depth == 0 and self.stage is not None:
            self.undo_stack.append(self.stage.GetRootLayer().ExportToString())
        self._group_depth += 1
        try:
            yield
        finally:
            self._group_depth -= 1

    def execute(self, name: str, **arguments: Any) -> tuple[bool, object]:
        """Run a command, as Kit does: a failing one is logged and gives False."""
        with self.group():
            self.commands.append((name, arguments))
            if name == self.fail_command:
                return False, None
            command = {
                "CreateReference": self._create_reference,
                "CreatePayload": self._create_payload,
                "TransformPrim": self._transform,
            }[name]
            command(**arguments)
            return True, None

    def _create_reference(
        self, usd_context: object, path_to: Sdf.Path, asset_path: str, instanceable: bool = True
    ) -> None:
        assert isinstance(path_to, Sdf.Path)
        assert not instanceable
        self.stage.DefinePrim(path_to).GetReferences().AddReference(asset_path)

    def _create_payload(
        self, usd_context: object, path_to: Sdf.Path, asset_path: str, instanceable: bool = True
    ) -> None:
        assert isinstance(path_to, Sdf.Path)
        assert not instanceable
        self.stage.DefinePrim(path_to).GetPayloads().AddPayload(asset_path)

    def _transform(self, path: str, new_transform_matrix: Gf.Matrix4d) -> None:
        assert isinstance(path, str)
        prim = UsdGeom.Xformable(self.stage.GetPrimAtPath(path))
        prim.MakeMatrixXform().Set(new_transform_matrix)


OURS = ("omni", "carb", "lyra", "isaacsim")
BOUND = ("extension", "fields", "kit", "panel", "progress_view", "rows", "sections", "tests", "window")
"""Modules of the extension that hold on to an application's modules; the others are imported once for all tests."""

_free: dict[str, types.ModuleType] = {}


@contextlib.contextmanager
def installed(kit: FakeKit) -> Iterator[FakeKit]:
    """Put the fake's modules, and the extension's bound to them, into `sys.modules`."""
    saved = _take_modules()
    sys.modules.update(kit.modules)
    sys.modules.update(_free)
    sys.path.insert(0, str(EXTENSION))
    asyncio.set_event_loop(kit.loop)
    try:
        yield kit
    finally:
        kit.update(2)
        asyncio.set_event_loop(None)
        kit.loop.close()
        sys.path.remove(str(EXTENSION))
        for name, module in _take_modules().items():
            parts = name.split(".")
            if parts[:3] == ["lyra", "sim", "panel"] and len(parts) > 3 and parts[3] not in BOUND:
                _free[name] = module
        sys.modules.update(saved)


def _take_modules() -> dict[str, types.ModuleType]:
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in OURS}


def _modules(kit: FakeKit) -> dict[str, types.ModuleType]:
    """Return the module tree of an application."""
    namespaces = {
        "carb": {
            "log_info": kit.log.append,
            "log_warn": kit.log.append,
            "log_error": kit.log.append,
        },
        "carb.settings": {"get_settings": lambda: _Settings(kit)},
        "carb.eventdispatcher": {"get_eventdispatcher": lambda: _Dispatcher(kit)},
        "omni": {},
        "omni.ext": {"IExt": type("IExt", (), {})},
        "omni.ui": _ui(kit),
        "omni.usd": {
            "get_context": lambda: _Context(kit),
            "get_stage_next_free_path": _next_free_path,
        },
        "omni.timeline": {"get_timeline_interface": lambda: _Timeline(kit)},
        "omni.kit": {},
        "omni.kit.app": {"get_app": lambda: _App(kit), "GLOBAL_EVENT_PRE_SHUTDOWN": "pre_shutdown"},
        "omni.kit.commands": {"execute": kit.execute},
        "omni.kit.undo": {"group": kit.group, "undo": kit.undo},
        "omni.kit.menu": {},
        "omni.kit.menu.utils": {},
        "omni.kit.test": {"AsyncTestCase": type("AsyncTestCase", (), {})},
        "omni.kit.ui_test": {"menu_click": _menu_click(kit), "find": _find(kit)},
        "omni.kit.window": {},
        "omni.kit.window.filepicker": {"FilePickerDialog": _dialog_class(kit)},
        "omni.kit.clipboard": {"copy": lambda text: setattr(kit, "clipboard", text)},
        "omni.kit.notification_manager": {
            "NotificationStatus": types.SimpleNamespace(INFO="info", WARNING="warning"),
            "post_notification": lambda text, status="info": kit.notifications.append((text, status)),
        },
        "isaacsim": {},
        "isaacsim.replicator": {},
        "isaacsim.replicator.nurec_utils": {},
        "isaacsim.replicator.nurec_utils.rendering_setup": {"setup_for_rendering": _nvidia_setup(kit)},
    }
    namespaces["omni.kit.menu.utils"] = _menu_utils(kit, namespaces["omni.ui"]["Window"])
    modules: dict[str, types.ModuleType] = {}
    for name, members in namespaces.items():
        if name in kit.without:
            # None in sys.modules makes an import fail, as a missing extension does.
            modules[name] = None  # type: ignore[assignment]
            continue
        module = types.ModuleType(name)
        module.__path__ = []
        module.__dict__.update(members)
        modules[name] = module
        parent, _, leaf = name.rpartition(".")
        if parent:
            setattr(modules[parent], leaf, module)
    return modules


def _menu_click(kit: FakeKit) -> Callable:
    async def menu_click(path: str) -> None:
        kit.actions[kit.menu[path]]()
        await kit.next_update()

    return menu_click


def _find(kit: FakeKit) -> Callable:
    def find(query: str) -> object:
        match = re.fullmatch(r"(.+)//Frame/\*\*/(\w+)\[\*\]\.text=='(.+)'", query)
        assert match is not None, query
        assert any(window.title == match[1] for window in kit.windows)
        return types.SimpleNamespace(widget=kit.find(match[2], text=match[3]))

    return find


def _nvidia_setup(kit: FakeKit) -> Callable:
    def setup_for_rendering(stage: Usd.Stage) -> tuple[bool, bool, bool, list[str]]:
        kit.nvidia_setups.append(stage.GetRootLayer().identifier)
        return True, True, False, []

    return setup_for_rendering


class _Settings(Strict):
    def __init__(self, kit: FakeKit) -> None:
        self._values = kit.settings

    def get(self, path: str) -> object:
        return self._values.get(path)

    def get_as_string(self, path: str) -> str:
        return str(self._values.get(path, ""))

    def set(self, path: str, value: object) -> None:
        self._values[path] = value

    def set_string(self, path: str, value: str) -> None:
        assert isinstance(value, str)
        self._values[path] = value


class _Dispatcher(Strict):
    def __init__(self, kit: FakeKit) -> None:
        self._kit = kit

    def observe_event(
        self, *, observer_name: str, event_name: str, on_event: Callable, order: int = 0
    ) -> object:
        subscription = _Subscription(event_name, on_event)
        self._kit.subscriptions.add(subscription)
        return subscription


class _Subscription:
    """Observes as long as somebody holds it."""

    def __init__(self, event_name: str, on_event: Callable) -> None:
        self.event_name = event_name
        self.on_event = on_event


class _App(Strict):
    def __init__(self, kit: FakeKit) -> None:
        self._kit = kit

    def next_update_async(self) -> asyncio.Future:
        return self._kit.next_update()

    def get_kit_version(self) -> str:
        return self._kit.version


class _Timeline(Strict):
    def __init__(self, kit: FakeKit) -> None:
        self._kit = kit

    def play(self) -> None:
        self._kit.playing = True

    def stop(self) -> None:
        self._kit.playing = False


class _Context(Strict):
    def __init__(self, kit: FakeKit) -> None:
        self._kit = kit

    def get_stage(self) -> Usd.Stage | None:
        return self._kit.stage

    def has_pending_edit(self) -> bool:
        return self._kit.unsaved

    def new_stage(self) -> bool:
        self._kit.stage = Usd.Stage.CreateInMemory()
        return True

    async def new_stage_async(self) -> tuple[bool, str]:
        await self._kit.next_update()
        return self.new_stage(), ""


def _next_free_path(stage: Usd.Stage, path: str, prepend_default_prim: bool) -> str:
    assert not prepend_default_prim
    candidate, number = path, 0
    while stage.GetPrimAtPath(candidate):
        number += 1
        candidate = f"{path}_{number:02d}"
    return candidate


def _dialog_class(kit: FakeKit) -> type:
    class FilePickerDialog(Strict):
        def __init__(
            self,
            title: str,
            *,
            apply_button_label: str,
            click_apply_handler: Callable[[str, str], None],
            click_cancel_handler: Callable[[str, str], None],
            item_filter_fn: Callable[[Any], bool],
        ) -> None:
            self._title = title
            self._apply, self._cancel, self._filter = (
                click_apply_handler,
                click_cancel_handler,
                item_filter_fn,
            )
            self._shown = False
            kit.dialogs.append(self)

        def show(self, path: str | None = None) -> None:
            self._shown = True

        def hide(self) -> None:
            self._shown = False

        def destroy(self) -> None:
            kit.dialogs.remove(self)

    return FilePickerDialog


def _menu_utils(kit: FakeKit, window_class: type) -> dict[str, object]:
    class MenuHelperWindow(window_class):  # type: ignore[misc, valid-type]
        pass

    class MenuHelperExtensionFull:
        """As the real one: an action, a ticked menu item, a window made when it is shown, destroyed when hidden."""

        def menu_startup(
            self, create_window_fn: Callable, window_name: str, menu_desc: str, menu_group: str
        ) -> None:
            self._helper = (create_window_fn, window_name, f"{menu_group}/{menu_desc}")
            self._helper_window: Any = None
            action = (type(self).__module__, f"toggle {menu_desc}")
            kit.actions[action] = self._toggle
            if kit.fail_menu:
                raise RuntimeError("the menu is not ready")
            kit.menu[self._helper[2]] = action
            kit.show_window_fns[window_name] = lambda shown: self._show(shown)

        def menu_shutdown(self) -> bool:
            _, window_name, path = self._helper
            kit.actions.pop((type(self).__module__, f"toggle {path.rpartition('/')[2]}"))
            kit.menu.pop(path)
            kit.show_window_fns.pop(window_name)
            if self._helper_window is not None:
                self._helper_window.destroy()
                self._helper_window = None
            return True

        def _toggle(self) -> None:
            self._show(self._helper_window is None)

        def _show(self, shown: bool) -> None:
            if shown:
                self._helper_window = self._helper[0]()
                self._helper_window.set_visibility_changed_fn(self._visibility_changed)
            elif self._helper_window is not None:
                self._helper_window.visible = False

        def _visibility_changed(self, visible: bool) -> None:
            if not visible:
                self._destroying = kit.loop.create_task(self._destroy_later())

        async def _destroy_later(self) -> None:
            await kit.next_update()
            if self._helper_window is not None:
                self._helper_window.destroy()
                self._helper_window = None

    return {"MenuHelperExtensionFull": MenuHelperExtensionFull, "MenuHelperWindow": MenuHelperWindow}


def _ui(kit: FakeKit) -> dict[str, object]:
    """Return the members of `omni.ui`."""

    class Widget(Strict):
        _arguments: frozenset[str] = frozenset()
        _known = frozenset(
            {"visible", "enabled", "width", "height", "style", "tooltip", "identifier", "name"}
        )

        def __init__(self, **arguments: object) -> None:
            unknown = set(arguments) - COMMON - self._arguments
            if unknown:
                raise TypeError(f"{type(self).__name__} takes no {sorted(unknown)}")
            self._children: list[Widget] = []
            self.visible, self.enabled, self.tooltip, self.style = True, True, "", {}
            self.width = self.height = self.identifier = self.name = None
            self._options = arguments
            for name in set(arguments) & COMMON:
                setattr(self, name, arguments[name])
            if kit._containers:
                kit._containers[-1]._add(self)

        def _walk(self) -> Iterator[Widget]:
            yield self
            for child in self._children:
                yield from child._walk()

        def _draw(self) -> None:
            for child in self._children:
                child._draw()

    class Container(Widget):
        def __enter__(self):
            kit._containers.append(self)
            return self

        def __exit__(self, *args: object) -> None:
            assert kit._containers.pop() is self

        def _add(self, child: Widget) -> None:
            self._children.append(child)

    class Stack(Container):
        _arguments = frozenset({"spacing"})

    class VStack(Stack):
        pass

    class HStack(Stack):
        pass

    class Frame(Container):
        """Holds one widget only."""

        _build: Callable[[], None] | None = None
        _dirty = False

        def _add(self, child: Widget) -> None:
            assert not self._children, f"{type(self).__name__} holds one widget only"
            self._children.append(child)

        def set_build_fn(self, build: Callable[[], None]) -> None:
            self._build, self._dirty = build, True

        def rebuild(self) -> None:
            assert self._build is not None
            self._dirty = True

        def clear(self) -> None:
            self._children.clear()

        def _draw(self) -> None:
            if self._dirty:
                self._dirty = False
                self._children.clear()
                outer, kit._containers[:] = list(kit._containers), []
                with self:
                    self._build()
                kit._containers[:] = outer
            super()._draw()

    class ScrollingFrame(Frame):
        pass

    class CollapsableFrame(Frame):
        _known = Widget._known | {"title", "collapsed"}

        def __init__(self, title: str, *, collapsed: bool = False, **arguments: object) -> None:
            super().__init__(**arguments)
            self.title, self.collapsed = title, collapsed

    class Window(Strict):
        _known = frozenset({"frame", "title"})

        def __init__(self, title: str, *, width: int = 0, height: int = 0) -> None:
            self.title = title
            self._visible = True
            self._listener: Callable[[bool], None] | None = None
            outer, kit._containers[:] = list(kit._containers), []
            self.frame = Frame()
            kit._containers[:] = outer
            kit.windows.append(self)

        @property
        def visible(self) -> bool:
            return self._visible

        @visible.setter
        def visible(self, value: bool) -> None:
            changed, self._visible = value != self._visible, value
            if changed and self._listener is not None:
                self._listener(value)

        def set_visibility_changed_fn(self, listener: Callable[[bool], None]) -> None:
            self._listener = listener

        def deferred_dock_in(self, target: str, policy: object) -> None:
            assert target == "Property"

        def destroy(self) -> None:
            kit.windows.remove(self)

        def _draw(self) -> None:
            self.frame._draw()

    class Spacer(Widget):
        pass

    class Label(Widget):
        _arguments = frozenset({"word_wrap"})
        _known = Widget._known | {"text"}

        def __init__(self, text: str, **arguments: object) -> None:
            super().__init__(**arguments)
            self.text = text

        def __setattr__(self, name: str, value: object) -> None:
            assert name != "text" or isinstance(value, str)
            super().__setattr__(name, value)

    class Button(Widget):
        _known = Widget._known | {"text"}

        def __init__(self, text: str, *, clicked_fn: Callable[[], None], **arguments: object) -> None:
            super().__init__(**arguments)
            self.text = text
            self._clicked = clicked_fn

        def _click(self) -> None:
            assert self.enabled, f"{self.text} is disabled"
            self._clicked()

    class ValueModel(Strict):
        _type: type = object

        def __init__(self, value: object) -> None:
            self.set_value(value)

        def set_value(self, value: object) -> None:
            assert type(value) is self._type, f"{type(self).__name__} takes no {value!r}"
            self._value = value

    def value_model(kind: type) -> type:
        name = {str: "String", bool: "Bool", int: "Int", float: "Float"}[kind]
        reader = {str: "as_string", bool: "as_bool", int: "as_int", float: "as_float"}[kind]
        members = {"_type": kind, reader: property(lambda self: self._value)}
        return type(f"Simple{name}Model", (ValueModel,), members)

    class Field(Widget):
        _arguments = frozenset({"model"})
        _model_type = "SimpleStringModel"

        def __init__(self, *, model: ValueModel, **arguments: object) -> None:
            super().__init__(**arguments)
            assert type(model).__name__ == self._model_type
            self._model = model

        @property
        def model(self) -> ValueModel:
            return self._model

    class StringField(Field):
        _arguments = frozenset({"multiline"})

    class IntField(Field):
        _model_type = "SimpleIntModel"

    class CheckBox(Field):
        _model_type = "SimpleBoolModel"

    class ProgressBar(Field):
        _model_type = "SimpleFloatModel"

    int_model = value_model(int)

    class ItemModel(Strict):
        def __init__(self, index: int) -> None:
            self._index = int_model(index)
            self._changed: list[Callable] = []

        def get_item_value_model(self) -> Any:
            return self._index

        def add_item_changed_fn(self, changed: Callable) -> None:
            self._changed.append(changed)

    class ComboBox(Widget):
        def __init__(self, index: int, *labels: str, **arguments: object) -> None:
            super().__init__(**arguments)
            assert 0 <= index < len(labels)
            self._labels = labels
            self._model = ItemModel(index)

        @property
        def model(self) -> ItemModel:
            return self._model

        def _choose(self, label: str) -> None:
            (index,) = [i for i, text in enumerate(self._labels) if text.startswith(label)]
            self._model._index.set_value(index)
            for changed in self._model._changed:
                changed(self._model, None)

    class Image(Widget):
        _arguments = frozenset({"fill_policy"})

        def __init__(self, source_url: str, **arguments: object) -> None:
            super().__init__(**arguments)
            self._source_url = source_url

    class ByteImageProvider(Strict):
        def set_bytes_data(self, data: list[int], size: list[int]) -> None:
            assert len(data) == 4 * size[0] * size[1]
            self._data, self._size = data, size

    class ImageWithProvider(Widget):
        _arguments = frozenset({"fill_policy"})

        def __init__(self, provider: ByteImageProvider, **arguments: object) -> None:
            super().__init__(**arguments)
            self._provider = provider

    workspace = types.SimpleNamespace(
        get_window=lambda title: next((window for window in kit.windows if window.title == title), None)
    )
    classes = [
        Window, Frame, ScrollingFrame, CollapsableFrame, VStack, HStack, Spacer, Label, Button, StringField,
        IntField, CheckBox, ProgressBar, ComboBox, Image, ByteImageProvider, ImageWithProvider,
    ]  # fmt: skip
    models = [value_model(kind) for kind in (str, bool, float)] + [int_model]
    return {
        **{item.__name__: item for item in [*classes, *models]},
        "FillPolicy": types.SimpleNamespace(PRESERVE_ASPECT_FIT="fit"),
        "IwpFillPolicy": types.SimpleNamespace(IWP_PRESERVE_ASPECT_FIT="fit"),
        "DockPolicy": types.SimpleNamespace(DO_NOTHING="nothing"),
        "Workspace": workspace,
    }
