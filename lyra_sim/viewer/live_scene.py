"""The scene as nodes of viser."""

from __future__ import annotations

from typing import Any

import numpy as np

from lyra_sim.frusta import Frustum
from lyra_sim.scene import LabelledMesh, TriangleMesh
from lyra_sim.transform import quaternion
from lyra_sim.viewer.colours import class_colours
from lyra_sim.viewer.exhibit import Exhibit
from lyra_sim.viewer.measure import Measure, Section
from lyra_sim.viewer.rays import covariances

ACCENT = (255, 209, 102)


class LiveScene:
    """Draw the layers of an exhibit and cut them to a box."""

    def __init__(self, server: Any, exhibit: Exhibit) -> None:
        self._scene = server.scene
        self._exhibit = exhibit
        self.layers = {"splats": "Splats", "grid": "Grid (1 m)"}
        self.shown = {"splats": True, "grid": False, "collider": False, "labels": False, "cameras": False}
        self._drawn: dict[str, list[Any]] = {}
        self._section: Section | None = None
        self._marks: list[Any] = []
        self._scene.set_up_direction("+z")
        self._splats()
        self._grid()
        scene = exhibit.scene
        for name, label, present in (
            ("collider", "Collider (wireframe)", scene.collider is not None),
            ("labels", "Labels", scene.proxy is not None),
            ("cameras", "Cameras", bool(exhibit.cameras)),
        ):
            if present:
                self.layers[name] = label
        self._cameras()

    def show(self, name: str, on: bool) -> None:
        """Show or hide a layer; meshes are sent when they are first shown."""
        self.shown[name] = on
        if on and name in ("collider", "labels"):
            self._redraw(name)
        for node in self._drawn.get(name, ()):
            node.visible = on

    def cut(self, section: Section) -> None:
        """Show only what lies in the box."""
        self._section = section
        gaussians = self._exhibit.scene.gaussians
        opacity = np.where(section.inside(gaussians.means), gaussians.opacities, 0.0)
        self._drawn["splats"][0].opacities = opacity[:, None]
        for name in ("collider", "labels"):
            if self.shown[name]:
                self._redraw(name)

    def draw_measure(self, measure: Measure) -> None:
        """Draw the measured points, the line between them and its length."""
        for node in self._marks:
            node.remove()
        size = float(np.linalg.norm(np.subtract(*self._exhibit.bounds[::-1]))) / 300
        self._marks = [
            self._scene.add_icosphere(f"/measure/{i}", size, color=ACCENT, position=tuple(point))
            for i, point in enumerate(measure.points)
        ]
        if measure.distance is None:
            return
        line = np.stack(measure.points)[None]
        self._marks.append(self._scene.add_line_segments("/measure/line", line, ACCENT, thickness=size / 2))
        middle = tuple(line[0].mean(axis=0))
        self._marks.append(
            self._scene.add_label("/measure/text", f"{measure.distance:.3f} m", position=middle)
        )

    def _splats(self) -> None:
        gaussians = self._exhibit.scene.gaussians
        node = self._scene.add_gaussian_splats(
            "/splats",
            centers=gaussians.means,
            covariances=covariances(gaussians),
            rgbs=np.clip(gaussians.rgb, 0, 1),
            opacities=gaussians.opacities[:, None],
        )
        self._drawn["splats"] = [node]

    def _grid(self) -> None:
        low, high = self._exhibit.bounds
        side = float(10 * np.ceil(max(*(high - low)[:2], 10) / 10))
        middle = np.round((low + high) / 10) * 5
        node = self._scene.add_grid(
            "/grid",
            width=side,
            height=side,
            cell_size=1.0,
            section_size=5.0,
            cell_color=(90, 96, 108),
            section_color=(170, 178, 192),
            position=(float(middle[0]), float(middle[1]), 0.0),
            visible=False,
        )
        self._drawn["grid"] = [node]

    def _cameras(self) -> None:
        self._drawn["cameras"] = [self._frustum(i, camera) for i, camera in enumerate(self._exhibit.cameras)]

    def _frustum(self, index: int, camera: Frustum) -> Any:
        return self._scene.add_camera_frustum(
            f"/cameras/{index:03d}",
            fov=camera.vertical_fov,
            aspect=camera.width / camera.height,
            scale=self._exhibit.frustum_length,
            # The first view is one of these cameras; lines of a width in metres would fill the picture.
            thickness=1.5,
            thickness_units="screen",
            color=(255, 180, 84),
            wxyz=tuple(quaternion(camera.c2w[:3, :3])),
            position=tuple(camera.c2w[:3, 3]),
            visible=False,
        )

    def _redraw(self, name: str) -> None:
        for node in self._drawn.pop(name, ()):
            node.remove()
        scene = self._exhibit.scene
        if name == "collider" and scene.collider is not None:
            self._drawn[name] = self._wireframe(scene.collider)
        if name == "labels" and scene.proxy is not None:
            self._drawn[name] = self._labels(scene.proxy)

    def _wireframe(self, mesh: TriangleMesh) -> list[Any]:
        faces = mesh.faces[self._kept(mesh)]
        if not len(faces):
            return []
        return [
            self._scene.add_mesh_simple(
                "/collider", mesh.vertices, faces, color=(106, 212, 255), wireframe=True, cast_shadow=False
            )
        ]

    def _labels(self, mesh: LabelledMesh) -> list[Any]:
        kept, nodes = self._kept(mesh), []
        for index, colour in enumerate(class_colours(mesh.classes)):
            faces = mesh.faces[kept & (mesh.face_label == index)]
            if len(faces):
                used, compact = np.unique(faces, return_inverse=True)
                node = self._scene.add_mesh_simple(
                    f"/labels/{index:02d}",
                    mesh.vertices[used],
                    compact.reshape(-1, 3),
                    color=colour,
                    opacity=0.75,
                    flat_shading=True,
                    side="double",
                    cast_shadow=False,
                    receive_shadow=False,
                )
                nodes.append(node)
        return nodes

    def _kept(self, mesh: TriangleMesh | LabelledMesh) -> np.ndarray:
        if self._section is None:
            return np.ones(len(mesh.faces), bool)
        return self._section.faces(mesh.vertices, mesh.faces)
