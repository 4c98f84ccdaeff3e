"""The page of `lyra-sim view --html`: what it carries, and that it needs nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from lyra_sim.cli import main
from lyra_sim.errors import LyraSimError
from lyra_sim.files import read_spz, write_ply, write_spz
from lyra_sim.frusta import from_provenance
from lyra_sim.scene import LabelledMesh, Scene, TriangleMesh
from lyra_sim.viewer import page as page_module
from lyra_sim.viewer.exhibit import Exhibit, exhibit_of
from lyra_sim.viewer.page import page, write_page
from tests.gaussian_scenes import assert_same, look_at, random_gaussians, small_scene

WEB = Path(__file__).parent.parent / "web"
ASSETS = resources.files("lyra_sim.viewer") / "page_assets"


class Elements(HTMLParser):
    """Collect the attributes and the text of all elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str | None]] = []
        self.texts: dict[str, str] = {}
        self._open = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        self._open = str(dict(attrs).get("id", ""))

    def handle_data(self, data: str) -> None:
        if self._open:
            self.texts[self._open] = self.texts.get(self._open, "") + data
            self._open = ""

    def block(self, name: str) -> bytes:
        return base64.b64decode(self.texts[name])

    @property
    def description(self) -> dict[str, object]:
        return json.loads(self.texts["description"])


def named(scene: Scene) -> Exhibit:
    return exhibit_of(scene, Path("s.usdz"), cameras=from_provenance(scene.provenance))


@pytest.fixture(scope="module")
def exhibit() -> Exhibit:
    scene = small_scene(degree=1)
    camera = {
        "c2w": look_at(np.array([0.0, -4.0, 1.5]), np.array([0.0, 0.0, 1.0])).tolist(),
        "intrinsics_px": [100.0, 100.0, 80.0, 45.0],
        "size_px": [160, 90],
        "travel_m": 0.0,
        "path_c2w": [],
    }
    scene = replace(
        scene, provenance={**scene.provenance, "size": "mini", "generated": True, "camera": camera}
    )
    return named(scene)


@pytest.fixture(scope="module")
def elements(exhibit: Exhibit) -> Elements:
    return Elements(page(exhibit))


def test_the_page_refers_to_nothing_outside_itself(exhibit: Exhibit, elements: Elements) -> None:
    """Show that no element names a source, no style a URL, and that the browser is told to refuse any."""
    assert not [a for a in elements.attributes if a[1] in ("src", "href", "action", "poster", "srcset")]
    assert "url(" not in elements.texts.get("", "") + page(exhibit).split("</style>")[0]
    policies = [v for _, name, v in elements.attributes if name == "content" and v and "default-src" in v]
    assert len(policies) == 1
    assert policies[0].startswith("default-src 'none'")
    for scheme in ("http:", "https:", "ws:", "*", "'self'"):
        assert scheme not in policies[0]


def test_the_script_fetches_no_address() -> None:
    """Show that the only address in the bundled script is the name space of XHTML, which nobody fetches."""
    script = (ASSETS / "viewer.js").read_text()
    assert set(re.findall(r"(?:https?|wss?)://[\w.-]+[\w/.-]*", script)) <= {"http://www.w3.org/1999/xhtml"}


def test_the_splats_come_back_from_the_page(exhibit: Exhibit, elements: Elements, tmp_path: Path) -> None:
    """Show that the page's block of splats is the SPZ file of the scene's Gaussians."""
    (tmp_path / "page.spz").write_bytes(elements.block("splats"))
    write_spz(tmp_path / "direct.spz", exhibit.scene.gaussians)
    found = read_spz(tmp_path / "page.spz")
    assert_same(found, read_spz(tmp_path / "direct.spz"))
    np.testing.assert_allclose(found.means, exhibit.scene.gaussians.means, atol=2e-4)


