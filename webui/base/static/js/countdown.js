/* <count-down data-ends-at="…" data-now="…" data-ended="words">: minutes and seconds left, by the server's clock.

   The clock of this machine may be wrong; only the time that passes on it is used. At zero it says the words and
   tells the page: the event `countdown:ended` rises from it. */
"use strict";

customElements.define("count-down", class extends HTMLElement {
  static SOON_SECONDS = 120;
  static NOW_SECONDS = 30;

  connectedCallback() {
    const left = Date.parse(this.dataset.endsAt) - Date.parse(this.dataset.now);
    if (Number.isNaN(left)) return;
    this.endsAt = Date.now() + left;
    this.timer = setInterval(() => this.show(), 1000);
    this.show();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  show() {
    const seconds = Math.max(0, Math.ceil((this.endsAt - Date.now()) / 1000));
    this.classList.toggle("clock--soon", seconds <= this.constructor.SOON_SECONDS && seconds > this.constructor.NOW_SECONDS);
    this.classList.toggle("clock--now", seconds <= this.constructor.NOW_SECONDS);
    this.textContent = seconds ? this.written(seconds) : this.dataset.ended;
    if (!seconds) {
      clearInterval(this.timer);
      this.dispatchEvent(new CustomEvent("countdown:ended", { bubbles: true }));
    }
  }

  written(seconds) {
    const two = (number) => String(number).padStart(2, "0");
    const hours = Math.floor(seconds / 3600);
    const minutes = Math.floor((seconds % 3600) / 60);
    return hours ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
  }
});
