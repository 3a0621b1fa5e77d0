// Replaces the browser's error in the camera component's frame by a sentence that says what to do.
// `data.messages`: name of a DOMException -> sentence. `data.other`: beginning of any other message.
export default function ({ data }) {
  const frames = () => document.querySelectorAll('iframe[title^="streamlit_webrtc"]');
  const observers = new Map();

  function translate(alert) {
    const walker = document.createTreeWalker(alert, NodeFilter.SHOW_TEXT);
    const nodes = [];
    while (walker.nextNode()) nodes.push(walker.currentNode);
    const shown = nodes.map((node) => node.nodeValue).join("");
    const name = Object.keys(data.messages).find((name) => shown.includes(name));
    const isTranslated = [...Object.values(data.messages), data.other].some((text) => shown.startsWith(text));
    if (!nodes.length || isTranslated) return;
    // The nodes stay in place: the component's framework owns them.
    nodes[0].nodeValue = name ? data.messages[name] : `${data.other} ${shown}`;
    for (const node of nodes.slice(1)) node.nodeValue = "";
  }

  function watch() {
    for (const frame of frames()) {
      const body = frame.contentDocument?.body;
      if (!body || observers.has(body)) continue;
      const observer = new MutationObserver(() => body.querySelectorAll('[role="alert"]').forEach(translate));
      observer.observe(body, { childList: true, subtree: true, characterData: true });
      body.querySelectorAll('[role="alert"]').forEach(translate);
      observers.set(body, observer);
    }
  }

  watch();
  // The frame may load later than this script, and again.
  const timer = setInterval(watch, 500);
  return () => {
    clearInterval(timer);
    observers.forEach((observer) => observer.disconnect());
  };
}
