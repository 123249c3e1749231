/* The menu at a passage that somebody chose: which label, how bad, keep it or not. Drawn by script alone, as a child of
   its <marked-words>; on a phone it lies above the actions.

   Numbers choose among the labels, then among the severities; Enter keeps, Esc leaves, Delete removes. */
"use strict";

window.HitlMarkMenu = class {
  static GAP = 6;

  constructor(view, owners) {
    this.view = view;
    this.owners = owners;
    this.isChoosing = false; // a press inside it must not count as one elsewhere
    this.element = document.createElement("div");
    this.element.className = "markmenu";
    this.element.setAttribute("role", "group");
    this.element.addEventListener("pointerdown", (event) => { this.isChoosing = true; event.preventDefault(); });
    this.element.addEventListener("pointerup", () => setTimeout(() => { this.isChoosing = false; }, 300));
    this.element.addEventListener("click", (event) => this.clicked(event));
    view.append(this.element);
  }

  get isOpen() {
    return this.element.isConnected;
  }

  /* passage: {start, end}; mark: the one that is changed, if it is not a new one. */
  show(passage, owner, mark = null) {
    this.passage = passage;
    this.owner = owner;
    this.mark = mark;
    this.label = mark?.label ?? (owner.asked.labels.length === 1 ? owner.asked.labels[0].value : this.label);
    this.severity = mark?.severity ?? this.severity;
    this.problem = "";
    this.draw();
  }

  close() {
    this.element.remove();
  }

  get asksSeverity() {
    return this.owner.asked.severities.length > 0;
  }

  /* Numbers go to the first question that is open; with both answered, to the last again. */
  get numbered() {
    return this.asksSeverity && this.label ? "severity" : "label";
  }

  // --- Drawing --------------------------------------------------------------------------------------------------------

  draw() {
    const quote = this.view.text.slice(this.passage.start, this.passage.end).slice(0, 80);
    this.element.setAttribute("aria-label", `Mark “${quote}”`);
    const focused = document.activeElement?.dataset?.choice;
    this.element.replaceChildren();
    if (this.owners.length > 1) this.row("owner", "For", this.owners.map((owner) => ({ value: owner.id, label: owner.name })), this.owner.id);
    this.row("label", this.owners.length > 1 ? "Label" : this.owner.name, this.owner.asked.labels, this.label);
    if (this.asksSeverity) this.row("severity", "How bad", this.owner.asked.severities, this.severity);
    this.foot();
    if (focused) this.element.querySelector(`[data-choice="${CSS.escape(focused)}"]`)?.focus();
    this.put();
  }

  row(kind, name, options, chosen) {
    const row = this.part("div", "markmenu__row");
    row.setAttribute("role", "group");
    row.setAttribute("aria-label", name);
    row.append(this.part("span", "markmenu__name", name));
    options.forEach((option, index) => {
      const button = this.button("markmenu__option", option.label);
      button.dataset.choice = `${kind}:${option.value}`;
      button.setAttribute("aria-pressed", String(option.value === chosen));
      if (kind === this.numbered && index < 9) button.prepend(this.key(String(index + 1)));
      row.append(button);
    });
    this.element.append(row);
  }

  foot() {
    const foot = this.part("div", "markmenu__foot");
    if (this.problem) {
      const problem = this.part("p", "markmenu__problem", this.problem);
      problem.setAttribute("role", "alert");
      foot.append(problem);
    }
    foot.append(this.action("keep", this.mark ? "Keep the change" : "Mark it", "⏎", "button button--main button--small"));
    if (this.mark) foot.append(this.action("remove", "Remove", "Del", "button button--small"));
    foot.append(this.action("close", "Cancel", "Esc", "button button--plain button--small"));
    this.element.append(foot);
  }

  action(name, words, key, style) {
    const button = this.button(style, words);
    button.dataset.choice = `do:${name}`;
    button.append(" ", this.key(key));
    return button;
  }

  part(tag, style, words = "") {
    const element = document.createElement(tag);
    element.className = style;
    element.textContent = words;
    return element;
  }

  button(style, words) {
    const button = this.part("button", style, words);
    button.type = "button";
    return button;
  }

  key(name) {
    const key = this.part("kbd", "key", name);
    key.setAttribute("aria-hidden", "true");
    return key;
  }

  /* Below the passage; above it where there is no room. */
  put() {
    const style = this.element.style;
    style.insetBlockStart = style.insetInlineStart = style.left = style.top = "";
    if (matchMedia("(max-width: 59.99rem)").matches) return;
    const places = [...this.view.range(this.passage.start, this.passage.end).getClientRects()];
    if (!places.length) return;
    const own = this.view.getBoundingClientRect();
    const size = this.element.getBoundingClientRect();
    const floor = (this.view.closest(".pane, .compare")?.getBoundingClientRect() ?? { bottom: innerHeight }).bottom;
    const gap = this.constructor.GAP;
    const first = places[0];
    const last = places.at(-1);
    const fits = last.bottom + gap + size.height <= floor || first.top - gap - size.height < 0;
    style.top = `${fits ? last.bottom - own.top + gap : first.top - own.top - gap - size.height}px`;
    style.left = `${Math.max(0, Math.min(last.left - own.left, own.width - size.width))}px`;
  }

  // --- Choosing -------------------------------------------------------------------------------------------------------

  clicked(event) {
    const [kind, value] = (event.target.closest("[data-choice]")?.dataset.choice ?? "").split(/:(.*)/);
    if (kind === "do") this[value === "close" ? "leave" : value]();
    else if (kind === "owner") this.show(this.passage, this.owners.find((owner) => owner.id === value));
    else if (kind) this.choose(kind, value, !this.mark && event.detail > 0);
  }

  /* Returns whether there is something under this number. */
  number(number) {
    const kind = this.numbered;
    const option = this.owner.asked[kind === "label" ? "labels" : "severities"][number - 1];
    if (option) this.choose(kind, option.value, false);
    return Boolean(option);
  }

  /* A press that answers the last question keeps the mark at once. */
  choose(kind, value, keeps) {
    this[kind] = value;
    this.problem = "";
    if (keeps && this.label && (!this.asksSeverity || (kind === "severity" && this.severity))) this.keep();
    else this.draw();
  }

  keep() {
    const severity = this.asksSeverity ? this.severity : null;
    if (!this.label) this.problem = "Choose a label.";
    else if (this.asksSeverity && !severity) this.problem = "Choose how bad it is.";
    else this.problem = this.owner.problemWith(this.passage, this.label, this.mark);
    if (this.problem) { this.draw(); return; }
    this.close();
    this.owner.keep({ ...this.passage, label: this.label, severity }, this.mark);
  }

  remove() {
    this.close();
    this.owner.remove(this.mark);
  }

  leave() {
    this.close();
    this.view.dispatchEvent(new CustomEvent("words:left", { bubbles: true }));
  }
};
