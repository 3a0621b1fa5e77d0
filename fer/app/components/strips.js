// A strip for each face of a video. A click or an arrow key moves the players to that time.
// `data.duration`: seconds. `data.players`: CSS selector of the players; the last one is scrolled into view.
// `data.colors`: emotion -> [background, text]. `data.faces`: name, summary, thumbnail, segments
// ([start, end, emotion, uncertain]). Texts are never read as HTML.
const STEP = 1, PAGE = 5;
// A label is shown if the segment is at least this wide, in pixels for each letter.
const PIXELS_PER_LETTER = 9;
// Largest difference of the players' times in seconds: while they play, and after a seek.
const MAX_DRIFT = 0.5, MAX_OFFSET = 0.15;

function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function clock(seconds) {
  const tenths = Math.round(10 * seconds);
  return `${Math.floor(tenths / 600)}:${(((tenths % 600) / 10).toFixed(1)).padStart(4, "0")}`;
}

function percent(part, whole) {
  return `${((100 * part) / whole).toFixed(3)}%`;
}

function legend(data) {
  const shown = Object.keys(data.colors).filter((emotion) =>
    data.faces.some((face) => face.segments.some((segment) => segment[2] === emotion)));
  const items = shown.map((emotion) =>
    element("span", {}, element("i", { style: `--color: ${data.colors[emotion][0]}` }), emotion));
  const isUncertain = data.faces.some((face) => face.segments.some((segment) => segment[3]));
  if (isUncertain) items.push(element("span", {}, element("i", { class: "fer-uncertain" }), "hatched: uncertain"));
  return element("div", { class: "fer-strips-legend" }, ...items);
}

function axis(duration) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 20, 30];
  const step = steps.find((seconds) => duration / seconds <= 6) ?? 30;
  const node = element("div", { class: "fer-axis", "aria-hidden": "true" });
  for (let time = 0; time < duration - step / 2; time += step) {
    const label = step < 1 ? `${time.toFixed(1)} s` : `${Math.floor(time / 60)}:${String(Math.round(time % 60)).padStart(2, "0")}`;
    node.append(element("span", { style: `left: ${percent(time, duration)}` }, label));
  }
  node.append(element("span", { style: "left: 100%" }, clock(duration)));
  return node;
}

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".fer-strips");
  const players = () => [...document.querySelectorAll(data.players)];
  const tracks = [];
  let now = 0;

  function at(face, time) {
    const found = face.segments.find(([start, end]) => start <= time && time < end);
    return found ? found[2] + (found[3] ? "? (uncertain)" : "") : "not seen";
  }

  function show(time) {
    now = Math.min(Math.max(0, time), data.duration);
    for (const { face, track, head } of tracks) {
      head.style.left = percent(now, data.duration);
      track.setAttribute("aria-valuenow", now.toFixed(1));
      track.setAttribute("aria-valuetext", `${clock(now)}, ${at(face, now)}`);
    }
  }

  function seek(time) {
    show(time);
    for (const player of players()) player.currentTime = now;
    const last = players().at(-1);
    if (!last) return;
    const { top, bottom } = last.getBoundingClientRect();
    if (bottom < 80 || top > window.innerHeight) last.scrollIntoView({ block: "center", behavior: "smooth" });
  }

  function timeOf(track, event) {
    const { left, width } = track.getBoundingClientRect();
    return ((event.clientX - left) / width) * data.duration;
  }

  function onKey(event) {
    const steps = { ArrowRight: STEP, ArrowUp: STEP, ArrowLeft: -STEP, ArrowDown: -STEP, PageUp: PAGE, PageDown: -PAGE };
    const target = event.key === "Home" ? 0 : event.key === "End" ? data.duration : now + steps[event.key];
    if (Number.isNaN(target)) return;
    event.preventDefault();
    seek(target);
  }

  function strip(face) {
    const head = element("div", { class: "fer-playhead" });
    const track = element("div", {
      class: "fer-track", role: "slider", tabindex: "0", "aria-label": `${face.name}: position in the video`,
      "aria-valuemin": "0", "aria-valuemax": data.duration.toFixed(1),
    });
    for (const [start, end, emotion, uncertain] of face.segments) {
      const [color, ink] = data.colors[emotion];
      const text = emotion + (uncertain ? "?" : "");
      track.append(element("div", {
        class: uncertain ? "fer-segment fer-uncertain" : "fer-segment",
        title: `${clock(start)} to ${clock(end)}: ${text}`,
        style: `--color: ${color}; --ink: ${ink}; left: ${percent(start, data.duration)}; `
          + `width: ${percent(end - start, data.duration)}`,
        "data-text": text,
      }));
    }
    track.append(head);
    track.addEventListener("keydown", onKey);
    track.addEventListener("click", (event) => seek(timeOf(track, event)));
    tracks.push({ face, track, head });
    const picture = face.thumbnail ? element("img", { src: face.thumbnail, alt: "" }) : element("i");
    // No line break between a number and its unit.
    const summary = face.summary.replace(/(\d) (?=[%s])/g, "$1\u00a0");
    const title = element("p", {}, element("b", {}, face.name), ` ${summary}`);
    return element("div", { class: "fer-strip" }, picture, title, track);
  }

  function label() {
    for (const { track } of tracks) {
      for (const segment of track.querySelectorAll(".fer-segment")) {
        const text = segment.dataset.text;
        const padding = segment.classList.contains("fer-uncertain") ? 2.5 : 1.5;
        const fits = segment.clientWidth >= PIXELS_PER_LETTER * (text.length + padding);
        segment.replaceChildren(...(fits ? [element("span", {}, text)] : []));
      }
    }
  }

  root.replaceChildren(legend(data), ...data.faces.map(strip), axis(data.duration));
  label();
  const resized = new ResizeObserver(label);
  resized.observe(root);

  // The players follow each other; a change that this code makes is not followed.
  function follow(event) {
    const player = event.target;
    // A player whose file changes says that its time is 0.
    if (!players().includes(player) || player.readyState < HTMLMediaElement.HAVE_METADATA) return;
    // A copy that was written again is loaded: it continues where the last one was.
    if (event.type === "loadedmetadata") {
      const time = now;
      // Later, as Streamlit moves a loaded player to its start.
      setTimeout(() => { player.currentTime = time; });
      return;
    }
    show(player.currentTime);
    const tolerance = event.type === "timeupdate" ? MAX_DRIFT : MAX_OFFSET;
    for (const other of players().filter((one) => one !== player)) {
      if (Math.abs(other.currentTime - player.currentTime) > tolerance) other.currentTime = player.currentTime;
      if (event.type === "play" && other.paused) other.play().catch(() => {});
      if (event.type === "pause" && !other.paused && !player.ended) other.pause();
    }
  }
  // Events of media do not bubble, but can be captured.
  const events = ["loadedmetadata", "timeupdate", "seeked", "play", "pause"];
  for (const name of events) document.addEventListener(name, follow, true);
  show(players()[0]?.currentTime ?? 0);

  return () => {
    resized.disconnect();
    for (const name of events) document.removeEventListener(name, follow, true);
  };
}
