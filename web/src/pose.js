// Turn cameras as lyra-sim writes them (OpenCV axes: x right, y down, z forward) into three's and back.

import { Matrix4, MathUtils, Vector3 } from "three";

const FLIP = new Matrix4().makeScale(1, -1, -1);

/** Put a camera at a pose, rows of a 4x4 camera-to-world matrix. */
export function placeCamera(camera, c2w) {
  const matrix = new Matrix4().set(...c2w.flat()).multiply(FLIP);
  matrix.decompose(camera.position, camera.quaternion, new Vector3());
  camera.updateMatrixWorld();
}

/** Return the pose of a camera as rows, OpenCV axes. */
export function poseOf(camera) {
  const e = camera.matrixWorld.clone().multiply(FLIP).elements;
  return [0, 1, 2, 3].map((row) => [0, 1, 2, 3].map((column) => e[4 * column + row]));
}

/** Return the unit vector that a camera looks along, and a point at a distance on it. */
export function pointAhead(camera, distance) {
  return camera.getWorldDirection(new Vector3()).multiplyScalar(distance).add(camera.position);
}

/**
 * Return the vertical field of view [degrees] at which a window shows no more than a camera saw.
 *
 * A scene holds little beside what its cameras saw, so a wide window cuts the picture above and below instead of
 * showing what is not there.
 */
export function coverFov(start, aspect) {
  const vertical = start.height / 2 / start.fy;
  const horizontal = start.width / 2 / start.fx;
  return MathUtils.radToDeg(2 * Math.atan(Math.min(vertical, horizontal / aspect)));
}
