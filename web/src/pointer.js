// What lies under the pointer, and the distance between two points that were clicked.

import {
  BufferAttribute,
  BufferGeometry,
  Line,
  LineBasicMaterial,
  Raycaster,
  SphereGeometry,
  Mesh,
  MeshBasicMaterial,
  Vector2,
  Vector3,
} from "three";

const COLOUR = 0xffd166;
const CLICK_PIXELS = 4;

export class Pointer {
  /** `surface` is the mesh that is pointed at, or null; then the splats are. */
  constructor(stage, surface) {
    Object.assign(this, { stage, surface, measuring: false, points: [], drawn: [], hovered: null });
    const canvas = stage.renderer.domElement;
    canvas.addEventListener("pointerdown", (event) => (this.down = [event.clientX, event.clientY]));
    canvas.addEventListener("pointermove", (event) => (this.hovered = [event.clientX, event.clientY]));
    canvas.addEventListener("pointerleave", () => (this.hovered = null));
    canvas.addEventListener("pointerup", (event) => this.up(event));
  }

  /** Return the first point of the surface at a place of the window, {point, face}, or null. */
  hit(x, y) {
    const box = this.stage.renderer.domElement.getBoundingClientRect();
    const place = new Vector2(((x - box.left) / box.width) * 2 - 1, 1 - ((y - box.top) / box.height) * 2);
    const caster = new Raycaster();
    caster.setFromCamera(place, this.stage.camera);
    const found = caster.intersectObject(this.surface ?? this.stage.splats, false)[0];
    return found ? { point: found.point, face: found.faceIndex ?? null } : null;
  }

  up(event) {
    const moved = this.down && Math.hypot(event.clientX - this.down[0], event.clientY - this.down[1]);
    if (!this.measuring || event.button !== 0 || moved > CLICK_PIXELS) return;
    const found = this.hit(event.clientX, event.clientY);
    if (!found) return;
    this.points = this.points.length === 2 ? [found.point] : [...this.points, found.point];
    this.draw();
    this.changed?.();
  }

  /** Return the distance between the two points [m], or null before there are two. */
  distance() {
    return this.points.length === 2 ? this.points[0].distanceTo(this.points[1]) : null;
  }

  clear() {
    this.points = [];
    this.draw();
    this.changed?.();
  }

  draw() {
    for (const object of this.drawn) {
      this.stage.scene.remove(object);
      object.geometry.dispose();
      object.material.dispose();
    }
    this.drawn = this.points.map((point) => this.dot(point));
    if (this.points.length === 2) this.drawn.push(this.line());
    for (const object of this.drawn) {
      object.renderOrder = 10;
      this.stage.scene.add(object);
    }
    this.stage.invalidate();
  }

  dot(point) {
    const size = 0.006 * this.stage.camera.position.distanceTo(point);
    const dot = new Mesh(new SphereGeometry(size), new MeshBasicMaterial({ color: COLOUR, transparent: true, depthTest: false }));
    dot.position.copy(point);
    return dot;
  }

  line() {
    const geometry = new BufferGeometry();
    geometry.setAttribute("position", new BufferAttribute(new Float32Array(this.points.flatMap((p) => p.toArray())), 3));
    return new Line(geometry, new LineBasicMaterial({ color: COLOUR, transparent: true, depthTest: false }));
  }

  /** Return where the middle of a measured line appears in the window [px], or null where it does not. */
  labelPlace() {
    if (this.points.length !== 2) return null;
    const middle = new Vector3().addVectors(...this.points).multiplyScalar(0.5).project(this.stage.camera);
    if (middle.z > 1) return null;
    const box = this.stage.renderer.domElement.getBoundingClientRect();
    return [((middle.x + 1) / 2) * box.width, ((1 - middle.y) / 2) * box.height];
  }
}
