/* <row-keys>: j and k move through the links marked data-row, Enter opens the one in focus (as links do). */
"use strict";

customElements.define("row-keys", class extends HTMLElement {
  connectedCallback() {
    this.listener = (event) => this.press(event);
    document.addEventListener("keydown", this.listener);
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.listener);
  }

  press(event) {
    const step = { j: 1, k: -1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.body.dataset.singleKeys === "off" || document.querySelector("dialog:modal")) return;
    if (event.target.closest("input, select, textarea, [contenteditable]")) return;
    const rows = [...this.querySelectorAll("[data-row]")];
    const here = rows.indexOf(document.activeElement);
    const next = here < 0 ? 0 : here + step;
    if (!rows[next]) return;
    event.preventDefault();
    rows[next].focus();
    rows[next].scrollIntoView({ block: "nearest" });
  }
});
