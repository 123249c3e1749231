/* <when-seen data-every="seconds" data-at-once>: tells by the event `seen` that somebody has this page before them:
   again and again while it stays in view, as soon as its tab comes to the front, and with data-at-once without waiting.

   What opens the next item waits for it, so that no item is held by a tab that nobody looks at. Parts marked
   data-scripted are true only with this script, so they are shown by it. */
"use strict";

customElements.define("when-seen", class extends HTMLElement {
  connectedCallback() {
    for (const part of this.querySelectorAll("[data-scripted]")) part.hidden = false;
    this.listeners = new AbortController();
    document.addEventListener("visibilitychange", () => this.look(), { signal: this.listeners.signal });
    this.timer = setInterval(() => this.look(), Number(this.dataset.every) * 1000);
    if ("atOnce" in this.dataset) this.onceHtmxIsThere(() => this.look());
  }

  onceHtmxIsThere(act) {
    if (document.readyState === "complete") setTimeout(act); // swapped in: htmx reads it first
    else window.addEventListener("load", () => setTimeout(act), { signal: this.listeners.signal });
  }

  disconnectedCallback() {
    this.listeners?.abort();
    clearInterval(this.timer);
  }

  look() {
    if (this.isConnected && document.visibilityState === "visible") this.dispatchEvent(new CustomEvent("seen"));
  }
});
