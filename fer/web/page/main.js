// The page: choose a picture or use the camera, and show the answer for each face.
import { detect, findFaces, inReadingOrder } from "./faces.js";
import { openModels } from "./runtime.js";
import { cropCenter, cropFace } from "./vision.js";

// Pixels of the longer side that are drawn, and widths of its face that a label may have.
const MAX_MEGAPIXELS = 50, MAX_SHOWN = 1600, MAX_LABEL = 1.7, INK = "#16181c";
const PLACES = { wasm: "WebAssembly", webgpu: "WebGPU" };
const byId = (id) => document.getElementById(id);
const config = await (await fetch("config.json", { cache: "no-cache" })).json();
const view = byId("view"), buffer = document.createElement("canvas");
// `turn` counts what was opened: answers for earlier pictures are dropped.
let models = null, camera = null, facing = "user", turn = 0;

const percent = (value) => `${Math.round(100 * value)} %`;
const milliseconds = (value) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
const summary = ({ label, confidence, uncertain }) => `${label}${uncertain ? "?" : ""} ${percent(confidence)}`;

function say(text, isError = false) {
  byId("status").textContent = text;
  byId("status").classList.toggle("error", isError);
}

function element(name, properties = {}, ...children) {
  const node = Object.assign(document.createElement(name), properties);
  node.append(...children);
  return node;
}

/** Return the pixels of a picture or a video frame; transparent ones are white. */
function readPixels(source, width, height) {
  Object.assign(buffer, { width, height });
  const context = buffer.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(source, 0, 0);
  return context.getImageData(0, 0, width, height);
}

/** Return the faces of an image with the keys of fer-predict --json, and the milliseconds that they took. */
async function predict(image, find) {
  const start = performance.now(), found = inReadingOrder(await find(models.detector, image));
  const middle = performance.now(), { crop, reference_landmarks: reference, image_size: side } = config;
  const faces = found.map((face) => ({ ...face, pixels: cropFace(image, face, crop, reference, side) }));
  await classify(faces);
  const detection = middle - start, classification = performance.now() - middle;
  return { faces, size: [image.width, image.height], detection, classification };
}

async function classify(faces) {
  if (!faces.length) return;
  const { image_size: side, labels, uncertain_below: threshold } = config, length = 3 * side * side;
  const input = new Uint8Array(faces.length * length);
  faces.forEach(({ pixels: { data } }, index) => {
    for (let i = 0; i < length; i++) input[index * length + i] = data[4 * Math.floor(i / 3) + i % 3];
  });
  const { probabilities } = await models.classifier(input, [faces.length, side, side, 3]);
  faces.forEach((face, index) => {
    const row = labels.map((label, column) => [label, probabilities[index * labels.length + column]]);
    const [label, confidence] = row.reduce((best, pair) => (pair[1] > best[1] ? pair : best));
    const uncertain = threshold !== null && confidence < threshold;
    Object.assign(face, { face: index + 1, label, confidence, uncertain, probabilities: Object.fromEntries(row) });
  });
}

function draw(source, { faces, size: [width, height] }, isMirrored = false) {
  const scale = Math.min(1, MAX_SHOWN / Math.max(width, height)), context = view.getContext("2d");
  Object.assign(view, { width: Math.round(width * scale), height: Math.round(height * scale) });
  context.setTransform(isMirrored ? -scale : scale, 0, 0, scale, isMirrored ? view.width : 0, 0);
  context.drawImage(source, 0, 0);
  context.resetTransform();
  // Pixels of the canvas in one of the screen.
  const unit = Math.max(view.width / (view.clientWidth || 400), view.height / (view.clientHeight || 400));
  for (const face of faces) {
    const [left, top, w, h] = face.box.map((value) => value * scale), x = isMirrored ? view.width - left - w : left;
    context.setLineDash(face.uncertain ? [10 * unit, 6 * unit] : []);
    for (const [strokeStyle, line] of [[INK, 5], [config.colors[face.label], 3]]) {
      Object.assign(context, { strokeStyle, lineWidth: line * unit });
      context.strokeRect(x, top, w, h);
    }
    const number = `${face.face}`, isOnly = faces.length === 1;
    const texts = isOnly ? [summary(face)] : [`${number} ${summary(face)}`, `${number} ${face.label}`, number];
    drawLabel(context, texts, isOnly ? view.width : MAX_LABEL * w, x, top, 15 * unit);
  }
  const answers = faces.map((face) => `Face ${face.face}: ${summary(face)}`).join(", ");
  view.setAttribute("aria-label", answers || "Picture without a face");
}

