/* One map of keys for every page. Single keys act only outside text fields, and not at all where the person
   switched them off; Esc and Ctrl+Enter always work.

   data-key="s"        on a button or link: the key presses it; on a text field: the key goes there;
                       on a summary: the key opens it and goes to its first field
   data-enter-submits  on a form: Enter outside a field, and Ctrl+Enter inside one, submit it

   This runs before the page is seen. A key that goes to a field does so at once; one that sends something waits until
   the other scripts are there, for without them it would load the page anew, under the hands of whoever types on. */
"use strict";

(() => {
  const TEXT_KINDS = new Set(["text", "search", "email", "url", "tel", "password", "number", "date", "time", "datetime-local", "month", "week"]);

  const waiting = [];
  let isReady = false;
  document.addEventListener("DOMContentLoaded", () => setTimeout(() => {
    isReady = true;
    for (const act of waiting) act();
  }));

  function whenReady(act) {
    if (isReady) act();
    else waiting.push(act);
  }

  function isTextField(element) {
    if (!(element instanceof HTMLElement)) return false;
    return element.isContentEditable || element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement
      || (element instanceof HTMLInputElement && TEXT_KINDS.has(element.type));
  }

  /* What Enter already presses by itself. */
  function takesEnter(element) {
    return element instanceof Element && element.closest("a[href], button, summary, dialog") !== null;
  }

  function isThere(element) {
    return element.checkVisibility({ visibilityProperty: true }) && !element.disabled && element.getAttribute("aria-disabled") !== "true";
  }

  function formToSubmit(target) {
    const own = target instanceof Element ? target.closest("form") : null;
    if (own) return own.matches("[data-enter-submits]") ? own : null;
    return [...document.querySelectorAll("form[data-enter-submits]")].find(isThere) ?? null;
  }

  function submit(event, target) {
    const form = formToSubmit(target);
    if (!form) return;
    event.preventDefault();
    if (event.repeat) return; // a key held down must not submit the next item too
    whenReady(() => form.requestSubmit(form.querySelector("button:not([type]), button[type=submit]")));
  }

  function leaveField(event, field) {
    event.preventDefault();
    field.blur();
    field.closest("[data-criterion]")?.focus({ preventScroll: true });
  }

  function press(event) {
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const target = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)].find(isThere);
    if (!target) return;
    event.preventDefault();
    if (event.repeat) return;
    if (isTextField(target)) {
      target.focus();
      if (target.setSelectionRange && target instanceof HTMLTextAreaElement) target.setSelectionRange(target.value.length, target.value.length);
    } else if (target.matches("summary")) {
      target.click();
      enterForm(target.parentElement);
    } else {
      whenReady(() => target.click());
    }
  }

  /* What is typed next is for the form that a key opened, and must not act as keys. */
  function enterForm(details) {
    if (details.open && !details.contains(document.activeElement)) details.querySelector("textarea, select")?.focus();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing) return;
    const inField = isTextField(event.target);
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !event.altKey) {
      if (!document.querySelector("dialog:modal")) submit(event, event.target);
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (inField) {
      if (event.key === "Escape") leaveField(event, event.target);
      return;
    }
    if (document.querySelector("dialog:modal") || document.body.dataset.singleKeys === "off") return;
    if (event.key === "Enter") {
      if (!takesEnter(event.target)) submit(event, event.target);
    } else {
      press(event);
    }
  });
})();
