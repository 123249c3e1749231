/* <copy-text data-text="…" hidden>: its button puts the text on the clipboard and says so. Hidden without scripts,
   and where the browser lends no clipboard, as on plain http. */
"use strict";

customElements.define("copy-text", class extends HTMLElement {
  connectedCallback() {
    if (!navigator.clipboard) return;
    this.hidden = false;
    this.label = this.querySelector("button span");
    this.querySelector("button").addEventListener("click", () => this.copy());
  }

  async copy() {
    const before = this.label.textContent;
    try {
      await navigator.clipboard.writeText(this.dataset.text);
      this.label.textContent = "Copied";
    } catch {
      this.label.textContent = "Not allowed";
    }
    setTimeout(() => { this.label.textContent = before; }, 2000);
  }
});
