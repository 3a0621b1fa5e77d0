// Resizing, warping and cropping as OpenCV and fer.faces.crop do them, to the last digit of a pixel.
// An image is {width, height, data} with RGBA bytes, as ImageData. A matrix is [a, b, c, d, e, f]: it maps (x, y)
// to (a x + b y + c, d x + e y + f).

/** Round to the nearest integer, halves to the even one, as Python and OpenCV do. */
export function roundEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

function newImage(width, height) {
  return { width, height, data: new Uint8ClampedArray(4 * width * height).fill(255) };
}

function cut(image, left, top, width, height) {
  const part = newImage(width, height);
  for (let y = 0; y < height; y++) {
    const start = 4 * ((top + y) * image.width + left);
    part.data.set(image.data.subarray(start, start + 4 * width), 4 * y * width);
  }
  return part;
}

/** Turn an image clockwise by 90, 180 or 270 degrees. */
export function turnImage(image, degrees) {
  const { width, height, data } = image, sideways = degrees % 180 !== 0;
  const turned = newImage(sideways ? height : width, sideways ? width : height);
  const from = new Uint32Array(data.buffer, data.byteOffset, width * height), to = new Uint32Array(turned.data.buffer);
  for (let y = 0, index = 0; y < height; y++) {
    for (let x = 0; x < width; x++, index++) {
      const [u, v] = degrees === 90 ? [height - 1 - y, x] : degrees === 180 ? [width - 1 - x, height - 1 - y]
        : [y, width - 1 - x];
      to[v * turned.width + u] = from[index];
    }
  }
  return turned;
}

/** Downscale by averaging over areas: cv2.resize(..., interpolation=cv2.INTER_AREA). */
export function resizeArea(image, width, height) {
  if (width === image.width && height === image.height) return image;
  const scaleX = 1 / (width / image.width), scaleY = 1 / (height / image.height);
  const result = newImage(width, height), [blockX, blockY] = [roundEven(scaleX), roundEven(scaleY)];
  if (Math.abs(scaleX - blockX) < Number.EPSILON && Math.abs(scaleY - blockY) < Number.EPSILON) {
    averageBlocks(image, result, blockX, blockY);
    return result;
  }
  const table = areaWeights(image.width, width, scaleX), { data } = image;
  const [columns, targets] = [0, 1].map((part) => Int32Array.from(table, (entry) => entry[part]));
  const shares = Float32Array.from(table, (entry) => entry[2]);
  const line = new Float32Array(3 * width), sum = new Float32Array(3 * width);
  for (const [row, target, weight, isLast] of areaWeights(image.height, height, scaleY)) {
    line.fill(0);
    for (let i = 0; i < columns.length; i++) {
      const pixel = 4 * (row * image.width + columns[i]), x = 3 * targets[i], share = shares[i];
      line[x] += Math.fround(data[pixel] * share);
      line[x + 1] += Math.fround(data[pixel + 1] * share);
      line[x + 2] += Math.fround(data[pixel + 2] * share);
    }
    for (let i = 0; i < line.length; i++) sum[i] += Math.fround(weight * line[i]);
    if (!isLast) continue;
    for (let i = 0; i < sum.length; i++) result.data[4 * (target * width + Math.floor(i / 3)) + i % 3] = sum[i];
    sum.fill(0);
  }
  return result;
}

/** Return [source, target, weight, is the target's last] of every source pixel, or part of one, along one axis. */
function areaWeights(length, newLength, scale) {
  const table = [];
  for (let target = 0; target < newLength; target++) {
    const start = target * scale, end = start + scale, cell = Math.min(scale, length - start);
    const last = Math.min(Math.floor(end), length - 1), first = Math.min(Math.ceil(start), last);
    if (first - start > 1e-3) table.push([first - 1, target, Math.fround((first - start) / cell), false]);
    for (let source = first; source < last; source++) table.push([source, target, Math.fround(1 / cell), false]);
    if (end - last > 1e-3) table.push([last, target, Math.fround(Math.min(end - last, 1, cell) / cell), false]);
    table[table.length - 1][3] = true;
  }
  return table;
}

function averageBlocks(image, result, blockX, blockY) {
  const share = Math.fround(1 / (blockX * blockY)), isTwo = blockX === 2 && blockY === 2;
  for (let y = 0; y < result.height; y++) {
    for (let x = 0; x < result.width; x++) {
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (let v = 0; v < blockY; v++) {
          const start = 4 * ((y * blockY + v) * image.width + x * blockX) + c;
          for (let u = 0; u < blockX; u++) sum += image.data[start + 4 * u];
        }
        result.data[4 * (y * result.width + x) + c] = isTwo ? (sum + 2) >> 2 : Math.fround(sum * share);
      }
    }
  }
}

/** Warp bilinearly to a square; the border is repeated: cv2.warpAffine, in its 1/32 of a pixel. */
export function warp(image, [a, b, c, d, e, f], side) {
  const scale = 1 / (a * e - b * d);
  const [p, q, s, t] = [e * scale, -b * scale, -d * scale, a * scale];
  const [r, u] = [-p * c - q * f, -s * c - t * f];
  const { width, height, data } = image, result = newImage(side, side);
  for (let y = 0; y < side; y++) {
    const [startX, startY] = [roundEven((q * y + r) * 1024) + 16, roundEven((t * y + u) * 1024) + 16];
    for (let x = 0; x < side; x++) {
      const X = (startX + roundEven(p * x * 1024)) >> 5, Y = (startY + roundEven(s * x * 1024)) >> 5;
      const left = 4 * clamp(X >> 5, 0, width - 1), right = 4 * clamp((X >> 5) + 1, 0, width - 1);
      const top = 4 * width * clamp(Y >> 5, 0, height - 1), bottom = 4 * width * clamp((Y >> 5) + 1, 0, height - 1);
      const across = X & 31, down = Y & 31;
      for (let i = 0; i < 3; i++) {
        const upper = (32 - across) * data[top + left + i] + across * data[top + right + i];
        const lower = (32 - across) * data[bottom + left + i] + across * data[bottom + right + i];
        result.data[4 * (y * side + x) + i] = ((32 - down) * upper + down * lower + 512) >> 10;
      }
    }
  }
  return result;
}

