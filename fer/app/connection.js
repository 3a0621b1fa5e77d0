// Replaces the text of Streamlit's dialog about a lost connection, which names Streamlit's own commands.
// `data.message`: what to show.
export default function ({ data }) {
  function explain() {
    for (const dialog of document.querySelectorAll('[role="dialog"]')) {
      if (!dialog.textContent.includes("Streamlit")) continue;
      const code = dialog.querySelector('[data-testid="stErrorCodeBlock"]');
      if (code) code.style.display = "none";
      const walker = document.createTreeWalker(dialog, NodeFilter.SHOW_TEXT);
      const nodes = [];
      while (walker.nextNode()) nodes.push(walker.currentNode);
      // The nodes stay in place: the page's framework owns them.
      const message = nodes.find((node) => node.nodeValue.includes("Streamlit"));
      if (message) message.nodeValue = data.message;
    }
  }
  const observer = new MutationObserver(explain);
  observer.observe(document.body, { childList: true, subtree: true, characterData: true });
  explain();
  return () => observer.disconnect();
}
