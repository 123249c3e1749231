/* <reading-place>: a conversation that opens where its response is, for it is what the reader came for.
   With data-at="end" it opens at its end: what several responses answer; with "start" at its first message.
   Only where the pane scrolls alone; on a phone the page starts at its top, and a link leads to the response. */
"use strict";

customElements.define("reading-place", class extends HTMLElement {
  static MARGIN = 24;

  connectedCallback() {
    const pane = this.closest(".pane");
    if (pane && this.dataset.at === "end") { pane.scrollTop = pane.scrollHeight; return; }
    if (this.dataset.at === "start") return;
    const response = this.querySelector("#response");
    if (!pane || !response || getComputedStyle(pane).overflowY !== "auto") return;
    const frame = pane.getBoundingClientRect();
    const place = response.getBoundingClientRect();
    const below = place.bottom - frame.bottom + this.constructor.MARGIN;
    const above = place.top - frame.top - this.constructor.MARGIN;
    // A response longer than the pane starts at its top.
    if (below > 0) pane.scrollTop += Math.min(below, above);
  }
});
