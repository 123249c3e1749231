/* <criteria-keys>: number keys answer the current criterion, arrows or j and k move to the next or the one before.

   data-criterion  on each criterion; the current one has the class is-current
   data-choose     on its inputs: the number that chooses them, 0 for "cannot judge"
   data-says       on its inputs: what the choice means, written into data-says-here */
"use strict";

customElements.define("criteria-keys", class extends HTMLElement {
  connectedCallback() {
    this.onKey = (event) => this.pressed(event);
    document.addEventListener("keydown", this.onKey);
    this.addEventListener("focusin", (event) => this.makeCurrent(event.target.closest("[data-criterion]")));
    this.addEventListener("click", (event) => this.makeCurrent(event.target.closest("[data-criterion]")));
    this.addEventListener("change", (event) => this.say(event.target));
    if (this.isPreview) return; // where somebody writes a rubric, its preview takes neither the focus nor their keys
    const problem = this.querySelector("[data-criterion].has-problem");
    const start = problem ?? this.criteria[0];
    this.makeCurrent(start);
    // Swapped in: htmx would put the focus back where it was in the item before this one. On a phone a new item is
    // read from its top, so only a problem is scrolled to.
    if (document.readyState === "complete") setTimeout(() => (problem ? this.goTo(problem) : start?.focus({ preventScroll: true })));
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.onKey);
  }

  get isPreview() {
    return this.closest("[data-preview]") !== null;
  }

  get criteria() {
    return [...this.querySelectorAll("[data-criterion]")];
  }

  get current() {
    return this.querySelector("[data-criterion].is-current");
  }

  makeCurrent(criterion) {
    if (!criterion || criterion === this.current) return;
    this.current?.classList.remove("is-current");
    criterion.classList.add("is-current");
  }

  pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.body.dataset.singleKeys === "off" || document.querySelector("dialog:modal")) return;
    if (this.takesKeys(event.target) || (this.isPreview && !this.contains(event.target))) return;
    const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
    if (step && this.mayMove(event)) this.move(event, step);
    else if (/^[0-9]$/.test(event.key)) this.choose(event, event.key);
  }

  /* A field keeps its keys; so do menus and the like outside the criteria. */
  takesKeys(target) {
    return target instanceof Element && target.closest("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox], [type=submit])") !== null;
  }

  /* In the conversation the arrows scroll, as everywhere; j and k move from there too. */
  mayMove(event) {
    if (!event.key.startsWith("Arrow")) return true;
    if (event.target.matches?.(".pane[tabindex]")) return false;
    return event.target === document.body || event.target.closest("form")?.contains(this);
  }

  move(event, step) {
    event.preventDefault(); // a radio with focus would change its answer instead
    const criteria = this.criteria;
    const next = criteria[criteria.indexOf(this.current) + step];
    if (next) this.goTo(next);
  }

  goTo(criterion) {
    this.makeCurrent(criterion);
    criterion?.focus({ preventScroll: true });
    criterion?.scrollIntoView({ block: "nearest" });
  }

  choose(event, number) {
    const input = this.inputFor(number);
    if (!input) return;
    event.preventDefault();
    if (!event.repeat) input.click();
  }

  /* Responses are put in order by letters, so the numbers there are free for the reasons that follow. */
  inputFor(number) {
    const current = this.current;
    const own = current?.querySelector(`[data-choose="${number}"]`);
    if (own || !["ranking", "pairwise"].includes(current?.dataset.kind)) return own;
    return this.criteria[this.criteria.indexOf(current) + 1]?.querySelector(`[data-choose="${number}"]`);
  }

  say(input) {
    const place = input.closest("[data-criterion]")?.querySelector("[data-says-here]");
    if (!place || !input.checked) return;
    place.replaceChildren();
    if (input.value !== "unsure") {
      const point = document.createElement("b");
      point.textContent = input.value;
      place.append(point, " ");
    }
    place.append(input.dataset.says ?? "");
  }
});
