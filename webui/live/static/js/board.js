/* <live-board data-stream="…">: renews itself whenever a conversation changes; j and k go to the next and the previous.
   <live-alerts> around a button: a sound and a notification when one more conversation needs a person, once asked for. */
"use strict";

(() => {
  const CHOICE = "hitl-live-alerts";
  const title = document.title;

  customElements.define("live-board", class extends HTMLElement {
    connectedCallback() {
      this.needing = this.count();
      this.source = new EventSource(this.dataset.stream);
      this.source.addEventListener("board", (event) => this.renew(JSON.parse(event.data)));
      this.closest("form, section")?.querySelector("select[name=whose]")?.addEventListener("change", (event) => event.target.form.requestSubmit());
    }

    disconnectedCallback() {
      this.source.close();
    }

    count() {
      return Number(this.querySelector(".count--need")?.textContent ?? 0);
    }

    renew({ html, needing }) {
      const focused = document.activeElement?.closest?.("live-board .talk")?.id;
      this.innerHTML = html; // drawn and escaped by the server, as the page itself
      if (this.dataset.current) this.querySelector(`#talk-${CSS.escape(this.dataset.current)}`)?.setAttribute("aria-current", "true");
      if (focused) document.getElementById(focused)?.focus();
      if (needing > this.needing) this.dispatchEvent(new CustomEvent("live:needed", { bubbles: true, detail: { needing } }));
      this.needing = needing;
      document.title = needing ? `(${needing}) ${title}` : title;
      for (const count of document.querySelectorAll(".bar__nav a[aria-current] .count--need")) count.textContent = String(needing || "");
    }
  });

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !["j", "k"].includes(event.key)) return;
    if (event.target.matches?.("input, textarea, select") || document.body.dataset.singleKeys === "off") return;
    const tiles = [...document.querySelectorAll("live-board .talk")];
    if (!tiles.length) return;
    const here = tiles.findIndex((tile) => tile === document.activeElement || (tile.getAttribute("aria-current") && !document.activeElement?.closest(".talk")));
    const next = tiles[here < 0 ? 0 : Math.min(tiles.length - 1, Math.max(0, here + (event.key === "j" ? 1 : -1)))];
    event.preventDefault();
    next.focus();
  });

  customElements.define("live-alerts", class extends HTMLElement {
    connectedCallback() {
      this.button = this.querySelector("button");
      this.button.hidden = false;
      this.button.addEventListener("click", () => this.toggle());
      document.addEventListener("live:needed", (event) => this.alert(event.detail.needing));
      this.show();
    }

    get isOn() {
      return localStorage.getItem(CHOICE) === "on";
    }

    async toggle() {
      localStorage.setItem(CHOICE, this.isOn ? "off" : "on");
      if (this.isOn && window.Notification?.permission === "default") await Notification.requestPermission();
      if (this.isOn) this.sound();
      this.show();
    }

    show() {
      this.button.setAttribute("aria-pressed", String(this.isOn));
      this.button.querySelector("span").textContent = this.isOn ? "You are told when you are needed" : "Tell me when I am needed";
    }

    alert(needing) {
      if (!this.isOn) return;
      this.sound();
      if (document.hidden && window.Notification?.permission === "granted") {
        new Notification(needing === 1 ? "A conversation needs you" : `${needing} conversations need you`, { tag: "hitl-live" });
      }
    }

    /* Two short tones, made here: no file to load. Browsers allow them only after the person has touched the page. */
    sound() {
      this.audio ??= new AudioContext();
      for (const [index, pitch] of [660, 880].entries()) {
        const at = this.audio.currentTime + index * 0.16;
        const tone = this.audio.createOscillator();
        const volume = this.audio.createGain();
        tone.frequency.value = pitch;
        volume.gain.setValueAtTime(0.08, at);
        volume.gain.exponentialRampToValueAtTime(0.001, at + 0.14);
        tone.connect(volume).connect(this.audio.destination);
        tone.start(at);
        tone.stop(at + 0.15);
      }
    }
  });
})();
