/* <chosen-items> around a form whose lines can be chosen: says how many are, and lets the keyboard and Shift choose.

   [name=item]         the box of a line; j, k and the arrows move between them, Space chooses, Shift with the mouse a range
   data-choose-all     chooses every line of the page
   data-chosen-count   says how many are chosen; buttons beside it do nothing while none is */
"use strict";

customElements.define("chosen-items", class extends HTMLElement {
  connectedCallback() {
    this.boxes = [...this.querySelectorAll("[name=item]")];
    this.count = this.querySelector("[data-chosen-count]");
    this.buttons = [...this.querySelectorAll(".chosen button")];
    const all = this.querySelector("[data-choose-all]");
    all.hidden = false;
    this.all = all.querySelector("input");
    this.all.addEventListener("change", () => this.chooseAll());
    this.addEventListener("click", (event) => this.clicked(event));
    this.addEventListener("change", () => this.say());
    this.onKey = (event) => this.pressed(event);
    document.addEventListener("keydown", this.onKey);
    this.say();
  }

  disconnectedCallback() {
    document.removeEventListener("keydown", this.onKey);
  }

  chooseAll() {
    for (const box of this.boxes) box.checked = this.all.checked;
  }

  /* With Shift, everything from the box before becomes what this one is. */
  clicked(event) {
    const idle = event.target.closest("[aria-disabled=true]");
    if (idle) event.preventDefault();
    const place = this.boxes.indexOf(event.target);
    if (place < 0) return;
    if (event.shiftKey && this.last !== undefined) {
      const [from, to] = [this.last, place].sort((a, b) => a - b);
      for (const box of this.boxes.slice(from, to + 1)) box.checked = event.target.checked;
    }
    this.last = place;
  }

  say() {
    const chosen = this.boxes.filter((box) => box.checked).length;
    this.count.textContent = chosen ? `${chosen} chosen` : "None chosen";
    this.all.checked = chosen === this.boxes.length;
    this.all.indeterminate = chosen > 0 && chosen < this.boxes.length;
    for (const button of this.buttons) button.setAttribute("aria-disabled", String(!chosen));
  }

  pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog:modal")) return;
    if (document.body.dataset.singleKeys === "off" && !this.contains(event.target)) return;
    const isChoosing = this.boxes.includes(event.target);
    if (isChoosing && event.key === "Enter") event.preventDefault(); // it would press the first button below
    const step = { j: 1, k: -1, ...(isChoosing ? { ArrowDown: 1, ArrowUp: -1 } : {}) }[event.key];
    if (!step || event.target.closest?.("textarea, select, input:not([type=checkbox])")) return;
    event.preventDefault();
    const place = this.boxes.indexOf(event.target);
    const next = this.boxes[place < 0 ? 0 : place + step];
    next?.focus();
    next?.closest("tr").scrollIntoView({ block: "nearest" });
  }
});
