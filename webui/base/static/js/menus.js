/* Menus close on Esc and on a click elsewhere; dialogs open and close; toasts go when dismissed.

   <button data-opens="dialog-id">   opens a <dialog> over the page; a link does so instead of leading away
   <button data-closes>              closes the dialog it is in
   <button data-dismiss>             removes the toast or notice it is in */
"use strict";

document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
  const opener = event.target.closest("[data-opens]");
  const dialog = opener && document.getElementById(opener.dataset.opens);
  if (dialog && !(event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    dialog.showModal();
  }
  event.target.closest("[data-closes]")?.closest("dialog")?.close();
  event.target.closest("[data-dismiss]")?.closest(".toast, .notice")?.remove();
  if (event.target instanceof HTMLDialogElement && isOutside(event.target, event)) event.target.close();
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary")?.focus();
  }
});

/* The veil of a dialog belongs to the dialog, so a click on it is told by its place. */
function isOutside(dialog, event) {
  const box = dialog.getBoundingClientRect();
  const isClick = event.detail > 0; // Enter on a button inside has no place at all
  return isClick && (event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom);
}
