// What can be laid over the splats: collider wireframe, labels, cameras, grid.

import {
  BufferAttribute,
  BufferGeometry,
  Color,
  DoubleSide,
  GridHelper,
  Group,
  LineBasicMaterial,
  LineSegments,
  Matrix4,
  Mesh,
  MeshBasicMaterial,
  SRGBColorSpace,
} from "three";

// Splats are drawn at 0 and leave no depth. What lies over them is hidden by meshes that only fill the depth
// buffer, after the splats.
const DEPTH_ORDER = 1;
const SURFACE_ORDER = 2;
const LINE_ORDER = 3;

/** Return a mesh's geometry from the block that Python packed: uint16 vertices in a box, then uint32 corners. */
export function unpackMesh(bytes, facts) {
  const { low, high, vertices, faces } = facts;
  const steps = new Uint16Array(bytes.buffer, bytes.byteOffset, vertices * 3);
  const positions = new Float32Array(vertices * 3);
  for (let i = 0; i < positions.length; i += 1) {
    positions[i] = low[i % 3] + (steps[i] / 65535) * (high[i % 3] - low[i % 3]);
  }
  const start = bytes.byteOffset + Math.ceil((vertices * 6) / 4) * 4;
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(positions, 3));
  geometry.setIndex(new BufferAttribute(new Uint32Array(bytes.buffer, start, faces * 3), 1));
  const labels = new Uint8Array(bytes.buffer, start + faces * 12, facts.labelled ? faces : 0);
  return { geometry, labels };
}

/** Return what hides the lines behind a surface. */
export function occluder(geometry) {
  return group("occluder", depthOnly(geometry));
}

/** Return the wireframe of a geometry. */
export function wireframe(geometry) {
  const lines = new Mesh(
    geometry,
    new MeshBasicMaterial({ color: 0x6ad4ff, wireframe: true, transparent: true, opacity: 0.35, depthWrite: false }),
  );
  lines.renderOrder = LINE_ORDER;
  return group("collider", lines);
}

/** Return a geometry coloured by the class of each face; `colours` are sRGB strings. */
export function labelSurface(geometry, labels, colours) {
  const flat = geometry.toNonIndexed();
  const values = new Float32Array(labels.length * 9);
  const palette = colours.map((text) => new Color().setStyle(text, SRGBColorSpace));
  for (let face = 0; face < labels.length; face += 1) {
    for (let corner = 0; corner < 3; corner += 1) palette[labels[face]].toArray(values, face * 9 + corner * 3);
  }
  flat.setAttribute("color", new BufferAttribute(values, 3));
  const surface = new Mesh(
    flat,
    new MeshBasicMaterial({ vertexColors: true, transparent: true, opacity: 0.72, side: DoubleSide, depthWrite: false }),
  );
  surface.renderOrder = SURFACE_ORDER;
  return group("labels", depthOnly(geometry), surface);
}

/** Return one pyramid of lines per camera; `size` is its length [m]. */
export function cameraFrusta(cameras, size) {
  const points = cameras.flatMap((camera) => frustumLines(camera, size));
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(points), 3));
  const lines = new LineSegments(geometry, new LineBasicMaterial({ color: 0xffb454, transparent: true }));
  lines.renderOrder = LINE_ORDER;
  return group("cameras", lines);
}

/** Return a grid of metres on the floor; every fifth line is brighter. */
export function metricGrid(low, high) {
  const metres = 10 * Math.ceil(Math.max(high[0] - low[0], high[1] - low[1], 10) / 10);
  const middle = [0, 1].map((axis) => Math.round((low[axis] + high[axis]) / 10) * 5);
  const grids = [
    [metres, 0x555b66, 0.6],
    [metres / 5, 0xaab2c0, 0.9],
  ].map(([divisions, colour, opacity]) => {
    const grid = new GridHelper(metres, divisions, colour, colour);
    grid.rotateX(Math.PI / 2);
    grid.position.set(middle[0], middle[1], 0.01);
    Object.assign(grid.material, { transparent: true, opacity, depthWrite: false });
    grid.renderOrder = LINE_ORDER;
    return grid;
  });
  return group("grid", ...grids);
}

function frustumLines({ c2w, fx, fy, width, height }, size) {
  const matrix = new Matrix4().set(...c2w.flat());
  const [x, y] = [(width / 2 / fx) * size, (height / 2 / fy) * size];
  const corners = [[-x, -y], [x, -y], [x, y], [-x, y]].map(([a, b]) => transform(matrix, [a, b, size]));
  const eye = transform(matrix, [0, 0, 0]);
  return corners.flatMap((corner, i) => [...eye, ...corner, ...corner, ...corners[(i + 1) % 4]]);
}

function transform(matrix, [x, y, z]) {
  const e = matrix.elements;
  return [0, 1, 2].map((row) => e[row] * x + e[4 + row] * y + e[8 + row] * z + e[12 + row]);
}

function depthOnly(geometry) {
  const mesh = new Mesh(
    geometry,
    new MeshBasicMaterial({
      colorWrite: false,
      transparent: true,
      side: DoubleSide,
      polygonOffset: true,
      polygonOffsetFactor: 1,
      polygonOffsetUnits: 2,
    }),
  );
  mesh.renderOrder = DEPTH_ORDER;
  return mesh;
}

function group(name, ...children) {
  const made = new Group();
  made.name = name;
  made.visible = false;
  made.add(...children);
  return made;
}
