/* hitlDragLetters(strip, drop, signal): drags the letters ([data-token]) of a strip with mouse, pen or finger.

   drop(letter, target) is told where it was let go: {letter, side: "before" | "onto" | "after"} of a letter that has
   a place, "end" where none has one, or nothing well outside the strip. What moved too little was a click. */
"use strict";

window.hitlDragLetters = (strip, drop, signal) => {
  const BEGINS_PX = 6;
  const OUTSIDE_PX = 44;
  const EDGE = 0.28; // this share of a letter at either side means before or after it; the middle means equal
  let drag = null;

  function others() {
    return [...strip.querySelectorAll("[data-token].is-set")].filter((token) => token !== drag.token);
  }

  function targetAt(x, y) {
    const box = strip.getBoundingClientRect();
    if (y < box.top - OUTSIDE_PX || y > box.bottom + OUTSIDE_PX || x < box.left - OUTSIDE_PX || x > box.right + OUTSIDE_PX) return null;
    const tokens = others().map((token) => ({ token, box: token.getBoundingClientRect() }));
    if (!tokens.length) return "end";
    const distance = ({ box: one }) => Math.abs(y - (one.top + one.bottom) / 2) * 4 + Math.max(one.left - x, x - one.right, 0);
    const { token, box: near } = tokens.reduce((best, one) => (distance(one) < distance(best) ? one : best));
    const share = (x - near.left) / near.width;
    return { token, letter: token.dataset.token, side: share < EDGE ? "before" : share > 1 - EDGE ? "after" : "onto" };
  }

  function mark(target) {
    for (const token of strip.querySelectorAll("[data-token]")) {
      for (const side of ["before", "onto", "after"]) token.classList.toggle(`is-${side}`, target?.token === token && target.side === side);
    }
    drag?.token.classList.toggle("is-leaving", !target);
  }

  function end(isDropped, event) {
    if (!drag) return;
    const { token, isMoving } = drag;
    const target = isMoving && isDropped ? targetAt(event.clientX, event.clientY) : null;
    mark({});
    token.style.translate = "";
    token.classList.remove("is-dragged", "is-leaving");
    drag = null;
    if (!isMoving) return;
    strip.addEventListener("click", swallow, { capture: true, once: true });
    setTimeout(() => strip.removeEventListener("click", swallow, { capture: true }));
    if (isDropped) drop(token.dataset.token, target);
  }

  function swallow(event) {
    event.stopImmediatePropagation();
    event.preventDefault();
  }

  strip.addEventListener("pointerdown", (event) => {
    const token = event.target.closest("[data-token]");
    if (!token || event.button || !event.isPrimary) return;
    drag = { token, x: event.clientX, y: event.clientY, isMoving: false };
    token.setPointerCapture(event.pointerId);
  }, { signal });
  strip.addEventListener("pointermove", (event) => {
    if (!drag || !event.isPrimary) return;
    const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
    if (!drag.isMoving && Math.hypot(x, y) < BEGINS_PX) return;
    drag.isMoving = true;
    drag.token.classList.add("is-dragged");
    drag.token.style.translate = `${x}px ${y}px`;
    mark(targetAt(event.clientX, event.clientY));
  }, { signal });
  strip.addEventListener("pointerup", (event) => end(true, event), { signal });
  strip.addEventListener("pointercancel", (event) => end(false, event), { signal });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && drag?.isMoving) end(false, event);
  }, { signal });
};
