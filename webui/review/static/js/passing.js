/* <passing-words data-seconds="10">: leaves by itself, unless somebody points at it or has the focus in it. */
"use strict";

customElements.define("passing-words", class extends HTMLElement {
  connectedCallback() {
    this.timer = setInterval(() => this.leave(), Number(this.dataset.seconds) * 1000);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  leave() {
    if (!this.matches(":hover, :focus-within")) this.remove();
  }
});
