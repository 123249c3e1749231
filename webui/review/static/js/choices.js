/* <quick-choices>: number keys choose among a few options, also in a dialog. Each option has data-choose="1". */
"use strict";

customElements.define("quick-choices", class extends HTMLElement {
  connectedCallback() {
    this.listeners = new AbortController();
    document.addEventListener("keydown", (event) => this.pressed(event), { signal: this.listeners.signal });
  }

  disconnectedCallback() {
    this.listeners.abort();
  }

  pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !/^[0-9]$/.test(event.key)) return;
    if (document.body.dataset.singleKeys === "off" || event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea")) return;
    const choice = this.querySelector(`[data-choose="${event.key}"]`);
    if (!choice?.checkVisibility()) return;
    event.preventDefault();
    choice.click();
    choice.focus();
  }
});
