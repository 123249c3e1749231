/* <lease-hold>: an item stays held while somebody works on it, and the page says so when its time is over.

   data-extend-url     POST there holds it for a whole lease's length from now: {"ends_at": "…", "now": "…"}
   data-lease-seconds  that length; asked for only when less than half of it is left
   data-hold-over      shown once the time is over
   data-hold-runs      shown until then

   A sign of life is a key, a pointer, a scroll, in a page that can be seen. A tab left open lets its item go. */
"use strict";

(() => {
  const SIGNS_OF_LIFE = ["keydown", "pointerdown", "pointermove", "wheel", "scroll", "input"];
  const WAIT_MS = 5000; // between two attempts

  customElements.define("lease-hold", class extends HTMLElement {
    connectedCallback() {
      this.lastAsked = 0;
      this.listeners = new AbortController();
      const signal = this.listeners.signal;
      for (const sign of SIGNS_OF_LIFE) document.addEventListener(sign, () => this.noticed(), { signal, capture: true, passive: true });
      this.addEventListener("countdown:ended", () => this.show(true), { signal });
    }

    disconnectedCallback() {
      this.listeners?.abort();
    }

    noticed() {
      if (document.visibilityState !== "visible" || this.isRefused || Date.now() - this.lastAsked < WAIT_MS) return;
      const clock = this.querySelector("count-down");
      if (clock?.endsAt === undefined || clock.endsAt - Date.now() > Number(this.dataset.leaseSeconds) * 500) return;
      this.lastAsked = Date.now();
      this.extend(clock);
    }

    async extend(clock) {
      const token = document.querySelector("meta[name=csrf-token]")?.content;
      let answer;
      try {
        answer = await fetch(this.dataset.extendUrl, { method: "POST", headers: { Accept: "application/json", "X-CSRFToken": token ?? "" }, redirect: "manual" });
      } catch {
        return; // no connection: the next sign of life asks again
      }
      if (answer.status === 409) this.isRefused = true; // it went back to the queue, and no asking brings it back
      if (!answer.ok) return;
      const { ends_at: endsAt, now } = await answer.json();
      const fresh = clock.cloneNode();
      Object.assign(fresh.dataset, { endsAt, now });
      clock.replaceWith(fresh);
      this.show(false);
    }

    show(isOver) {
      for (const part of this.querySelectorAll("[data-hold-over]")) part.hidden = !isOver;
      for (const part of this.querySelectorAll("[data-hold-runs]")) part.hidden = isOver;
    }
  });
})();
