/* What htmx does not show by itself: an answer that says no, and no answer at all.

   An answer with HX-Retarget names the place where it is to be shown, whatever its status. Any other refusal becomes
   a toast, because a button that does nothing is worse than one that says why. */
"use strict";

(() => {
  document.addEventListener("htmx:beforeSwap", (event) => {
    const request = event.detail.xhr;
    if (request.status >= 400 && request.getResponseHeader("HX-Retarget")) {
      event.detail.shouldSwap = true;
      event.detail.isError = false;
    } else if (request.status >= 400 && request.getResponseHeader("Content-Type")?.startsWith("application/json")) {
      event.detail.shouldSwap = false; // a sentence, not a form with its problems named
      event.detail.isError = true;
    }
  });

  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    if (status === 401) announce("You are signed out. Open this page in another tab and sign in; what you typed here stays.");
    else if (status >= 500) announce(`The server could not do this (${status}). What you typed is still here. Try again in a moment.`);
    else announce(`${messageOf(event.detail.xhr) ?? "This was refused."} (${status})`);
  });

  document.addEventListener("htmx:sendError", () => announce("No connection. What you typed is still here. Try again when you are back online."));
  document.addEventListener("htmx:timeout", () => announce("The server takes too long. What you typed is still here. Try again in a moment."));

  function messageOf(request) {
    try {
      return JSON.parse(request.responseText).error.message;
    } catch {
      return null;
    }
  }

  /* Only one at a time: the newest is the one that matters. */
  function announce(text) {
    const toast = document.createElement("div");
    toast.className = "toast";
    const words = document.createElement("span");
    words.textContent = text;
    const close = document.createElement("button");
    close.type = "button";
    close.className = "button";
    close.dataset.dismiss = "";
    close.textContent = "Close";
    toast.append(words, close);
    document.getElementById("announcements")?.replaceChildren(toast);
  }
})();
