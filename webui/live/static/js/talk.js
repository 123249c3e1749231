/* <live-talk data-stream data-after data-presence>: a conversation as it goes on.

   New lines are added at the end; the desk is renewed only when it is about something else, so that what one types stays,
   and not while the answer to what one did there is on its way: it brings the same desk, and where to write.
   Says to the server that the page is open, how far it was read, and whether one writes: colleagues see that. */
"use strict";

customElements.define("live-talk", class extends HTMLElement {
  static BEAT_MS = 15000;
  static TYPING_MS = 4000;
  static AGAIN_MS = 5000;

  connectedCallback() {
    this.newest = Number(this.dataset.after);
    this.piece = (name) => this.querySelector(`[data-${name}]`);
    this.connect();
    this.beat = setInterval(() => this.tell(), this.constructor.BEAT_MS);
    this.addEventListener("input", (event) => { if (event.target.matches("textarea")) this.types(); });
    this.addEventListener("click", (event) => this.openForm(event));
    this.addEventListener("click", (event) => this.useReply(event));
    this.actsUnderWay = 0;
    document.addEventListener("htmx:beforeSend", (event) => { if (event.detail.target.id === "desk") this.actsUnderWay += 1; });
    document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.target.id === "desk") this.acted(); });
    document.addEventListener("htmx:afterRequest", (event) => { if (event.detail.successful && event.detail.elt.matches("[data-clears]")) event.detail.elt.reset(); });
    document.addEventListener("visibilitychange", () => this.tell());
    addEventListener("pagehide", () => navigator.sendBeacon(this.dataset.presence, this.form({ leaves: "1" })));
    this.tell();
  }

  disconnectedCallback() {
    clearInterval(this.beat);
    this.source?.close();
  }

  connect() {
    const url = new URL(this.dataset.stream, location.href);
    url.searchParams.set("after", String(this.newest));
    this.source = new EventSource(url);
    this.source.addEventListener("lines", (event) => this.addLines(JSON.parse(event.data), Number(event.lastEventId)));
    this.source.addEventListener("desk", (event) => this.renewDesk(JSON.parse(event.data)));
    this.source.addEventListener("people", (event) => { this.piece("people").innerHTML = JSON.parse(event.data).html; });
    this.source.addEventListener("saying", (event) => this.say(JSON.parse(event.data).text));
    this.source.addEventListener("open", () => { this.piece("offline").hidden = true; });
    this.source.addEventListener("error", () => this.lost());
  }

  /* The browser connects again by itself, unless the server said no: then it is asked why. */
  async lost() {
    this.piece("offline").hidden = false;
    if (this.source.readyState !== EventSource.CLOSED) return;
    const status = await this.tell();
    if (status >= 400 && status < 500) this.piece("offline-words").textContent = "You are signed out, or may not watch this any more. What you typed stays here.";
    else setTimeout(() => this.connect(), this.constructor.AGAIN_MS);
  }

  /* A form that opens takes the focus at once: what is typed next is for it, and must not act as keys. */
  openForm(event) {
    const summary = event.target.closest(".aside-form > summary");
    if (!summary) return;
    event.preventDefault();
    const form = summary.parentElement;
    for (const other of this.querySelectorAll(".aside-form[open]")) if (other !== form) other.open = false;
    form.open = !form.open;
    if (form.open) form.querySelector("textarea, select, .aside-form__box button, .aside-form__box a")?.focus();
  }

  addLines({ html, said }, number) {
    if (number <= this.newest) return;
    this.newest = number;
    this.piece("lines").insertAdjacentHTML("beforeend", html); // drawn and escaped by the server, as the page itself
    if (said) this.say("");
    this.tell();
  }

  acted() {
    this.actsUnderWay -= 1;
    if (this.actsUnderWay || !this.heldDesk) return;
    this.renewDesk(this.heldDesk);
    this.heldDesk = null;
  }

  renewDesk(renewed) {
    if (this.actsUnderWay) {
      this.heldDesk = renewed;
      return;
    }
    const { version, number, html } = renewed;
    const desk = this.querySelector("#desk");
    if (desk.dataset.version === version || number < Number(desk.dataset.number)) return; // it may have been long on its way
    const wasWriting = desk.contains(document.activeElement) && document.activeElement.matches("textarea");
    const typed = [...desk.querySelectorAll("textarea:not([disabled])")].filter((field) => field.value.trim() && field.value !== field.defaultValue);
    desk.outerHTML = html; // drawn and escaped by the server, as the page itself
    const fresh = this.querySelector("#desk");
    window.htmx?.process(fresh);
    if (typed.length || wasWriting) this.keep(fresh, typed.map((field) => field.value).join("\n\n"), wasWriting);
  }

  /* The desk is about something else now. What was typed stays, and whoever was writing goes on in a field: else their
     next letters would act as keys, and send or take over. */
  keep(desk, text, wasWriting) {
    let box = desk.querySelector("#message");
    if (box && !box.value.trim()) {
      box.value = text;
    } else {
      const words = document.createElement("p");
      words.className = "small quiet";
      words.textContent = "This changed while you wrote. Your text was not sent:";
      box = document.createElement("textarea");
      box.className = "input desk__kept";
      box.readOnly = true;
      box.value = text;
      box.setAttribute("aria-label", "What you wrote");
      desk.prepend(words, box);
    }
    if (wasWriting) box.focus();
  }

  say(text) {
    const saying = this.piece("saying");
    saying.hidden = !text;
    this.piece("saying-text").textContent = text;
  }

  useReply(event) {
    const reply = event.target.closest("[data-reply]");
    const box = this.querySelector("#message");
    if (!reply || !box) return;
    box.setRangeText(reply.dataset.text, box.selectionStart, box.selectionEnd, "end");
    box.form.elements.reply.value = reply.dataset.reply;
    reply.closest("details").open = false;
    box.focus();
  }

  types() {
    const now = Date.now();
    if (now - (this.typedAt ?? 0) > this.constructor.TYPING_MS) this.tell(true);
    this.typedAt = now;
    clearTimeout(this.stops);
    this.stops = setTimeout(() => this.tell(), this.constructor.TYPING_MS * 1.5);
  }

  form(values) {
    const form = new FormData();
    form.set("csrf_token", document.querySelector("meta[name=csrf-token]").content);
    for (const [name, value] of Object.entries(values)) form.set(name, value);
    return form;
  }

  /* Returns the status of the answer; 0 without one, and then the next beat says it. */
  async tell(typing = false) {
    if (document.hidden) return 0;
    const values = { read_to: String(this.newest), ...(typing ? { typing: "1" } : {}) };
    try {
      return (await fetch(this.dataset.presence, { method: "POST", body: this.form(values), redirect: "manual" })).status;
    } catch {
      return 0;
    }
  }
});
