/* <time-in-view data-name="…" data-about="…"> in a form: measures how long the page was in view, in seconds, and sends
   it under that name when htmx submits the form.

   Time counts while the page can be seen and somebody was there in the last minutes. It goes on where it was after a
   reload, for what `data-about` names. */
"use strict";

(() => {
  const TICK_MS = 1000;
  const AWAY_AFTER_MS = 5 * 60 * 1000;
  const SIGNS_OF_LIFE = ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "input"];
  const PREFIX = "hitl-in-view:";

  customElements.define("time-in-view", class extends HTMLElement {
    connectedCallback() {
      this.form = this.closest("form");
      this.milliseconds = this.kept();
      this.lastSign = this.lastTick = performance.now();
      this.timer = setInterval(() => this.tick(), TICK_MS);
      this.listeners = new AbortController();
      const signal = this.listeners.signal;
      const note = () => { this.lastSign = performance.now(); };
      for (const sign of SIGNS_OF_LIFE) document.addEventListener(sign, note, { signal, capture: true, passive: true });
      document.addEventListener("visibilitychange", () => this.tick(document.visibilityState === "hidden"), { signal });
      window.addEventListener("pagehide", () => this.tick(), { signal });
      this.form?.addEventListener("htmx:configRequest", (event) => this.send(event), { signal });
    }

    disconnectedCallback() {
      clearInterval(this.timer);
      this.listeners?.abort();
    }

    /* wasVisible: the page is being hidden just now, so the time until now still counts. */
    tick(wasVisible = document.visibilityState === "visible") {
      const now = performance.now();
      if (wasVisible && now - this.lastSign < AWAY_AFTER_MS) this.milliseconds += now - this.lastTick;
      this.lastTick = now;
      this.keep();
    }

    send(event) {
      if (event.target !== this.form) return;
      this.tick();
      event.detail.parameters[this.dataset.name] = (this.milliseconds / 1000).toFixed(1);
    }

    kept() {
      try { return Number(JSON.parse(sessionStorage.getItem(PREFIX))?.[this.dataset.about]) || 0; } catch { return 0; }
    }

    /* Only the newest is kept: one tab shows one thing at a time. */
    keep() {
      try { sessionStorage.setItem(PREFIX, JSON.stringify({ [this.dataset.about]: this.milliseconds })); } catch { /* a reload starts anew */ }
    }
  });
})();
