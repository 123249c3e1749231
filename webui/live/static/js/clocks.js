/* <count-up data-since="…" data-now="…">: how long ago something was, by the server's clock. */
"use strict";

customElements.define("count-up", class extends HTMLElement {
  connectedCallback() {
    const ago = Date.parse(this.dataset.now) - Date.parse(this.dataset.since);
    if (Number.isNaN(ago)) return;
    this.since = Date.now() - ago;
    this.timer = setInterval(() => this.show(), 1000);
    this.show();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  show() {
    const seconds = Math.max(0, Math.floor((Date.now() - this.since) / 1000));
    const two = (number) => String(number).padStart(2, "0");
    const minutes = Math.floor(seconds / 60);
    if (minutes >= 1440) this.textContent = `${Math.floor(minutes / 1440)} d`;
    else if (minutes >= 60) this.textContent = `${Math.floor(minutes / 60)} h ${minutes % 60}`;
    else this.textContent = `${minutes}:${two(seconds % 60)}`;
  }
});
