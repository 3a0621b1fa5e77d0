// Face detection by YuNet as in fer.faces: the same sizes, scores and turned faces.
// A face is {box: [left, top, width, height], score, points: five [x, y], rotation}, in pixels.
import { resizeArea, roundEven, turnFace, turnImage } from "./vision.js";

const MIN_SIZE = 320, MAX_SIZE = 640, MIN_SIDE = 96, MIN_SCORE = 0.6, MAX_OVERLAP = 0.3, STRIDES = [8, 16, 32];
const SURE_SCORE = 0.88, MIN_GAIN = 0.05, TURNS = [90, 180, 270];

const detectionSize = ({ width, height }) => Math.min(Math.max(Math.max(width, height) / 2, MIN_SIZE), MAX_SIZE);
const bestScore = (faces) => Math.max(0, ...faces.map((face) => face.score));

/** Return an image with a longer side of at most `longest` pixels, and the factors of x and y back. */
function downscale(image, longest) {
  const factor = Math.max(image.width, image.height) / longest;
  if (factor <= 1) return [image, [1, 1]];
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, roundEven(side / factor)));
  return [resizeArea(image, width, height), [image.width / width, image.height / height]];
}

const scaleFace = (face, [x, y]) => ({
  ...face,
  box: face.box.map((value, index) => value * (index % 2 ? y : x)),
  points: face.points.map((point) => [Math.fround(point[0] * x), Math.fround(point[1] * y)]),
});

/** Return the upright faces of an image, the largest first. `network` takes and gives arrays by name. */
export async function detect(network, image) {
  const size = detectionSize(image), faces = await detectAt(network, image, size);
  return !faces.length && size > MIN_SIZE ? detectAt(network, image, MIN_SIZE) : faces;
}

async function detectAt(network, image, size) {
  const [small, factors] = downscale(image, size);
  const [width, height] = [small.width, small.height].map((side) => Math.ceil(Math.max(side, MIN_SIDE) / 32) * 32);
  const input = new Float32Array(3 * width * height);
  for (let y = 0; y < small.height; y++) {
    for (let x = 0; x < small.width; x++) {
      // Blue, green, red.
      for (let c = 0; c < 3; c++) input[((2 - c) * height + y) * width + x] = small.data[4 * (y * small.width + x) + c];
    }
  }
  const outputs = await network(input, [1, 3, height, width]);
  const faces = STRIDES.flatMap((stride) => decode(outputs, stride, width / stride));
  return withoutOverlaps(faces).map((face) => scaleFace(face, factors))
    .sort((one, other) => other.box[2] * other.box[3] - one.box[2] * one.box[3]);
}

function decode(outputs, stride, columns) {
  const [cls, obj, bbox, kps] = ["cls", "obj", "bbox", "kps"].map((name) => outputs[`${name}_${stride}`]);
  const faces = [];
  for (let index = 0; index < cls.length; index++) {
    const score = Math.fround(Math.sqrt(Math.min(Math.max(cls[index], 0), 1) * Math.min(Math.max(obj[index], 0), 1)));
    if (!(score > MIN_SCORE)) continue;
    const column = index % columns, row = Math.floor(index / columns);
    const [dx, dy, w, h] = bbox.slice(4 * index, 4 * index + 4);
    const [width, height] = [Math.fround(Math.exp(w) * stride), Math.fround(Math.exp(h) * stride)];
    const corner = [(column + dx) * stride - width / 2, (row + dy) * stride - height / 2].map(Math.fround);
    const points = [0, 1, 2, 3, 4].map((point) =>
      [(kps[10 * index + 2 * point] + column) * stride, (kps[10 * index + 2 * point + 1] + row) * stride]);
    const face = { box: [...corner, width, height], score, points, rotation: 0 };
    if (face.box.every(Number.isFinite) && width > 0 && height > 0) faces.push(face);
  }
  return faces;
}

function withoutOverlaps(faces) {
  const kept = [];
  for (const face of faces.sort((one, other) => other.score - one.score)) {
    const whole = face.box.map(Math.trunc);
    if (kept.every((other) => overlap(whole, other.box.map(Math.trunc)) <= MAX_OVERLAP)) kept.push(face);
  }
  return kept;
}

function overlap([x, y, w, h], [left, top, width, height]) {
  const across = Math.max(0, Math.min(x + w, left + width) - Math.max(x, left));
  const shared = across * Math.max(0, Math.min(y + h, top + height) - Math.max(y, top));
  return shared / (w * h + width * height - shared);
}

/** Return the faces of an image; without a sure one, also those of the image turned by 90, 180 or 270 degrees. */
export async function findFaces(network, image) {
  let faces = await detect(network, image);
  const best = bestScore(faces);
  if (faces.length && best >= SURE_SCORE) return faces;
  const [small, factors] = downscale(image, 2 * detectionSize(image));
  let needed = faces.length ? best + MIN_GAIN : 0;
  for (const degrees of TURNS) {
    const turned = turnImage(small, degrees), found = await detect(network, turned);
    if (!found.length || bestScore(found) <= needed) continue;
    needed = bestScore(found);
    faces = found.map((face) => ({
      ...scaleFace(turnFace(face, 360 - degrees, turned.width, turned.height), factors), rotation: degrees }));
  }
  return faces;
}

/** Sort faces by rows from top to bottom, and in a row from left to right, as fer-predict numbers them. */
export function inReadingOrder(faces) {
  const center = ({ box }, axis) => box[axis] + box[axis + 2] / 2, rows = [];
  for (const face of [...faces].sort((one, other) => center(one, 1) - center(other, 1))) {
    const [, top, , height] = rows.at(-1)?.[0].box ?? [0, 0, 0, 0], [, y, , h] = face.box;
    const shared = (Math.min(top + height, y + h) - Math.max(top, y)) / Math.max(Math.min(height, h), 1e-6);
    if (rows.length && shared >= 0.5) rows.at(-1).push(face);
    else rows.push([face]);
  }
  return rows.flatMap((row) => row.sort((one, other) => center(one, 0) - center(other, 0)));
}