/** Draw the first text that is narrow enough for its face, or the last. */
function drawLabel(context, texts, maxWidth, left, bottom, size) {
  context.font = `600 ${size}px system-ui, sans-serif`;
  const widthOf = (text) => context.measureText(text).width + size;
  const text = texts.find((each) => widthOf(each) <= maxWidth) ?? texts.at(-1);
  const height = 1.6 * size, width = widthOf(text);
  const [x, y] = [Math.max(0, Math.min(left, view.width - width)), Math.max(0, bottom - height)];
  context.fillStyle = INK;
  context.fillRect(x, y, width, height);
  context.fillStyle = "white";
  context.fillText(text, x + size / 2, y + 1.15 * size);
}

function show({ faces, detection, classification }, framesPerSecond = 0) {
  const { detector: { backend: first }, classifier: { backend: second } } = models;
  byId("faces").replaceChildren(...(faces.length ? faces.map(faceCard) : ["No face in view."]));
  byId("speed").textContent = `Detector ${milliseconds(detection)}${first === second ? "" : ` on ${PLACES[first]}`}`
    + (faces.length ? `, model ${milliseconds(classification / faces.length)} a face` : "") + ` on ${PLACES[second]}`
    + (framesPerSecond ? `, ${framesPerSecond.toFixed(0)} frames/s` : "");
}

function faceCard(face) {
  const { pixels: { data, width, height }, uncertain, probabilities } = face;
  const picture = element("canvas", { width, height, ariaHidden: "true" });
  picture.getContext("2d").putImageData(new ImageData(data, width), 0, 0);
  const reason = config.uncertain_below < 1 ? `below ${percent(config.uncertain_below)}` : "no threshold is known";
  const note = uncertain ? `uncertain: ${reason}` : `face ${face.face}`;
  const sorted = Object.entries(probabilities).sort((one, other) => other[1] - one[1]);
  const rows = sorted.map(([name, value], index) => {
    const bar = element("span", { className: "bar" });
    Object.assign(bar.style, { width: percent(value).replace(" ", ""), background: config.colors[name] });
    const cells = [element("th", { scope: "row" }, name), element("td", {}, bar), element("td", {}, percent(value))];
    return element("tr", { className: index ? "" : "first" }, ...cells);
  });
  const title = element("h3", {}, summary(face), element("small", {}, note));
  return element("div", { className: "face" }, picture, title, element("table", {}, ...rows));
}

function offerDownload(name, { faces, size }) {
  const values = faces.map(({ pixels, ...face }) => face), link = byId("save");
  const content = JSON.stringify({ file: name, size, faces: values, model: config.name, detector: "yunet" });
  if (link.href) URL.revokeObjectURL(link.href);
  Object.assign(link, { href: URL.createObjectURL(new Blob([content])), hidden: !faces.length });
}

/** Read a picture, find its faces and show the answer. */
async function open(blob, name, sample = null) {
  const mine = start("Looking for faces …", sample);
  try {
    const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none" }).catch(() => {
      throw new Error(`${name}: expected a picture, got a file that this browser cannot read. Save it as JPEG.`);
    });
    const megapixels = bitmap.width * bitmap.height / 1e6;
    if (megapixels > MAX_MEGAPIXELS) throw new Error(`${name}: expected at most ${MAX_MEGAPIXELS} megapixels.`);
    const image = readPixels(bitmap, bitmap.width, bitmap.height), result = await predict(image, findFaces);
    if (mine === turn) finish(bitmap, name, image, result);
  } catch (error) {
    if (mine === turn) say(error.message, true);
  }
}

