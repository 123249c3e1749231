/* <copy-text>: the button inside it copies what stands in its read-only field, and says so. Where the browser lets no
   script copy (a page without https), the text is selected instead, ready for Ctrl+C. */
"use strict";

customElements.define("copy-text", class extends HTMLElement {
  connectedCallback() {
    this.field = this.querySelector("input");
    this.button = this.querySelector("button");
    this.button.hidden = false;
    this.button.addEventListener("click", () => this.copy());
    this.field.addEventListener("focus", () => this.field.select());
  }

  async copy() {
    this.field.select();
    try {
      await navigator.clipboard.writeText(this.field.value);
      this.say("Copied");
    } catch {
      this.say("Selected: press Ctrl+C");
    }
  }

  say(words) {
    this.querySelector("[data-copied]").textContent = words;
  }
});