def test_the_meshes_come_back_from_the_page(exhibit: Exhibit, elements: Elements) -> None:
    """Show that collider and labels are in the page, to 1/65535 of their box."""
    proxy = exhibit.scene.proxy
    assert proxy is not None
    facts = {m["id"]: m for m in elements.description["meshes"]}
    assert list(facts) == ["collider", "labels"]
    content = gzip.decompress(elements.block("labels"))
    count, low, high = (
        len(proxy.vertices),
        np.array(facts["labels"]["low"]),
        np.array(facts["labels"]["high"]),
    )
    steps = np.frombuffer(content, "<u2", count * 3).reshape(count, 3)
    np.testing.assert_allclose(low + steps / 65535 * (high - low), proxy.vertices, atol=1e-4)
    start = -(-count * 6 // 4) * 4
    faces = np.frombuffer(content, "<u4", proxy.faces.size, start).reshape(-1, 3)
    np.testing.assert_array_equal(faces, proxy.faces)
    np.testing.assert_array_equal(
        np.frombuffer(content, "u1", len(faces), start + faces.nbytes), proxy.face_label
    )


def test_the_page_says_what_the_scene_is(exhibit: Exhibit, elements: Elements) -> None:
    """Show that title, size, origin, classes and the recorded camera are in the page."""
    assert elements.texts["title"] == "a test"
    assert "size mini" in elements.texts["subtitle"]
    facts = dict(elements.description["facts"])
    assert facts["Content"] == "generated; not a record of a real place"
    assert facts["Size"].startswith("mini: small networks")
    assert [c["name"] for c in elements.description["classes"]] == ["floor", "rug"]
    np.testing.assert_allclose(elements.description["begin"]["c2w"], exhibit.begin.c2w)
    assert len(elements.description["cameras"]) == 1


def test_the_same_scene_gives_the_same_page(exhibit: Exhibit) -> None:
    """Show that a page holds no time and no random name."""
    assert page(exhibit) == page(exhibit)


def test_text_of_a_scene_cannot_leave_its_element() -> None:
    """Show that markup in a prompt stays text, and that a place to fill in it is not filled."""
    prompt = "</script><script>alert(1)</script> @@blocks@@ <img src=x>"
    scene = replace(small_scene(), provenance={"prompt": prompt})
    found = Elements(page(named(scene)))
    assert found.description["title"] == prompt
    assert not [tag for tag, *_ in found.attributes if tag == "img"]
    assert "alert" in found.texts["title"]


def test_the_bundle_is_what_sources_and_lock_file_say() -> None:
    """Show that the shipped script was built from web/src as it is, with the packages of the lock file."""
    facts = json.loads((ASSETS / "bundle.json").read_text())
    digest = hashlib.sha256()
    for source in sorted((WEB / "src").iterdir()):
        digest.update(source.read_bytes())
    assert facts["sources_sha256"] == digest.hexdigest(), "run `npm ci && npm run build` in web/"
    assert facts["lock_sha256"] == hashlib.sha256((WEB / "package-lock.json").read_bytes()).hexdigest()
    assert facts["script_sha256"] == hashlib.sha256((ASSETS / "viewer.js").read_bytes()).hexdigest()
    locked = json.loads((WEB / "package-lock.json").read_text())["packages"]
    for name, version in facts["packages"].items():
        assert locked[f"node_modules/{name}"]["version"] == version


def test_the_licences_of_the_bundle_are_in_the_page(elements: Elements) -> None:
    """Show that every bundled package is named in the page with its version and its copyright line."""
    facts = json.loads((ASSETS / "bundle.json").read_text())
    text = (ASSETS / "LICENSES.txt").read_text()
    for name in ("three", "@sparkjsdev/spark"):
        assert f"{name} {facts['packages'][name]}" in text
    assert text.count("Permission is hereby granted") >= 3
    assert "zlib-rs" in text


def test_too_many_gaussians_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that a page has a limit, and that --max-gaussians keeps those that cover most."""
    monkeypatch.setattr(page_module, "MOST_GAUSSIANS", 100)
    gaussians = random_gaussians(300)
    write_ply(tmp_path / "s.ply", gaussians)
    arguments = ["view", str(tmp_path / "s.ply"), "--html", str(tmp_path / "p.html")]
    assert main(arguments) == 2
    assert "--max-gaussians 100 keeps those that cover most" in capsys.readouterr().err
    assert not (tmp_path / "p.html").exists()
    assert main([*arguments, "--max-gaussians", "100"]) == 0
    found = Elements((tmp_path / "p.html").read_text())
    assert "100 Gaussians of 300" in found.texts["subtitle"]
    widest = np.sort(gaussians.scales, axis=1)[:, 1:].prod(axis=1) * gaussians.opacities
    kept = gaussians.select(np.sort(np.argsort(-widest)[:100]))
    (tmp_path / "page.spz").write_bytes(found.block("splats"))
    np.testing.assert_allclose(read_spz(tmp_path / "page.spz").means, kept.means, atol=2e-4)


def test_meshes_too_large_for_a_page_are_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Show that a page without a large collider says so."""
    monkeypatch.setattr(page_module, "MOST_FACES", 1)
    found = Elements(page(named(small_scene())))
    assert found.description["meshes"] == []
    assert ["Left out", "the collider: 2 faces, and a page holds 1"] in found.description["facts"]


@pytest.mark.parametrize(
    ("target", "expected"),
    {"p.txt": "must end in .html", "no/p.html": "does not exist", "folder.html": "is a folder"}.items(),
)
def test_unusable_targets_get_one_line(
    target: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Show that a page that cannot be written is refused before the scene is read."""
    (tmp_path / "folder.html").mkdir()
    assert main(["view", str(tmp_path / "absent.usdz"), "--html", str(tmp_path / target)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert expected in error


def test_a_failed_page_leaves_the_old_one(
    exhibit: Exhibit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Show that an error while the page is made neither harms the page that was there nor leaves a part."""
    (tmp_path / "p.html").write_text("old")
    monkeypatch.setattr(page_module, "MOST_GAUSSIANS", 1)
    with pytest.raises(LyraSimError):
        write_page(tmp_path / "p.html", exhibit)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("p.html", "old")]


def test_a_mesh_without_size_can_be_packed() -> None:
    """Show that a flat mesh, whose box has no height, and an odd number of vertices survive packing."""
    flat = TriangleMesh(
        np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1]], np.float32), np.array([[0, 1, 2]], np.int32)
    )
    labelled = LabelledMesh(flat.vertices, flat.faces, np.zeros(1, np.int32), ("floor",))
    content = page_module.pack_mesh(labelled.vertices, labelled.faces, labelled.face_label)
    assert len(content) == 20 + 12 + 1
    np.testing.assert_array_equal(np.frombuffer(content, "<u4", 3, 20), [0, 1, 2])