const multiply = ([a, b, c, d, e, f], [A, B, C, D, E, F]) =>
  [a * A + b * D, a * B + b * E, a * C + b * F + c, d * A + e * D, d * B + e * E, d * C + e * F + f];

/** Return the similarity transform from points to goals with the least squared error, or null. */
export function similarity(points, goals, rotate = true) {
  const [x, y, goalX, goalY] = [points, goals].flatMap((list) => [0, 1].map((axis) =>
    list.reduce((sum, point) => sum + point[axis], 0) / list.length));
  let extent = 0, real = 0, imaginary = 0;
  points.forEach((point, index) => {
    const [px, py] = [point[0] - x, point[1] - y], [gx, gy] = [goals[index][0] - goalX, goals[index][1] - goalY];
    extent += px * px + py * py;
    real += px * gx + py * gy;
    imaginary += px * gy - py * gx;
  });
  const [a, b] = [real / extent, rotate ? imaginary / extent : 0];
  const isValid = Number.isFinite(a + b) && extent > (1e-6 * (1 + Math.hypot(x, y))) ** 2
    && Math.hypot(a, b) * Math.sqrt(extent) > 1e-6 && (rotate || a > 0);
  return isValid ? [a, -b, goalX - a * x + b * y, b, a, goalY - b * x - a * y] : null;
}

/** Return where a face is after an image of this width and height has been turned clockwise. */
export function turnFace(face, degrees, width, height) {
  let { box: [left, top, w, h], points } = face;
  for (let turns = degrees / 90; turns > 0; turns--) {
    const before = height;
    points = points.map(([x, y]) => [Math.fround(before - y), x]);
    [left, top, w, h, width, height] = [height - top - h, left, h, w, height, width];
  }
  return { ...face, box: [left, top, w, h], points };
}

/** Return the map from pixels to fractions of the crop's side, by the card's crop rule. */
function cropMatrix(face, rule, reference) {
  if (face.rotation) {
    const upright = { ...turnFace(face, face.rotation, 0, 0), rotation: 0 };
    const [sine, cosine] = { 90: [1, 0], 180: [0, -1], 270: [-1, 0] }[face.rotation];
    return multiply(cropMatrix(upright, rule, reference), [cosine, -sine, 0, sine, cosine, 0]);
  }
  const { box: [left, top, width, height], points } = face;
  const aligned = points && rule.points.length ? similarity(points, rule.points, rule.upright) : null;
  if (aligned) return aligned;
  const fitted = points && rule.upright ? similarity(points, reference) : null;
  const norm = fitted ? Math.hypot(fitted[0], fitted[3]) : 1;
  const [cosine, sine] = fitted ? [fitted[0] / norm, -fitted[3] / norm] : [1, 0];
  const longer = Math.max(width, height, 1), scale = 1 / (longer * rule.box_scale), shift = rule.box_shift * longer;
  const [x, y] = [left + width / 2 - sine * shift, top + height / 2 + cosine * shift];
  const [a, b] = [cosine * scale, -sine * scale];
  return [a, -b, 0.5 - a * x + b * y, b, a, 0.5 - b * x - a * y];
}

/** Crop a face in two steps: an average over whole pixels, then a warp on a finer grid and its average. */
export function cropFace(image, face, rule, reference, size) {
  let matrix = cropMatrix(face, rule, reference).map((value) => value * size);
  const [a, b, c, d, e, f] = matrix, determinant = a * e - b * d;
  const corners = [[0, 0], [size, 0], [0, size], [size, size]].map(([x, y]) =>
    [(e * (x - c) - b * (y - f)) / determinant, (a * (y - f) - d * (x - c)) / determinant]);
  const [[left, right], [top, bottom]] = [image.width, image.height].map((limit, axis) => {
    const values = corners.map((corner) => corner[axis]);
    const first = clamp(Math.floor(Math.min(...values)) - 2, 0, limit - 1);
    return [first, clamp(Math.ceil(Math.max(...values)) + 2, first + 1, limit)];
  });
  let part = cut(image, left, top, right - left, bottom - top);
  matrix = multiply(matrix, [1, 0, left, 0, 1, top]);
  const step = 1 / Math.hypot(a, d), factor = Math.max(1, Math.floor(step / 2));
  if (factor > 1) {
    const [width, height] = [Math.ceil(part.width / factor), Math.ceil(part.height / factor)];
    matrix = multiply(matrix, [part.width / width, 0, 0, 0, part.height / height, 0]);
    part = resizeArea(part, width, height);
  }
  const fine = Math.max(1, Math.ceil(step / factor));
  const centers = multiply(matrix.map((value) => value * fine), [1, 0, 0.5, 0, 1, 0.5]);
  [centers[2], centers[5]] = [centers[2] - 0.5, centers[5] - 0.5];
  return resizeArea(warp(part, centers, size * fine), size, size);
}

/** Return the largest central square, for an image that is a cropped face already. */
export function cropCenter(image, size) {
  const side = Math.min(image.width, image.height);
  const square = cut(image, (image.width - side) >> 1, (image.height - side) >> 1, side, side);
  const scale = size / side;
  return side > size ? resizeArea(square, size, size)
    : warp(square, [scale, 0, scale / 2 - 0.5, 0, scale, scale / 2 - 0.5], size);
}
