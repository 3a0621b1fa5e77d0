// Loading: files by their hashes, kept for use without a network, and the two networks on the faster backend.

let last = Promise.resolve();
const CACHE = `fer-page-${new URL(".", location)}`;

/** Return a file's bytes, from this page's cache or else the network, checked against its hash. */
async function load({ url, integrity, packed }) {
  const address = new URL(url, location).href, cache = "caches" in self ? await caches.open(CACHE) : null;
  let response = await cache?.match(address);
  if (!response) {
    response = await fetch(address, { integrity }).catch(() => {
      throw new Error(`${url} cannot be loaded: no network, or it is not the expected file.`);
    });
    if (!response.ok) throw new Error(`${url} cannot be loaded: ${response.status} ${response.statusText}.`);
    // Without space, the page works only with a network.
    await cache?.put(address, response.clone()).catch(() => {});
  }
  const stream = packed ? response.body.pipeThrough(new DecompressionStream("gzip")) : response.body;
  return new Response(stream).arrayBuffer();
}

/** Delete the files of earlier versions of this page. */
async function forgetOthers(files) {
  const cache = await caches.open(CACHE), known = files.map(({ url }) => new URL(url, location).href);
  for (const { url } of await cache.keys()) {
    if ((url.includes("?v=") || !url.startsWith(location.origin)) && !known.includes(url)) await cache.delete(url);
  }
}

/** Return whether a WebGPU device is there, and the browser can wait for it inside WebAssembly. */
async function hasGpu() {
  return "Suspending" in WebAssembly && Boolean(await navigator.gpu?.requestAdapter().catch(() => null));
}

/** Load the runtime and both networks.
 *
 * Each runs on WebGPU if that gives the same answers in less time, else on WebAssembly with SIMD. `wanted` is
 * "wasm" or "webgpu" to choose one, or null.
 */
export async function openModels(config, wanted, onProgress) {
  const gpu = wanted !== "wasm" && await hasGpu();
  const runtime = config.runtime[gpu ? "webgpu" : "wasm"];
  onProgress("the runtime");
  const [code, wasmBinary] = await Promise.all([load(runtime.module), load(runtime.binary)]);
  const ort = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
  Object.assign(ort.env.wasm, { wasmBinary, numThreads: 1 });
  ort.env.logLevel = "error";
  onProgress("the models");
  const [detector, classifier] = [await load(config.detector), await load(config.model)];
  const side = config.image_size;
  const open = (bytes, type, shape) => openFastest(ort, bytes, type, shape, gpu, wanted === "webgpu");
  const models = {
    detector: await open(detector, "float32", [1, 3, 256, 320]),
    classifier: await open(classifier, "uint8", [1, side, side, 3]),
  };
  if ("caches" in self) await forgetOthers([runtime.module, runtime.binary, config.detector, config.model]);
  return models;
}

async function openFastest(ort, bytes, type, shape, gpu, force) {
  const wasm = await open(ort, bytes, type, "wasm"), length = shape.reduce((product, side) => product * side);
  const example = (type === "uint8" ? Uint8Array : Float32Array).from({ length }, (_, index) => (index * 31) % 256);
  // The first call also warms up.
  const expected = await wasm(example, shape);
  if (!gpu) return wasm;
  try {
    const other = await open(ort, bytes, type, "webgpu"), actual = await other(example, shape);
    const differs = (name) => expected[name].some((value, index) => !(Math.abs(value - actual[name][index]) < 1e-3));
    if (Object.keys(expected).some(differs)) return wasm;
    return force || await time(other, example, shape) < await time(wasm, example, shape) ? other : wasm;
  } catch {
    // The GPU is lost, or lacks what the network needs.
    return wasm;
  }
}

async function open(ort, bytes, type, backend) {
  const session = await ort.InferenceSession.create(new Uint8Array(bytes), { executionProviders: [backend] });
  const call = async (values, shape) => {
    const outputs = await session.run({ [session.inputNames[0]]: new ort.Tensor(type, values, shape) });
    return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, tensor.data]));
  };
  // One call at a time, whichever the network: the runtime cannot run two.
  const run = (values, shape) => {
    const result = last.then(() => call(values, shape));
    last = result.catch(() => {});
    return result;
  };
  return Object.assign(run, { backend });
}

async function time(network, example, shape) {
  const times = [];
  for (let repeat = 0; repeat < 3; repeat++) {
    const start = performance.now();
    await network(example, shape);
    times.push(performance.now() - start);
  }
  return Math.min(...times);
}
