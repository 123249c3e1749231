/* The rubric editor's ease: without it, every button still works by itself.

   <rubric-order>  its lines can be dragged by their grip, and moved by Alt and the arrows
   data-open-key   which lines are open goes with every request, so that they stay open in the answer */
"use strict";

customElements.define("rubric-order", class extends HTMLElement {
  connectedCallback() {
    this.list = this.querySelector("ol");
    for (const grip of this.querySelectorAll("[data-grip]")) {
      grip.hidden = false;
      grip.addEventListener("pointerdown", (event) => this.take(event, grip));
    }
    this.addEventListener("keydown", (event) => this.pressed(event));
  }

  /* Alt with an arrow presses the line's own button, from wherever in the line one is. */
  pressed(event) {
    const word = { ArrowUp: "up", ArrowDown: "down" }[event.key];
    if (!word || !event.altKey || event.ctrlKey || event.metaKey) return;
    const button = event.target.closest("[data-place]")?.querySelector(`[data-move="${word}"]`);
    if (!button) return;
    event.preventDefault();
    if (button.getAttribute("aria-disabled") !== "true") button.click();
  }

  take(event, grip) {
    if (event.button !== 0) return;
    event.preventDefault();
    const line = grip.closest("[data-place]");
    const before = [...this.list.children];
    line.classList.add("is-dragged");
    const move = (moved) => this.move(line, moved.clientY);
    const drop = () => {
      document.removeEventListener("pointermove", move);
      document.removeEventListener("pointercancel", drop);
      line.classList.remove("is-dragged");
      if (before.some((one, place) => one !== this.list.children[place])) this.moved();
    };
    // Not captured by the grip: whatever is moved about in the page loses the pointer.
    document.addEventListener("pointermove", move);
    document.addEventListener("pointerup", drop, { once: true });
    document.addEventListener("pointercancel", drop, { once: true });
  }

  move(line, y) {
    for (const other of this.list.querySelectorAll("[data-place]")) {
      if (other === line) continue;
      const box = other.getBoundingClientRect();
      if (y < box.top || y > box.bottom) continue;
      const isBelow = Boolean(line.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_FOLLOWING);
      other[isBelow ? "after" : "before"](line);
      return;
    }
  }

  /* The order of the fields is the order of the criteria: saving the form says it all. */
  moved() {
    this.closest("form").requestSubmit();
  }
});

document.addEventListener("htmx:configRequest", (event) => {
  if (!event.target.closest("#editor")) return;
  const open = [...document.querySelectorAll("#editor [data-open-key][open]")].map((line) => line.dataset.openKey);
  event.detail.parameters.open = open;
});

/* A button that cannot do anything says so, and does nothing. */
document.addEventListener("click", (event) => {
  if (event.target.closest('#editor button[aria-disabled="true"]')) event.preventDefault();
});

/* The line's title follows its label while one types it. */
document.addEventListener("input", (event) => {
  if (!event.target.matches("#editor [name$='.label']:not([name*='.points.'], [name*='.options.'], [name*='.severities.'])")) return;
  event.target.closest("[data-place]").querySelector("[data-title]").textContent = event.target.value || "New criterion";
});
