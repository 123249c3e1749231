/* Choosing passages of <marked-words>, by mouse, finger or keyboard; whichever, a menu then asks for the label.

   `m` goes into the text of the current criterion. There the arrows move, with Ctrl or Alt by words, with Shift they
   select; Enter on a mark changes it, Delete removes it, Esc leaves. */
"use strict";

(() => {
  const SETTLED_MS = 250; // a finger's selection is done when it rests so long
  const SAID_MS = 400;
  const STEPS = {
    ArrowLeft: ["left", "character"], ArrowRight: ["right", "character"], ArrowUp: ["backward", "line"],
    ArrowDown: ["forward", "line"], Home: ["backward", "lineboundary"], End: ["forward", "lineboundary"],
  };
  let menu = null;
  let markingIn = null; // the text that takes the keys
  let startedBy = null; // the criterion it was entered for
  let isPressed = false;
  let settling;
  let saying;

  function isMenuOpen() {
    if (menu && !menu.isOpen) menu = null;
    return menu !== null;
  }

  function viewOf(node) {
    const element = node instanceof Element ? node : node?.parentElement;
    return element?.closest(".words__text")?.closest("marked-words") ?? null;
  }

  /* The criterion that a new mark is for: the current one if it is about this text, else the first. */
  function ownerFor(view) {
    const owners = window.hitlMarkOwners(view);
    return owners.find((owner) => owner === startedBy) ?? owners.find((owner) => owner.matches(".is-current")) ?? owners[0];
  }

  function open(view, passage, mark = null) {
    const owner = mark?.owner ?? ownerFor(view);
    if (!owner) return;
    if (isMenuOpen() && menu.view !== view) menu.close();
    if (!isMenuOpen()) menu = new window.HitlMarkMenu(view, mark ? [owner] : window.hitlMarkOwners(view));
    menu.show(passage, isMenuOpen() && menu.owner && !mark ? menu.owner : owner, mark);
    owner.closest("criteria-keys")?.makeCurrent(menu.owner);
  }

  function close() {
    if (isMenuOpen()) menu.close();
    menu = null;
  }

  // --- Mouse and finger -----------------------------------------------------------------------------------------------

  function look() {
    clearTimeout(settling);
    if (isPressed || (isMenuOpen() && menu.isChoosing)) return;
    const selection = getSelection();
    const view = viewOf(selection.anchorNode) ?? viewOf(selection.focusNode);
    const passage = view?.selected();
    if (passage) open(view, passage);
    else if (isMenuOpen() && !menu.mark && (selection.isCollapsed || view)) close();
  }

  document.addEventListener("pointerdown", (event) => {
    isPressed = event.pointerType === "mouse";
    if (isMenuOpen() && !menu.element.contains(event.target)) close();
  });
  for (const name of ["pointerup", "pointercancel"]) document.addEventListener(name, () => { isPressed = false; });

  document.addEventListener("selectionchange", () => {
    drawCaret();
    clearTimeout(settling);
    settling = setTimeout(look, SETTLED_MS);
  });

  /* A press on a mark opens it. */
  document.addEventListener("click", (event) => {
    const view = viewOf(event.target);
    if (!view || !(event.detail > 0)) return;
    setTimeout(() => {
      const passage = view.selected();
      if (passage) { look(); return; }
      const marked = event.target.closest?.("mark.marked");
      const numbers = marked?.dataset.numbers?.split(" ").map(Number) ?? [];
      const here = view.marks.filter((mark) => numbers.includes(mark.number)).sort((a, b) => (a.end - a.start) - (b.end - b.start));
      if (here.length) open(view, here[0], here[0]);
    });
  });

  document.addEventListener("words:kept", (event) => {
    const view = event.target;
    close();
    clearTimeout(settling);
    if (markingIn === view) {
      view.body.focus({ preventScroll: true });
      view.select(Math.min(event.detail.end, view.text.length));
    } else getSelection().removeAllRanges();
  });

  document.addEventListener("words:shown", () => {
    close();
    stop(false);
  });

  document.addEventListener("words:left", (event) => {
    close();
    if (markingIn === event.target) {
      event.target.body.focus({ preventScroll: true });
      getSelection().collapseToEnd();
    } else getSelection().removeAllRanges();
  });

  // --- Keyboard -------------------------------------------------------------------------------------------------------

  function start(owner) {
    const view = owner.view;
    window.hitlShowFormatted(false);
    startedBy = owner;
    owner.closest("criteria-keys")?.makeCurrent(owner);
    const passage = view.selected();
    markingIn = view;
    view.classList.add("is-marking");
    view.body.focus({ preventScroll: true });
    if (!passage) view.select(view.lastPlace ?? 0);
    const place = passage?.start ?? view.lastPlace ?? 0;
    const range = view.range(place, Math.min(place + 1, view.text.length));
    (range.startContainer.parentElement ?? view).scrollIntoView({ block: "nearest" });
    drawCaret();
    owner.say("Marking. Arrows move, with Shift they select. Escape leaves.");
  }

  function stop(focusesOwner) {
    const view = markingIn;
    if (!view) return;
    view.lastPlace = view.caret ?? view.lastPlace;
    markingIn = null;
    view.classList.remove("is-marking");
    view.querySelector(":scope > .words__caret")?.remove();
    close();
    if (!focusesOwner) return;
    getSelection().removeAllRanges();
    startedBy?.focus({ preventScroll: true });
  }

  function drawCaret() {
    const view = markingIn;
    if (!view?.isConnected) { markingIn = null; return; }
    let caret = view.querySelector(":scope > .words__caret");
    const place = getSelection().isCollapsed ? view.caret : null;
    if (place === null) { caret?.remove(); return; }
    if (!caret) {
      caret = document.createElement("span");
      caret.className = "words__caret";
      view.append(caret);
    }
    const box = caretBox(view, place);
    const own = view.getBoundingClientRect();
    caret.style.left = `${box.x - own.left}px`;
    caret.style.top = `${box.top - own.top}px`;
    caret.style.height = `${box.height}px`;
    view.lastPlace = place;
    say(view, place);
  }

  /* The edge of a character; a collapsed range has no box of its own everywhere. */
  function caretBox(view, place) {
    const own = getSelection().getRangeAt(0).getClientRects()[0];
    if (own) return { x: own.left, top: own.top, height: own.height };
    const box = view.range(Math.max(0, place - 1), Math.max(1, place)).getBoundingClientRect();
    return { x: place ? box.right : box.left, top: box.top, height: box.height };
  }

  /* For those who do not see the caret: the word at it, and the marks it is in. */
  function say(view, place) {
    clearTimeout(saying);
    saying = setTimeout(() => {
      const word = /^\s*\S*/.exec(view.text.slice(place, place + 60))[0].trim();
      const marks = view.marksAt(place).map((mark) => `in mark ${mark.number}, ${mark.words}`);
      ownerFor(view)?.say([word || "End of a line", ...marks].join("; "));
    }, SAID_MS);
  }

  function move(event) {
    const [direction, by] = STEPS[event.key];
    const selection = getSelection();
    const before = [selection.anchorNode, selection.anchorOffset, selection.focusNode, selection.focusOffset];
    const isFar = event.ctrlKey || event.altKey;
    const alter = event.shiftKey ? "extend" : "move";
    const size = { character: "word", lineboundary: "documentboundary" }[by];
    selection.modify(alter, direction, isFar && size ? size : by);
    if (viewOf(selection.focusNode) === markingIn) return;
    // Out of the text: as far as it goes, or where it was.
    const end = { right: markingIn.text.length, forward: markingIn.text.length }[direction] ?? 0;
    if (isFar || by === "line" || by === "lineboundary") {
      const point = markingIn.point(end);
      if (event.shiftKey) selection.setBaseAndExtent(before[0], before[1], ...point);
      else selection.setBaseAndExtent(...point, ...point);
    } else selection.setBaseAndExtent(...before);
  }

  function keepCaretInView() {
    const caret = markingIn?.querySelector(":scope > .words__caret");
    const node = caret ?? getSelection().focusNode?.parentElement;
    if (caret) node.scrollIntoView({ block: "nearest" });
    if (!caret && markingIn) {
      const selection = getSelection();
      const range = new Range();
      range.setStart(selection.focusNode, selection.focusOffset);
      const box = range.getClientRects()[0];
      const pane = markingIn.closest(".pane, .compare");
      const frame = pane?.getBoundingClientRect();
      if (box && frame && box.bottom > frame.bottom) pane.scrollTop += box.bottom - frame.bottom + 24;
      if (box && frame && box.top < frame.top) pane.scrollTop -= frame.top - box.top + 24;
    }
  }

  function isInField(target) {
    return target instanceof Element && target.closest("textarea, select, [contenteditable], input:not([type=radio], [type=checkbox])") !== null;
  }

  function areSingleKeysOff() {
    return document.body.dataset.singleKeys === "off" && !markingIn;
  }

  /* Returns whether the key was ours. */
  function pressedInMenu(event) {
    const isOnButton = event.target.closest?.(".markmenu button") ?? null;
    if (event.key === "Escape") menu.leave();
    else if (event.key === "Enter") {
      if (isOnButton) return false; // which presses it
      menu.keep();
    } else if (/^[1-9]$/.test(event.key) && !areSingleKeysOff()) menu.number(Number(event.key));
    else if (["Delete", "Backspace"].includes(event.key) && menu.mark) menu.remove();
    else return false;
    return true;
  }

  function pressedInText(event) {
    const here = markingIn.caret === null ? [] : markingIn.marksAt(markingIn.caret);
    if (event.key in STEPS) {
      if (isMenuOpen() && menu.mark) close();
      move(event);
      drawCaret();
      keepCaretInView();
    } else if (event.key === "Escape") stop(true);
    else if (event.key === "Enter") { if (here.length) open(markingIn, here[0], here[0]); else look(); } else if (["Delete", "Backspace"].includes(event.key)) here[0]?.owner.remove(here[0]);
    else return /^[0-9]$/.test(event.key) || event.key === "m";
    return true;
  }

  /* In the preview of a rubric, only once one is in it. */
  function hearsKeys(owner, target) {
    const preview = owner.closest("[data-preview]");
    return !preview || preview.contains(target);
  }

  function startFromKey(event) {
    if (event.key.toLowerCase() !== "m" || event.shiftKey || areSingleKeysOff() || event.repeat) return false;
    if (document.querySelector('[data-candidate="M"]')) return false; // there it is the name of a response
    const owners = [...document.querySelectorAll("passage-marks")].filter((one) => one.marks && hearsKeys(one, event.target));
    const owner = owners.find((one) => one.matches(".is-current")) ?? owners[0];
    if (owner) start(owner);
    return Boolean(owner);
  }

  document.addEventListener("marks:start", (event) => start(event.target));
  document.addEventListener("focusout", (event) => {
    if (!markingIn || !viewOf(event.target)) return;
    setTimeout(() => { if (markingIn && !markingIn.contains(document.activeElement)) stop(false); });
  });

  // Before the keys of the page: while a passage is being marked they belong to it.
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.metaKey || isInField(event.target) || document.querySelector("dialog:modal")) return;
    const hasModifier = event.ctrlKey || event.altKey;
    const isInText = markingIn && viewOf(event.target) === markingIn;
    const isOurs = (isMenuOpen() && !hasModifier && pressedInMenu(event))
      || (isInText && (!hasModifier || event.key in STEPS) && pressedInText(event))
      || (!markingIn && !hasModifier && startFromKey(event));
    if (isOurs) event.preventDefault(); // which is how the page's other keys know
  }, { capture: true });
})();
