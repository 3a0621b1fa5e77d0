// Service worker: the page works without a network once it was loaded.
const CACHE = `fer-page-${registration.scope}`;

addEventListener("install", (event) => event.waitUntil((async () => {
  const { files } = await (await fetch("config.json", { cache: "no-cache" })).json();
  await (await caches.open(CACHE)).addAll(files);
  await skipWaiting();
})()));
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  // Files with a version are loaded and kept by runtime.js.
  if (method !== "GET" || !url.startsWith(registration.scope) || url.includes("?v=")) return;
  event.respondWith(answer(event.request));
});

async function answer(request) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch {
    return await cache.match(request, { ignoreSearch: true }) ?? Response.error();
  }
}
