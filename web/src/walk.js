// Walking: drag to look, W A S D or arrows to go, Q and E for the height of the eyes, Shift to hurry.

import { Raycaster, Vector3 } from "three";

const METRES_PER_SECOND = 1.4;
const RADIANS_PER_PIXEL = 0.0035;
const STEEPEST = 1.5;
const TAP_SECONDS = 0.06;
const ARM = 0.25;
const MOVES = {
  KeyW: [1, 0, 0],
  ArrowUp: [1, 0, 0],
  KeyS: [-1, 0, 0],
  ArrowDown: [-1, 0, 0],
  KeyA: [0, -1, 0],
  ArrowLeft: [0, -1, 0],
  KeyD: [0, 1, 0],
  ArrowRight: [0, 1, 0],
  KeyE: [0, 0, 1],
  KeyQ: [0, 0, -1],
};

export class Walk {
  /** `surface()` returns the mesh that cannot be walked through, or null. */
  constructor(stage, surface) {
    Object.assign(this, { stage, surface, enabled: false, keys: new Set(), yaw: 0, pitch: 0, dragged: null });
    const canvas = stage.renderer.domElement;
    canvas.addEventListener("pointerdown", (event) => this.grab(event));
    canvas.addEventListener("pointermove", (event) => this.look(event));
    for (const end of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(end, () => (this.dragged = null));
    }
    addEventListener("keydown", (event) => this.press(event));
    addEventListener("keyup", (event) => this.keys.delete(event.code));
    addEventListener("blur", () => this.keys.clear());
    stage.beforeFrame.push((seconds) => this.move(seconds));
  }

  /** Take over the camera as it stands, upright. */
  enable(on) {
    this.enabled = on;
    this.keys.clear();
    if (!on) return;
    const ahead = this.stage.camera.getWorldDirection(new Vector3());
    this.yaw = Math.atan2(ahead.y, ahead.x);
    this.pitch = Math.asin(Math.max(-1, Math.min(1, ahead.z)));
    this.turn();
  }

  grab(event) {
    if (this.enabled) this.dragged = event.pointerId;
  }

  look(event) {
    if (!this.enabled || this.dragged !== event.pointerId) return;
    this.yaw += event.movementX * RADIANS_PER_PIXEL;
    this.pitch = Math.max(-STEEPEST, Math.min(STEEPEST, this.pitch + event.movementY * RADIANS_PER_PIXEL));
    this.turn();
  }

  press(event) {
    if (!this.enabled || event.ctrlKey || event.metaKey || event.altKey) return;
    this.hurry = event.shiftKey;
    if (!(event.code in MOVES)) return;
    event.preventDefault();
    this.keys.add(event.code);
    // A tap may be over before the next picture; it walks all the same.
    if (!event.repeat) this.move(TAP_SECONDS);
  }

  turn() {
    const { camera } = this.stage;
    const flat = Math.cos(this.pitch);
    const ahead = new Vector3(Math.cos(this.yaw) * flat, Math.sin(this.yaw) * flat, Math.sin(this.pitch));
    camera.lookAt(ahead.add(camera.position));
    this.stage.invalidate();
  }

  move(seconds) {
    if (!this.enabled || !this.keys.size) return;
    const [forward, right, up] = [...this.keys].reduce((sum, key) => sum.map((v, i) => v + MOVES[key][i]), [0, 0, 0]);
    const step = new Vector3(
      forward * Math.cos(this.yaw) + right * Math.sin(this.yaw),
      forward * Math.sin(this.yaw) - right * Math.cos(this.yaw),
      up,
    );
    if (!step.lengthSq()) return;
    const length = METRES_PER_SECOND * (this.hurry ? 3 : 1) * seconds;
    step.normalize();
    if (!this.blocked(step, length)) this.stage.camera.position.addScaledVector(step, length);
    this.stage.invalidate();
  }

  /** Return whether the surface is nearer than an arm's length beyond the step. */
  blocked(direction, length) {
    const surface = this.surface();
    if (!surface) return false;
    const caster = new Raycaster(this.stage.camera.position, direction, 0, length + ARM);
    return caster.intersectObject(surface, false).length > 0;
  }
}
