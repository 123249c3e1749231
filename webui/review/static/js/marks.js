/* <passage-marks>: passages marked under one criterion, of the <marked-words> that data-words names.

   data-asked         {"labels": [{"value", "label"}], "severities": […], "max": 500}
   data-marks-field   holds the marks as JSON: [{"start", "end", "label", "severity", "text_hash"}], in code points
   data-marks-list    shows them, each with a way there and one to remove it
   data-marks-start   starts marking by keyboard, see marking.js

   Several criteria may be about one text: its marks are numbered together. */
"use strict";

(() => {
  function ownersOf(view) {
    // While htmx swaps, those of the work area before are still there: they are about another element of the same id.
    return [...document.querySelectorAll("passage-marks")].filter((owner) => owner.marks && owner.view === view);
  }

  function show(view) {
    const owners = ownersOf(view);
    const marks = owners.flatMap((owner) => owner.marks);
    for (const mark of marks) mark.words = mark.owner.wordsOf(mark);
    view.draw(marks.sort((a, b) => a.start - b.start || a.end - b.end));
    for (const owner of owners) owner.drawList();
  }

  window.hitlMarkOwners = ownersOf;

  customElements.define("passage-marks", class extends HTMLElement {
    connectedCallback() {
      const around = this.closest(".work__item, [data-preview]") ?? document;
      this.view = this.dataset.words && around.querySelector(`#${CSS.escape(this.dataset.words)}`);
      if (!this.view) return;
      this.asked = JSON.parse(this.dataset.asked);
      this.name = this.querySelector(".field__label").firstChild.textContent.trim();
      this.field = this.querySelector("[data-marks-field]");
      this.list = this.querySelector("[data-marks-list]");
      this.none = this.querySelector("[data-marks-none]");
      this.status = this.querySelector("[data-marks-said]");
      const start = this.querySelector("[data-marks-start]");
      start.hidden = false;
      start.addEventListener("click", () => this.dispatchEvent(new CustomEvent("marks:start", { bubbles: true })));
      this.field.addEventListener("change", () => { this.read(); show(this.view); }); // the draft filled it
      this.list.addEventListener("click", (event) => this.clicked(event));
      this.list.addEventListener("keydown", (event) => this.pressed(event));
      for (const name of ["pointerover", "focusin"]) this.list.addEventListener(name, (event) => this.view.reveal(this.markOf(event.target)));
      for (const name of ["pointerleave", "focusout"]) this.list.addEventListener(name, () => this.view.reveal(null));
      this.read();
      show(this.view);
    }

    // --- The field ----------------------------------------------------------------------------------------------------

    /* What does not fit this text is shown as such and stays, until somebody removes it or the server says so. */
    read() {
      const kept = this.fromJson();
      const isOurs = (span) => this.fits(span);
      this.strays = kept.filter((span) => !isOurs(span));
      this.marks = kept.filter(isOurs).map((span) => ({
        owner: this, start: this.view.place(span.start), end: this.view.place(span.end), label: span.label, severity: span.severity ?? null,
      }));
    }

    fromJson() {
      if (!this.field.value.trim()) return [];
      try {
        const kept = JSON.parse(this.field.value);
        return Array.isArray(kept) ? kept : [kept];
      } catch {
        return [this.field.value];
      }
    }

    fits(span) {
      return span !== null && typeof span === "object" && span.text_hash === this.view.dataset.hash
        && Number.isInteger(span.start) && Number.isInteger(span.end) && span.start >= 0 && span.start < span.end
        && span.end <= this.view.pointCount && this.asked.labels.some((option) => option.value === span.label);
    }

    write() {
      const spans = this.marks.sort((a, b) => a.start - b.start || a.end - b.end).map(({ start, end, label, severity }) => ({
        start: this.view.points(start), end: this.view.points(end), label, severity, text_hash: this.view.dataset.hash,
      }));
      const all = [...this.strays, ...spans];
      this.field.value = all.length ? JSON.stringify(all) : "";
      this.field.dispatchEvent(new Event("input", { bubbles: true }));
      show(this.view);
    }

    /* For whoever compares two drafts. */
    inWords(text) {
      let count = 0;
      try { count = JSON.parse(text).length; } catch { /* nothing that can be counted */ }
      return count ? `${count} ${count === 1 ? "passage" : "passages"} marked` : "";
    }

    // --- Marks --------------------------------------------------------------------------------------------------------

    problemWith({ start, end }, label, changed) {
      if (this.marks.some((mark) => mark !== changed && mark.start === start && mark.end === end && mark.label === label)) return "This passage has that label already.";
      if (!changed && this.marks.length >= this.asked.max) return `At most ${this.asked.max} passages of one text can be marked.`;
      return "";
    }

    keep(passage, changed) {
      const mark = Object.assign(changed ?? { owner: this }, passage);
      if (!changed) this.marks.push(mark);
      this.write();
      this.say(`Mark ${mark.number}: ${mark.words}.`);
      this.view.dispatchEvent(new CustomEvent("words:kept", { bubbles: true, detail: mark }));
    }

    remove(mark) {
      const words = `Mark ${mark.number} removed.`;
      this.marks = this.marks.filter((one) => one !== mark);
      this.write();
      this.say(words);
      this.view.dispatchEvent(new CustomEvent("words:kept", { bubbles: true, detail: mark }));
    }

    say(words) {
      this.status.textContent = this.status.textContent === words ? `${words}\u00a0` : words;
    }

    wordsOf({ label, severity }) {
      const named = (options, value) => options.find((option) => option.value === value)?.label;
      return [named(this.asked.labels, label), named(this.asked.severities, severity)].filter(Boolean).join(", ");
    }

    // --- The list -----------------------------------------------------------------------------------------------------

    drawList() {
      const rows = [...this.marks].sort((a, b) => a.number - b.number).map((mark) => this.row(mark));
      if (this.strays.length) rows.push(this.strayRow());
      this.list.replaceChildren(...rows);
      this.none.hidden = rows.length > 0;
    }

    row(mark) {
      const row = document.createElement("li");
      row.dataset.number = String(mark.number);
      const number = document.createElement("span");
      number.className = `marks__number lane-${mark.lane + 1}`;
      number.textContent = String(mark.number);
      const jump = document.createElement("button");
      jump.type = "button";
      jump.className = "marks__jump";
      jump.dataset.jump = "";
      const quote = document.createElement("q");
      quote.className = "marks__quote";
      quote.dir = "auto";
      quote.append(this.view.passage(mark.start, Math.min(mark.end, mark.start + 300)));
      jump.append(quote);
      const words = document.createElement("span");
      words.className = "marks__words";
      const label = this.asked.labels.find((option) => option.value === mark.label)?.label ?? mark.label;
      words.append(this.badge(label, "badge"));
      const severity = this.asked.severities.find((option) => option.value === mark.severity)?.label;
      if (severity) words.append(this.badge(severity, "badge badge--warn"));
      row.append(number, jump, words, this.removeButton(`Remove mark ${mark.number}, ${mark.words}`));
      return row;
    }

    strayRow() {
      const row = document.createElement("li");
      row.dataset.strays = "";
      const words = document.createElement("span");
      words.className = "marks__jump warn";
      words.textContent = this.strays.length === 1 ? "One mark does not fit this text." : `${this.strays.length} marks do not fit this text.`;
      row.append(words, this.removeButton("Remove what does not fit this text"));
      return row;
    }

    badge(words, style) {
      const badge = document.createElement("span");
      badge.className = style;
      badge.textContent = words;
      return badge;
    }

    removeButton(name) {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "marks__remove";
      button.dataset.remove = "";
      button.setAttribute("aria-label", name);
      button.textContent = "×";
      return button;
    }

    markOf(target) {
      const number = Number(target.closest?.("[data-number]")?.dataset.number);
      return this.marks.find((mark) => mark.number === number) ?? null;
    }

    clicked(event) {
      if (event.target.closest("[data-remove]")) this.removeAt(event.target.closest("li"));
      else if (event.target.closest("[data-jump]")) this.jumpTo(this.markOf(event.target));
    }

    pressed(event) {
      if (!["Delete", "Backspace"].includes(event.key) || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      this.removeAt(event.target.closest("li"));
    }

    removeAt(row) {
      const index = [...this.list.children].indexOf(row);
      const mark = this.markOf(row);
      if (mark) this.remove(mark);
      else { this.strays = []; this.write(); }
      const next = this.list.children[Math.min(index, this.list.children.length - 1)];
      (next?.querySelector("button") ?? this).focus({ preventScroll: true });
    }

    jumpTo(mark) {
      window.hitlShowFormatted(false);
      this.view.reveal(mark);
      const behavior = matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "auto";
      this.view.body.querySelector("mark.is-shown")?.scrollIntoView({ block: "center", behavior });
    }
  });
})();
