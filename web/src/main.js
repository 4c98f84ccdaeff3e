// The page that `lyra-sim view --html` writes: splats, collider, labels and cameras, with orbit and walk.

import { DoubleSide, Mesh, MeshBasicMaterial } from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";
import * as layers from "./layers.js";
import * as panel from "./panel.js";
import { inflate, readDescription, takeBytes } from "./payload.js";
import { Pointer } from "./pointer.js";
import { coverFov, placeCamera, pointAhead, poseOf } from "./pose.js";
import { Stage } from "./stage.js";
import { Walk } from "./walk.js";

const byId = (id) => document.getElementById(id);

async function start() {
  const description = readDescription();
  panel.showFacts(description);
  const stage = new Stage(byId("canvas"));
  const { surface, overlays, faceClass } = await addMeshes(stage, description);
  await stage.addSplats(await takeBytes("splats"));

  const orbit = new OrbitControls(stage.camera, stage.renderer.domElement);
  Object.assign(orbit, { enableDamping: true, dampingFactor: 0.12, zoomToCursor: true, minDistance: 0.1 });
  orbit.addEventListener("change", () => stage.invalidate());
  stage.beforeFrame.push(() => orbit.enabled && orbit.update());
  const walk = new Walk(stage, () => surface);
  const pointer = new Pointer(stage, surface);
  const begin = () => {
    placeCamera(stage.camera, description.begin.c2w);
    orbit.target.copy(pointAhead(stage.camera, description.begin.distance));
    stage.fovFor = (aspect) => coverFov(description.begin, aspect);
    stage.resize();
    walk.enable(walk.enabled);
    orbit.update();
  };
  addButtons({ stage, orbit, walk, pointer, overlays, begin, description });
  followPointer({ stage, orbit, pointer, faceClass });
  begin();
  stage.run();
  await stage.settled();
  byId("loading").remove();
  window.lyraSim = program(stage, orbit);
}

/** Add what lies over the splats; `surface` is what a pointer and a walker meet. */
async function addMeshes(stage, description) {
  const overlays = {};
  let surface = null;
  let faceClass = () => null;
  for (const facts of description.meshes) {
    const { geometry, labels } = layers.unpackMesh(await inflate(await takeBytes(facts.id)), facts);
    if (facts.labelled) {
      overlays.labels = layers.labelSurface(geometry, labels, description.classes.map((c) => c.colour));
      panel.fillLegend(description.classes);
    } else {
      overlays.collider = layers.wireframe(geometry);
      overlays.occluder = layers.occluder(geometry);
    }
    if (!surface || facts.labelled) {
      surface = new Mesh(geometry, new MeshBasicMaterial({ side: DoubleSide }));
      faceClass = (face) => (facts.labelled ? description.classes[labels[face]].name : null);
    }
  }
  if (description.cameras.length) overlays.cameras = layers.cameraFrusta(description.cameras, description.frustum_m);
  overlays.grid = layers.metricGrid(description.low, description.high);
  stage.scene.add(...Object.values(overlays));
  return { surface, overlays, faceClass };
}

