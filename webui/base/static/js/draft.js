/* <draft-status> inside a form: keeps what one types, on the server as it goes and on this device meanwhile.

   data-draft-url      PUT the form's fields there, with `number`: the number of the draft this page has seen
   data-draft-number   that number; it rises with each save
   data-draft-words    where the state is said: Saving…, Saved, Kept on this device, Changed in another tab

   200 {"number": 5, "saved_at": "…"}
   409 {"error": {"code": "stale_draft", …}, "draft": {"number": 7, "saved_at": "…", "fields": {"comment": ["…"]}}}

   "Saved" is said only after the server said so. Until then a copy lies in localStorage under the draft's address,
   which no other person's page has. */
"use strict";

(() => {
  const WAIT_MS = 400;
  const RETRY_MS = [1000, 2000, 4000, 8000, 15000, 30000];
  const SUBMIT_WAIT_MS = 3000;
  const KEEP_DAYS = 14;
  const PREFIX = "hitl-draft:";
  const NOT_PART_OF_DRAFT = new Set(["csrf_token", "number"]);

  function fieldsOf(form) {
    const fields = {};
    for (const [name, value] of new FormData(form)) {
      if (typeof value === "string" && !NOT_PART_OF_DRAFT.has(name)) (fields[name] ??= []).push(value);
    }
    return fields;
  }

  function fill(form, fields) {
    for (const input of form.elements) {
      if (!input.name || NOT_PART_OF_DRAFT.has(input.name) || input.type === "hidden" || input.type === "submit" || input.type === "button") continue;
      const values = [fields[input.name] ?? []].flat().map(String);
      if (input.type === "radio" || input.type === "checkbox") input.checked = values.includes(input.value);
      else input.value = values[0] ?? "";
      if (input.type !== "radio" || input.checked) {
        input.dispatchEvent(new CustomEvent("input", { bubbles: true, detail: { restored: true } }));
        input.dispatchEvent(new CustomEvent("change", { bubbles: true, detail: { restored: true } }));
      }
    }
    form.dispatchEvent(new CustomEvent("draft:filled"));
  }

  /* A device may have no room or forbid storing: then there is no copy, and the words say so. */
  const device = {
    read(url) {
      try { return JSON.parse(localStorage.getItem(PREFIX + url)); } catch { return null; }
    },
    keep(url, copy) {
      try { localStorage.setItem(PREFIX + url, JSON.stringify(copy)); return true; } catch { return false; }
    },
    drop(url) {
      try { localStorage.removeItem(PREFIX + url); } catch { /* nothing was kept */ }
    },
    dropOld() {
      try {
        const oldest = Date.now() - KEEP_DAYS * 86400000;
        for (const key of Object.keys(localStorage)) {
          if (key.startsWith(PREFIX) && !(JSON.parse(localStorage.getItem(key))?.at > oldest)) localStorage.removeItem(key);
        }
      } catch { /* nothing was kept */ }
    },
  };

  customElements.define("draft-status", class extends HTMLElement {
    connectedCallback() {
      this.form = this.closest("form");
      this.url = this.dataset.draftUrl;
      if (!this.form || !this.url) return;
      this.number = Number(this.dataset.draftNumber || 0);
      this.wordsPlace = this.querySelector("[data-draft-words]");
      this.conflict = this.querySelector("[data-draft-conflict]");
      this.isDirty = false;
      this.isDone = false; // submitted: nothing is saved any more
      this.isConflicted = false;
      this.saving = null;
      this.failures = 0;
      this.listen();
      device.dropOld();
      this.restoreFromDevice();
    }

    disconnectedCallback() {
      this.leave();
      clearTimeout(this.timer);
      this.listeners?.abort();
    }

    listen() {
      this.listeners = new AbortController();
      const on = (target, name, act, more = {}) => target.addEventListener(name, act, { signal: this.listeners.signal, ...more });
      on(this.form, "input", (event) => this.changed(event));
      on(this.form, "change", (event) => this.changed(event));
      on(this.form, "submit", (event) => this.beforeSubmit(event), { capture: true });
      on(this.form, "htmx:confirm", (event) => this.beforeRequest(event));
      on(this.form, "htmx:beforeOnLoad", (event) => this.afterRequest(event));
      on(window, "online", () => this.isDirty && this.save());
      on(window, "pagehide", () => this.leave());
      on(document, "visibilitychange", () => document.visibilityState === "hidden" && this.leave());
      on(this, "click", (event) => {
        if (event.target.closest("[data-draft-keep-mine]")) this.keepMine();
        if (event.target.closest("[data-draft-take-other]")) this.takeOther();
      });
    }

    say(state, words) {
      this.dataset.state = state;
      if (this.wordsPlace.textContent !== words) this.wordsPlace.textContent = words;
    }

    changed(event) {
      if (this.isDone || event.detail?.restored || (event.target && this.contains(event.target))) return;
      this.isDirty = true;
      clearTimeout(this.timer);
      if (!this.saving && !this.isConflicted && !this.failures) this.say("typing", "");
      this.timer = setTimeout(() => this.save(), this.failures ? RETRY_MS[0] : WAIT_MS);
    }

    keepOnDevice() {
      return device.keep(this.url, { number: this.number, at: Date.now(), fields: fieldsOf(this.form) });
    }

    /* One save at a time; what was typed meanwhile goes with the next. */
    async save() {
      clearTimeout(this.timer);
      if (this.saving) return this.saving;
      if (!this.isDirty || this.isDone) return undefined;
      if (this.isConflicted) { this.keepOnDevice(); return undefined; }
      this.saving = this.put().finally(() => { this.saving = null; });
      await this.saving;
      if (this.isDirty && !this.failures && !this.isConflicted && !this.isDone) this.timer = setTimeout(() => this.save(), WAIT_MS);
      return undefined;
    }

    async put(keepalive = false) {
      this.isDirty = false;
      const isKept = this.keepOnDevice();
      if (!this.failures) this.say("saving", "Saving…");
      let answer;
      try {
        answer = await fetch(this.url, { method: "PUT", headers: this.headers(), body: this.body(), redirect: "manual", keepalive });
      } catch {
        return this.failed(isKept, "");
      }
      if (answer.status === 409) return this.refused(await this.json(answer), isKept);
      if (answer.type === "opaqueredirect" || answer.status === 401) return this.failed(isKept, "you are signed out");
      if (answer.status === 429 || answer.status >= 500) return this.failed(isKept, "the server does not answer");
      const saved = await this.json(answer);
      if (!answer.ok || typeof saved?.number !== "number") return this.stopped(isKept, saved?.error?.message);
      this.number = saved.number;
      this.dataset.draftNumber = String(saved.number);
      this.failures = 0;
      if (!this.isDirty) {
        device.drop(this.url);
        this.say("saved", "Saved");
      }
      return undefined;
    }

    headers() {
      const token = document.querySelector("meta[name=csrf-token]")?.content;
      return { Accept: "application/json", ...(token ? { "X-CSRFToken": token } : {}) };
    }

    body() {
      const body = new URLSearchParams();
      for (const [name, values] of Object.entries(fieldsOf(this.form))) values.forEach((value) => body.append(name, value));
      body.append("number", String(this.number));
      return body;
    }

    async json(answer) {
      try { return await answer.json(); } catch { return null; }
    }

    /* No answer: keep it here and try again, more and more slowly. */
    failed(isKept, why) {
      this.isDirty = true;
      const wait = RETRY_MS[Math.min(this.failures, RETRY_MS.length - 1)];
      this.failures += 1;
      const words = isKept ? "Kept on this device" : "Not saved";
      this.say(isKept ? "kept" : "trouble", why ? `${words}: ${why}` : words);
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.save(), wait);
    }

    /* An answer that will not change by asking again; the next keystroke asks again anyway. */
    stopped(isKept, message) {
      this.isDirty = true;
      this.failures = 0;
      const words = isKept ? "Kept on this device" : "Not saved";
      this.say("trouble", message ? `${words}: ${message}` : words);
    }

    refused(answer, isKept) {
      if (answer?.error?.code !== "stale_draft" || !answer.draft) return this.stopped(isKept, answer?.error?.message);
      this.isDirty = true;
      this.isConflicted = true;
      this.other = answer.draft;
      this.say("trouble", "Changed in another tab");
      this.showOther();
      return undefined;
    }

    showOther() {
      const place = this.querySelector("[data-draft-other]");
      if (!place || !this.conflict) return;
      place.replaceChildren();
      const mine = fieldsOf(this.form);
      const theirs = this.other.fields ?? {};
      for (const name of new Set([...Object.keys(mine), ...Object.keys(theirs)])) {
        let text = [theirs[name] ?? []].flat().join(", ");
        if (text === (mine[name] ?? []).join(", ")) continue;
        text = this.criterionOf(name)?.inWords?.(text) ?? text;
        const line = document.createElement("p");
        const label = document.createElement("b");
        label.textContent = `${this.labelOf(name)}: `;
        line.append(label, text || "nothing");
        place.append(line);
      }
      this.conflict.hidden = false;
    }

    inputOf(name) {
      const input = this.form.elements[name];
      return input instanceof RadioNodeList ? input[0] : input;
    }

    /* It may say what its field holds: inWords(text). */
    criterionOf(name) {
      return this.inputOf(name)?.closest?.("[data-criterion]");
    }

    labelOf(name) {
      const criterion = this.criterionOf(name);
      return this.inputOf(name)?.dataset?.label ?? criterion?.dataset.label ?? criterion?.querySelector(".field__label")?.textContent.trim() ?? name;
    }

    settle() {
      this.isConflicted = false;
      this.number = this.other.number;
      this.dataset.draftNumber = String(this.number);
      if (this.conflict) this.conflict.hidden = true;
    }

    keepMine() {
      this.settle();
      this.isDirty = true;
      this.save();
    }

    takeOther() {
      this.settle();
      fill(this.form, this.other.fields ?? {});
      this.isDirty = false;
      device.drop(this.url);
      this.say("saved", "Saved");
    }

    /* The copy on this device belongs on top of the draft whose number it has seen; on top of no other. */
    restoreFromDevice() {
      const copy = device.read(this.url);
      if (!copy?.fields) return;
      const theirs = fieldsOf(this.form);
      if (JSON.stringify(theirs) === JSON.stringify(copy.fields)) { device.drop(this.url); return; }
      fill(this.form, copy.fields);
      this.isDirty = true;
      if (copy.number >= this.number) {
        this.say("kept", "Kept on this device");
        this.timer = setTimeout(() => this.save(), WAIT_MS);
      } else {
        this.isConflicted = true;
        this.other = { number: this.number, fields: theirs };
        this.say("trouble", "Changed in another tab");
        this.showOther();
      }
    }

    leave() {
      if (!this.isDirty || this.isDone || !this.form) return;
      this.keepOnDevice();
      if (!this.saving && !this.isConflicted) this.put(true);
    }

    /* A draft that arrives after its review would outlive it, so submitting waits for the one under way. */
    async settled() {
      clearTimeout(this.timer);
      const saved = (async () => { await this.saving; await this.save(); })();
      await Promise.race([saved, new Promise((resolve) => setTimeout(resolve, SUBMIT_WAIT_MS))]);
      clearTimeout(this.timer);
    }

    get isBusy() {
      return !this.isDone && Boolean(this.saving || this.isDirty);
    }

    beforeRequest(event) {
      if (event.target !== this.form || !this.isBusy) return;
      event.preventDefault();
      this.settled().then(() => { event.detail.issueRequest(true); });
    }

    beforeSubmit(event) {
      if (this.form.matches("[hx-post], [hx-put]") || !this.isBusy) return;
      event.preventDefault();
      event.stopPropagation();
      const submitter = event.submitter;
      this.settled().then(() => { this.isDone = true; device.drop(this.url); this.form.requestSubmit(submitter); });
    }

    /* Before the swap: after it this form is gone, and its events with it. */
    afterRequest(event) {
      const status = event.detail.xhr.status;
      if (event.target !== this.form || status < 200 || status >= 400) return;
      this.isDone = true;
      device.drop(this.url);
    }
  });
})();
