/* The customer's chat of the demo. What was said comes from the service, with a token for this one conversation; what the
   customer writes goes to the application, which asks the gateway for the answer. */
"use strict";

(async () => {
  const said = document.getElementById("said");
  const waits = document.getElementById("waits");
  const { conversation, token, service, board } = await (await fetch("/begin", { method: "POST" })).json();
  document.getElementById("supervise").href = board;

  const events = new EventSource(`${service}/api/v1/customer/events?token=${encodeURIComponent(token)}`);
  events.addEventListener("message", (event) => {
    const { message, by, is_partial } = JSON.parse(event.data);
    add(by, message.content + (is_partial ? " …" : ""));
  });

  document.getElementById("ask").addEventListener("submit", async (event) => {
    event.preventDefault();
    const field = document.getElementById("text");
    const text = field.value;
    field.value = "";
    waits.hidden = false;
    const answer = await fetch("/say", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ conversation, text }) });
    waits.hidden = true;
    if (!answer.ok) add("note", (await answer.json()).message);
  });

  function add(kind, text) {
    const line = document.createElement("li");
    line.className = kind;
    line.textContent = text;
    said.append(line);
    line.scrollIntoView({ block: "end" });
  }
})();