function addButtons({ stage, orbit, walk, pointer, overlays, begin, description }) {
  const bar = byId("toolbar");
  const modes = bar.appendChild(document.createElement("div"));
  const chosen = { orbit: null, walk: null };
  const choose = (mode) => {
    orbit.enabled = mode === "orbit";
    if (orbit.enabled) orbit.target.copy(pointAhead(stage.camera, description.begin.distance));
    walk.enable(mode === "walk");
    for (const [name, button] of Object.entries(chosen)) button.setAttribute("aria-pressed", String(name === mode));
    byId("help").textContent =
      mode === "orbit"
        ? "Drag to turn, right-drag to move, wheel to zoom"
        : "Drag to look, W A S D to walk, Q E for height, Shift to hurry";
  };
  chosen.orbit = panel.command(modes, { label: "Orbit", key: "1", title: "Turn around a point", act: () => choose("orbit") });
  chosen.walk = panel.command(modes, { label: "Walk", key: "2", title: "Walk through the scene", act: () => choose("walk") });
  const shown = bar.appendChild(document.createElement("div"));
  const names = { collider: ["Collider", "C"], labels: ["Labels", "L"], cameras: ["Cameras", "V"], grid: ["Grid", "G"] };
  for (const [name, [label, key]] of Object.entries(names)) {
    if (!overlays[name]) continue;
    const act = (on) => {
      overlays[name].visible = on;
      if (overlays.occluder) overlays.occluder.visible = Object.keys(names).some((n) => overlays[n]?.visible);
      if (name === "labels") byId("legend").hidden = !on;
      stage.invalidate();
    };
    panel.toggle(shown, { label, key, title: `Show the ${name}`, act });
  }
  const tools = bar.appendChild(document.createElement("div"));
  panel.toggle(tools, {
    label: "Measure",
    key: "M",
    title: "Click two points to measure the distance in metres",
    act: (on) => {
      pointer.measuring = on;
      document.body.classList.toggle("measuring", on);
      pointer.clear();
    },
  });
  panel.command(tools, { label: "Reset", key: "R", title: "Back to the first view", act: begin });
  panel.command(tools, { label: "Picture", key: "P", title: "Save what you see as a PNG", act: () => savePicture(stage, description) });
  panel.toggle(tools, { label: "About", key: "I", title: "What this is and where it comes from", act: (on) => (byId("about").hidden = !on) });
  choose("orbit");
}

function savePicture(stage, description) {
  stage.renderer.render(stage.scene, stage.camera);
  stage.renderer.domElement.toBlob((blob) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `${description.title.replaceAll(/[^\p{L}\p{N}]+/gu, "-")}.png`;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

/** Keep the status line, the scale bar and the measured distance up to date. */
function followPointer({ stage, orbit, pointer, faceClass }) {
  const label = byId("distance");
  let last = "";
  stage.beforeFrame.push(() => {
    const distance = pointer.distance();
    const place = distance === null ? null : pointer.labelPlace();
    label.hidden = !place;
    if (place) {
      label.textContent = `${distance.toFixed(3)} m`;
      label.style.translate = `${place[0]}px ${place[1]}px`;
    }
    const now = JSON.stringify([pointer.hovered, stage.frames]);
    if (now === last || stage.wanted) return;
    last = now;
    byId("eye").textContent = panel.coordinates(stage.camera.position);
    const found = pointer.surface && pointer.hovered ? pointer.hit(...pointer.hovered) : null;
    byId("under").textContent = found ? [faceClass(found.face), panel.coordinates(found.point)].filter(Boolean).join("  ") : "";
    drawScale(stage, found ? found.point.distanceTo(stage.camera.position) : orbit.getDistance());
  });
}

/** Draw a bar as long as a round number of metres is at a distance in front of the camera. */
function drawScale(stage, distance) {
  const pixels = innerHeight / (2 * Math.tan((stage.camera.fov * Math.PI) / 360) * distance);
  const metres = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50].findLast((m) => m * pixels <= 160) ?? 0.01;
  byId("scale").style.width = `${metres * pixels}px`;
  byId("scale-text").textContent = `${metres < 1 ? `${metres * 100} cm` : `${metres} m`} at ${distance.toFixed(1)} m`;
}

/** Return what programs may do with the page; benchmarks/view.py compares its picture with lyra-sim's own. */
function program(stage, orbit) {
  return {
    camera: () => ({ c2w: poseOf(stage.camera), fov: stage.camera.fov }),
    settled: () => stage.settled(),
    async show({ c2w, fy, width, height, background }) {
      orbit.enabled = false;
      stage.fixedSize = [width, height];
      stage.fovFor = () => (360 / Math.PI) * Math.atan(height / 2 / fy);
      if (background) stage.renderer.setClearColor(background, 1);
      placeCamera(stage.camera, c2w);
      orbit.target.copy(pointAhead(stage.camera, 1));
      stage.resize();
      await stage.settled();
      return stage.renderer.domElement.toDataURL("image/png");
    },
  };
}

start().catch((error) => {
  const box = byId("loading") ?? document.body.appendChild(document.createElement("div"));
  box.id = "loading";
  box.textContent = `This page could not be shown: ${error.message}. It needs a browser with WebGL 2, from 2023 or newer.`;
  throw error;
});
