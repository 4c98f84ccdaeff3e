// The picture: renderer, splats, and drawing only when something changed.

import { Color, PerspectiveCamera, Scene, WebGLRenderer } from "three";
import { SparkRenderer, SplatFileType, SplatMesh } from "@sparkjsdev/spark";

const BACKGROUND = new Color(0x101216);

export class Stage {
  constructor(canvas) {
    this.renderer = new WebGLRenderer({ canvas, antialias: false, preserveDrawingBuffer: true });
    this.renderer.setClearColor(BACKGROUND, 1);
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(60, 1, 0.05, 500);
    this.camera.up.set(0, 0, 1);
    // The values of lyra-sim's own renderer, so that both draw the same picture: splats sorted by depth, cut
    // where they fall below 1/255, widened by 0.3 px^2 without taking opacity away.
    this.spark = new SparkRenderer({
      renderer: this.renderer,
      onDirty: () => this.invalidate(),
      sortRadial: false,
      maxStdDev: Math.sqrt(2 * Math.log(255)),
      minAlpha: 1 / 255,
      preBlurAmount: 0.3,
      blurAmount: 0,
      maxPixelRadius: 4096,
      accumExtSplats: true,
    });
    this.scene.add(this.spark);
    this.frames = 0;
    this.fixedSize = null;
    this.beforeFrame = [];
    this.wanted = true;
    addEventListener("resize", () => this.resize());
  }

  /** Add the splats of an SPZ file. */
  async addSplats(bytes) {
    this.splats = new SplatMesh({ fileBytes: bytes, fileType: SplatFileType.SPZ, extSplats: true });
    await this.splats.initialized;
    this.scene.add(this.splats);
  }

  /** Ask for a new picture. */
  invalidate() {
    this.wanted = true;
  }

  /** Fit the picture to the window, or to a size that a program asked for. */
  resize() {
    const [width, height] = this.fixedSize ?? [innerWidth, innerHeight];
    this.renderer.setPixelRatio(this.fixedSize ? 1 : Math.min(devicePixelRatio, 2));
    this.renderer.setSize(width, height, true);
    this.camera.aspect = width / height;
    if (this.fovFor) this.camera.fov = this.fovFor(this.camera.aspect);
    this.camera.updateProjectionMatrix();
    this.invalidate();
  }

  /** Draw whenever something changed. */
  run() {
    let last = performance.now();
    const step = (now) => {
      const seconds = Math.min((now - last) / 1000, 0.1);
      last = now;
      for (const act of this.beforeFrame) act(seconds);
      if (this.wanted) {
        this.wanted = false;
        this.renderer.render(this.scene, this.camera);
        this.frames += 1;
      }
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  /** Wait until the splats are sorted for the camera as it stands and the picture shows them so. */
  async settled() {
    const quiet = () => !this.wanted && !this.spark.sorting && !this.spark.sortDirty && !this.spark.dirty;
    this.invalidate();
    for (let still = 0; still < 6; ) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      still = quiet() ? still + 1 : 0;
    }
  }
}