function start(text, sample = null) {
  for (const track of camera?.srcObject.getTracks() ?? []) track.stop();
  camera = null;
  Object.assign(byId("camera"), { textContent: "Use the camera", ariaPressed: "false" });
  for (const button of byId("samples").children) button.ariaPressed = String(button === sample);
  byId("save").hidden = byId("switch").hidden = true;
  say(text);
  return ++turn;
}

function finish(bitmap, name, image, result) {
  const count = result.faces.length;
  draw(bitmap, result);
  show(result);
  offerDownload(name, result);
  // On a phone, the samples are below.
  view.scrollIntoView({ block: "nearest" });
  const title = count === 1 ? "One face" : `${count} faces`;
  say(count ? `${title}: ${result.faces.map(summary).join(", ")}` : "No face found.");
  if (count) return;
  const button = element("button", { type: "button" }, "Take the whole picture as one face");
  button.addEventListener("click", async () => {
    const begin = performance.now(), face = { box: [0, 0, ...result.size], score: 1, points: null, rotation: 0 };
    const faces = [{ ...face, pixels: cropCenter(image, config.image_size) }];
    await classify(faces);
    finish(bitmap, name, image, { ...result, faces, classification: performance.now() - begin });
  });
  byId("faces").replaceChildren(button);
}

async function startCamera() {
  const mine = start("Waiting for the camera …"), video = element("video", { muted: true, playsInline: true });
  try {
    if (!navigator.mediaDevices) throw new Error("The camera needs an address with https:// or localhost.");
    const wanted = { video: { facingMode: facing, width: 640, height: 480 } };
    video.srcObject = await navigator.mediaDevices.getUserMedia(wanted).catch(({ name }) => {
      throw new Error(name === "NotAllowedError" ? "The camera is blocked. Allow it for this page in the browser."
        : "There is no free camera. Connect one, or close other programs that use it.");
    });
    if (mine !== turn) return video.srcObject.getTracks().forEach((track) => track.stop());
    camera = video;
    await video.play();
    const devices = await navigator.mediaDevices.enumerateDevices();
    byId("switch").hidden = devices.filter(({ kind }) => kind === "videoinput").length < 2;
    Object.assign(byId("camera"), { textContent: "Stop the camera", ariaPressed: "true" });
    say("The camera is on.");
    await follow(video, video.srcObject.getVideoTracks()[0].getSettings().facingMode !== "environment");
  } catch (error) {
    if (mine === turn) say(error.message, true);
  }
}

async function follow(video, isMirrored) {
  for (let last = 0, now; camera === video; last = now) {
    const result = await predict(readPixels(video, video.videoWidth, video.videoHeight), detect);
    if (camera !== video) return;
    now = performance.now();
    draw(buffer, result, isMirrored);
    show(result, 1000 / (now - last));
    await new Promise(requestAnimationFrame);
  }
}

function listen() {
  const openFirst = (files) => files?.length && open(files[0], files[0].name);
  byId("file").addEventListener("change", ({ target }) => {
    openFirst(target.files);
    // So that the same file can be chosen again.
    target.value = "";
  });
  byId("camera").addEventListener("click", () => (camera ? start("The camera is off.") : startCamera()));
  byId("switch").addEventListener("click", () => {
    facing = facing === "user" ? "environment" : "user";
    startCamera();
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => { event.preventDefault(); openFirst(event.dataTransfer.files); });
  addEventListener("paste", (event) => openFirst(event.clipboardData.files));
  for (const node of document.querySelectorAll("[disabled]")) node.disabled = false;
}

for (const { title, file } of config.samples) {
  const button = element("button", { type: "button", disabled: true }, element("img", { src: file, alt: "" }), title);
  button.addEventListener("click", async () => open(await (await fetch(file)).blob(), title, button));
  byId("samples").append(button);
}
try {
  const backend = new URLSearchParams(location.search).get("backend");
  models = await openModels(config, backend, (part) => say(`Loading ${part} …`));
  listen();
  byId("samples").firstChild.click();
  await navigator.serviceWorker?.register("sw.js");
  await navigator.serviceWorker?.ready;
  byId("offline").hidden = !navigator.serviceWorker;
} catch (error) {
  say(`This page cannot run here. ${error.message}`, true);
}
