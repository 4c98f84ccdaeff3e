"""Colour of what rays hit: mip-mapped textures, baked light, tone curve (numba kernels)."""

from __future__ import annotations

import math

from numba import njit

compiled = njit(cache=True, nogil=True, error_model="numpy")
"""Compile a kernel: once per machine, without the interpreter lock, with division as in NumPy."""
SHOULDER = 0.7
"""Linear value from which the tone curve bends towards 1 instead of clipping."""


@compiled
def centre_rays(rotation, intrinsics, width, directions):
    """Fill `directions` (H * W, 3) with the rays of the pixel centres; z-depth is their parameter."""
    for k in range(len(directions)):
        y = k // width
        aim = _aim(rotation, intrinsics, k - y * width + 0.5, y + 0.5)
        for c in range(3):
            directions[k, c] = aim[c]


@compiled
def split_rays(rotation, intrinsics, width, pixels, supersample, directions):
    """Fill `directions` (N * S * S, 3) with the S x S rays of each listed pixel."""
    samples = supersample * supersample
    for k in range(len(directions)):
        y = pixels[k // samples] // width
        x = pixels[k // samples] - y * width
        row = (k % samples) // supersample
        column = k % supersample
        aim = _aim(rotation, intrinsics, x + (column + 0.5) / supersample, y + (row + 0.5) / supersample)
        for c in range(3):
            directions[k, c] = aim[c]


@compiled
def plane_depth(surfaces, origin, directions, quads, depth):
    """Fill `depth` (N,) with the parameter at which each ray meets the plane of its quad, 0 without a quad."""
    for k in range(len(quads)):
        depth[k] = 0.0
        if quads[k] >= 0:
            depth[k] = _meet(
                surfaces[quads[k]], origin, (directions[k, 0], directions[k, 1], directions[k, 2])
            )[0]


@compiled
def shade(
    rotation, origin, intrinsics, quads, split, split_quads, supersample, surfaces, texels, incoming, sky, rgb
):
    """Fill one picture.

    Args:
        rotation: Camera-to-world rotation, (3, 3).
        origin: Camera position [m], (3,).
        intrinsics: fx, fy, cx, cy [px].
        quads: First quad behind each pixel centre or -1, (H, W).
        split: Where the pixel's own rays lie in `split_quads`, or -1 where one quad fills the pixel, (H, W).
        split_quads: First quad along each further ray, (N * S * S,).
        supersample: Rays per pixel and axis, S.
        surfaces: `SURFACE` records, (Q,).
        texels: Texels of all textures, linear, (N, 3).
        incoming: Texels of all lightmaps, (N, 3).
        sky: Linear radiance where nothing is hit, (3,).
        rgb: Receives sRGB bytes, (H, W, 3).
    """
    height, width = quads.shape
    samples = supersample * supersample
    step = 1.0 / supersample
    for y in range(height):
        for x in range(width):
            red = 0.0
            green = 0.0
            blue = 0.0
            for i in range(samples):
                quad = quads[y, x] if split[y, x] < 0 else split_quads[split[y, x] * samples + i]
                if quad < 0:
                    red += _tone(sky[0])
                    green += _tone(sky[1])
                    blue += _tone(sky[2])
                    continue
                row = i // supersample
                direction = _aim(
                    rotation, intrinsics, x + (i - row * supersample + 0.5) * step, y + (row + 0.5) * step
                )
                r, g, b = _radiance(surfaces[quad], texels, incoming, origin, direction, step / intrinsics[0])
                red += _tone(r)
                green += _tone(g)
                blue += _tone(b)
            rgb[y, x, 0] = _encode(red / samples)
            rgb[y, x, 1] = _encode(green / samples)
            rgb[y, x, 2] = _encode(blue / samples)


@compiled
def _radiance(surface, texels, incoming, origin, direction, pixel):
    """Return the linear radiance that a surface sends back along a ray."""
    t, obliqueness = _meet(surface, origin, direction)
    x = origin[0] + t * direction[0]
    y = origin[1] + t * direction[1]
    z = origin[2] + t * direction[2]
    # A pixel's footprint is an ellipse; the mean of its axes is a compromise between blur and noise.
    footprint = t * pixel * surface.density / math.sqrt(max(obliqueness, 0.04))
    column = _affine(surface.texture, 0, x, y, z)
    row = _affine(surface.texture, 1, x, y, z)
    red, green, blue = _texture(texels, surface.texture_first, surface.texture_size, column, row, footprint)
    column = _affine(surface.light, 0, x, y, z)
    row = _affine(surface.light, 1, x, y, z)
    r, g, b = _light(incoming, surface.light_first, surface.light_columns, surface.light_rows, column, row)
    return red * r + surface.emission[0], green * g + surface.emission[1], blue * b + surface.emission[2]


@compiled
def _affine(rows, i, x, y, z):
    return rows[i, 0] * x + rows[i, 1] * y + rows[i, 2] * z + rows[i, 3]


@compiled
def _meet(surface, origin, direction):
    """Return the ray parameter at a surface's plane, and the cosine between ray and normal (absolute)."""
    facing = 0.0
    ahead = surface.level
    length = 0.0
    for c in range(3):
        facing += surface.normal[c] * direction[c]
        ahead -= surface.normal[c] * origin[c]
        length += direction[c] * direction[c]
    return ahead / facing, abs(facing) / math.sqrt(length)


@compiled
def _texture(texels, first, size, x, y, footprint):
    """Return the trilinear sample at (x, y) finest texels for a footprint of so many finest texels."""
    level = 0
    blend = 0.0
    if footprint > 1.0:
        finest = math.log2(footprint)
        level = int(finest)
        blend = finest - level
    while (size >> level) == 0:
        level -= 1
        blend = 0.0
    red, green, blue = _texture_level(texels, first, size, level, x, y)
    if blend > 0.0 and (size >> level) > 1:
        r, g, b = _texture_level(texels, first, size, level + 1, x, y)
        red += blend * (r - red)
        green += blend * (g - green)
        blue += blend * (b - blue)
    return red, green, blue


@compiled
def _texture_level(texels, first, size, level, x, y):
    """Return the bilinear sample of one mip level at (x, y) finest texels, wrapping."""
    side = size >> level
    # Levels of sides S, S/2, ... lie one after the other; those before side s hold (S^2 - s^2) * 4 / 3 texels.
    start = first + (size * size - side * side) * 4 // 3
    scale = 1.0 / (1 << level)
    across = x * scale - 0.5
    down = y * scale - 0.5
    x0 = math.floor(across)
    y0 = math.floor(down)
    left = int(x0) & (side - 1)
    top = int(y0) & (side - 1)
    right = (left + 1) & (side - 1)
    below = (top + 1) & (side - 1)
    return _bilinear(texels, start + top * side, start + below * side, left, right, across - x0, down - y0)


@compiled
def _light(incoming, first, columns, rows, x, y):
    """Return the light that arrives at column x and row y of a lightmap whose outermost texels lie on its edges."""
    x = min(max(x, 0.0), columns - 1.0)
    y = min(max(y, 0.0), rows - 1.0)
    left = min(int(x), columns - 2)
    top = min(int(y), rows - 2)
    line = first + top * columns
    return _bilinear(incoming, line, line + columns, left, left + 1, x - left, y - top)


@compiled
def _bilinear(table, upper, lower, left, right, fx, fy):
    """Return the mix of two entries in each of the table rows that start at `upper` and `lower`."""
    w11 = fx * fy
    w01 = fx - w11
    w10 = fy - w11
    w00 = 1.0 - fx - w10
    a = upper + left
    b = upper + right
    c = lower + left
    d = lower + right
    return (
        w00 * table[a, 0] + w01 * table[b, 0] + w10 * table[c, 0] + w11 * table[d, 0],
        w00 * table[a, 1] + w01 * table[b, 1] + w10 * table[c, 1] + w11 * table[d, 1],
        w00 * table[a, 2] + w01 * table[b, 2] + w10 * table[c, 2] + w11 * table[d, 2],
    )


@compiled
def _aim(rotation, intrinsics, x, y):
    """Return the world direction, with unit z in the camera, through image point (x, y)."""
    right = (x - intrinsics[2]) / intrinsics[0]
    down = (y - intrinsics[3]) / intrinsics[1]
    return (
        rotation[0, 0] * right + rotation[0, 1] * down + rotation[0, 2],
        rotation[1, 0] * right + rotation[1, 1] * down + rotation[1, 2],
        rotation[2, 0] * right + rotation[2, 1] * down + rotation[2, 2],
    )


@compiled
def _tone(value):
    """Keep a linear value below the shoulder and bend the rest towards 1, with continuous slope."""
    if value <= SHOULDER:
        return value
    return 1.0 - (1.0 - SHOULDER) * math.exp((SHOULDER - value) / (1.0 - SHOULDER))


@compiled
def _encode(value):
    """Return the sRGB byte of a linear value in [0, 1] (IEC 61966-2-1)."""
    encoded = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1.0 / 2.4) - 0.055
    return int(min(encoded, 1.0) * 255.0 + 0.5)
