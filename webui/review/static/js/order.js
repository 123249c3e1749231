/* What the two ways of putting responses in order share: letters choose, Enter waits until nothing is missing, and
   each response says in its head how it stands.

   data-required        the order must be given
   data-candidate       each response, by its letter
   data-place-of        the button in its head; shown by the script
   data-order-status    what is missing, beside Submit
   data-order-said      read out after each change

   A kind of order says: read() from the form, letter(a), command(key), missing(), inWords(), labelOf(a). */
"use strict";

window.HitlOrder = class extends HTMLElement {
  connectedCallback() {
    this.form = this.closest("form");
    this.field = this.querySelector(`[data-kind="${this.dataset.order}"]`);
    if (!this.form || !this.field) return;
    this.letters = [...this.querySelectorAll("[data-candidate]")].map((candidate) => candidate.dataset.candidate);
    this.status = this.form.querySelector("[data-order-status]");
    this.button = this.form.querySelector(".actions .button--main");
    for (const part of this.querySelectorAll("[data-place-of], [data-scripted]")) part.hidden = false;
    this.listen();
    this.keepAbove();
    this.read();
    this.show();
  }

  disconnectedCallback() {
    this.listeners?.abort();
    this.sizes?.disconnect();
  }

  listen() {
    this.listeners = new AbortController();
    const on = (target, name, act, more = {}) => target.addEventListener(name, act, { signal: this.listeners.signal, ...more });
    on(document, "keydown", (event) => this.pressed(event));
    on(document, "submit", (event) => this.beforeSubmit(event), { capture: true });
    on(this.field, "change", (event) => this.answered(event));
    on(this.form, "draft:filled", () => { this.read(); this.show(); });
    on(this, "click", (event) => {
      const place = event.target.closest("[data-place-of]");
      if (!place) return;
      this.letter(place.dataset.placeOf, true);
      this.leave(event);
    });
  }

  /* On a phone the order stays in view above the actions, whose height only the browser knows. */
  keepAbove() {
    const actions = this.form.querySelector(".actions");
    const bar = this.form.closest(".work__item")?.querySelector(".workbar");
    this.sizes = new ResizeObserver(() => {
      this.style.setProperty("--actions-size", `${actions.offsetHeight}px`);
      this.style.setProperty("--workbar-size", `${bar?.offsetHeight ?? 0}px`);
    });
    for (const part of [actions, bar]) if (part) this.sizes.observe(part);
  }

  pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    if (document.body.dataset.singleKeys === "off" || document.querySelector("dialog:modal")) return;
    if (event.target.closest?.("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox])")) return;
    const letter = event.key.toUpperCase();
    if (this.letters.includes(letter)) this.letter(letter);
    else if (!this.command(event.key.length === 1 ? event.key.toLowerCase() : event.key, event)) return;
    event.preventDefault();
  }

  beforeSubmit(event) {
    if (event.target !== this.form || !this.missing()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    this.field.focus({ preventScroll: true });
    this.field.scrollIntoView({ block: "nearest" });
    this.announce(`Not submitted. ${this.missing()}.`);
  }

  /* After a press with mouse or finger the focus goes where Enter submits; with the keyboard it stays. */
  leave(event) {
    if (event.detail) this.field.focus({ preventScroll: true });
  }

  answered(event) {
    const isRestored = Boolean(event.detail?.restored); // by the draft, field by field
    this.read(isRestored ? undefined : event.target);
    this.show();
    if (!isRestored) this.say();
  }

  /* Tell the draft and whoever listens that the form has changed. */
  changed() {
    this.field.dispatchEvent(new Event("input", { bubbles: true }));
    this.show();
    this.say();
  }

  show() {
    const missing = this.missing();
    if (this.status) this.status.textContent = missing;
    this.button?.toggleAttribute("data-waits", Boolean(missing));
    if (missing) this.button?.setAttribute("aria-disabled", "true");
    else this.button?.removeAttribute("aria-disabled");
    for (const candidate of this.querySelectorAll("[data-candidate]")) this.showIn(candidate);
  }

  showIn(candidate) {
    const letter = candidate.dataset.candidate;
    const button = candidate.querySelector("[data-place-of]");
    const { words, name, isSet, isFirst } = this.labelOf(letter);
    button.textContent = words;
    button.setAttribute("aria-label", name);
    button.classList.toggle("is-set", isSet);
    candidate.classList.toggle("is-first", isFirst);
  }

  say() {
    this.announce(this.inWords());
  }

  announce(words) {
    const place = this.querySelector("[data-order-said]");
    if (place) place.textContent = place.textContent === words ? `${words}\u00a0` : words;
  }
};
