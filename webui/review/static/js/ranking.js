/* <ranked-responses>: puts responses in order, best first, several on one place.

   letters place the next, e or = makes it equal to the last, Backspace takes one back, x says that all are bad; the
   same by the button in each response's head and by the strip ([data-strip]), where letters are dragged or moved by
   the left and right arrows. The places themselves lie in select[data-letter], the other answers in input[data-way];
   draft and form know only those. */
"use strict";

(() => {
  const PLACES = ["1st", "2nd", "3rd", "4th", "5th", "6th", "7th", "8th", "9th", "10th"];
  const IN_WORDS = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"];

  function listed(words) {
    return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
  }

  customElements.define("ranked-responses", class extends window.HitlOrder {
    connectedCallback() {
      this.groups = []; // best first; each the letters of one place, in the order in which they were given
      this.kept = []; // what was placed before "all bad" or "cannot judge"
      this.nextIsEqual = false;
      super.connectedCallback();
      this.strip = this.querySelector("[data-strip]");
      if (!this.strip || !this.field) return;
      const signal = this.listeners.signal;
      this.strip.addEventListener("click", (event) => this.clicked(event), { signal });
      this.strip.addEventListener("keydown", (event) => this.moved(event), { signal });
      window.hitlDragLetters(this.strip, (letter, target) => this.dropped(letter, target), signal);
      this.draw();
    }

    // --- The form ---------------------------------------------------------------------------------------------------

    get selects() {
      return [...this.field.querySelectorAll("select[data-letter]")];
    }

    get way() {
      return this.field.querySelector("input[data-way]:checked")?.value ?? "";
    }

    set way(value) {
      for (const input of this.field.querySelectorAll("input[type=radio]")) input.checked = input.value === value;
    }

    /* changedPart: what somebody has just changed; nothing at the start and after a draft was filled in. */
    read(changedPart) {
      if (changedPart?.type === "radio") {
        if (!changedPart.checked) return;
        this.setWay(changedPart.value);
        return;
      }
      const byPlace = new Map();
      for (const select of this.selects) {
        const place = Number(select.value);
        if (place) byPlace.set(place, [...(byPlace.get(place) ?? []), select.dataset.letter]);
      }
      this.groups = [...byPlace.keys()].sort((one, other) => one - other).map((place) => byPlace.get(place));
    }

    write() {
      for (const select of this.selects) {
        const place = this.placeOf(select.dataset.letter);
        select.value = place ? String(place) : "";
      }
    }

    // --- What somebody does -----------------------------------------------------------------------------------------

    get placed() {
      return this.groups.flat();
    }

    get unplaced() {
      return this.letters.filter((letter) => !this.placeOf(letter));
    }

    placeOf(letter) {
      return this.groups.findIndex((group) => group.includes(letter)) + 1;
    }

    /* isButton: a press on the button of a response that has a place takes the place away. */
    letter(letter, isButton = false) {
      if (isButton && this.placeOf(letter)) this.takeOut(letter);
      else this.append(letter);
      this.settle();
    }

    command(key, event) {
      if (key === "=" || (key === "e" && !this.letters.includes("E"))) this.toggleEqual();
      else if (key === "Backspace" && !event.target.closest?.("[data-token]")) this.takeBack();
      else if (key === "x") this.setWay(this.way === "all_bad" ? "" : "all_bad");
      else return false;
      if (key !== "Backspace" && key !== "x") return true;
      this.settle();
      return true;
    }

    append(letter) {
      this.without(letter);
      if (this.nextIsEqual && this.groups.length) this.groups.at(-1).push(letter);
      else this.groups.push([letter]);
      this.nextIsEqual = false;
      this.way = "";
    }

    toggleEqual() {
      if (!this.placed.length || !this.unplaced.length) return;
      this.nextIsEqual = !this.nextIsEqual;
      this.show();
      this.announce(this.nextIsEqual ? `The next one is equal to ${this.placed.at(-1)}.` : `The next one is behind ${this.placed.at(-1)}.`);
    }

    takeBack() {
      if (this.nextIsEqual) this.nextIsEqual = false;
      else if (this.way) this.setWay("");
      else if (this.placed.length) this.takeOut(this.placed.at(-1));
    }

    takeOut(letter) {
      this.without(letter);
      if (!this.groups.length) this.nextIsEqual = false;
    }

    without(letter) {
      this.groups = this.groups.map((group) => group.filter((one) => one !== letter)).filter((group) => group.length);
    }

    setWay(way) {
      if (way) {
        if (this.groups.length) this.kept = this.groups;
        this.groups = [];
        this.nextIsEqual = false;
      } else if (!this.groups.length) {
        this.groups = this.kept;
      }
      this.way = way;
      this.write();
    }

    settle() {
      this.write();
      this.changed();
    }

    // --- The strip --------------------------------------------------------------------------------------------------

    clicked(event) {
      const token = event.target.closest("[data-token]");
      const sign = event.target.closest("[data-sign]");
      if (token) this.letter(token.dataset.token, true);
      else if (sign?.dataset.sign === "next") this.toggleEqual();
      else if (sign) this.flip(sign.dataset.sign);
      this.leave(event);
    }

    /* A sign stands before a letter: from better to equal, and back. */
    flip(letter) {
      const place = this.placeOf(letter) - 1;
      const group = this.groups[place];
      const within = group.indexOf(letter);
      if (within) this.groups.splice(place, 1, group.slice(0, within), group.slice(within));
      else this.groups.splice(place - 1, 2, [...this.groups[place - 1], ...group]);
      this.settle();
    }

    moved(event) {
      const token = event.target.closest("[data-token]");
      if (!token || event.ctrlKey || event.metaKey || event.altKey) return;
      const letter = token.dataset.token;
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") this.step(letter, event.key === "ArrowLeft" ? -1 : 1);
      else if (event.key === "Delete" || event.key === "Backspace") this.takeOut(letter);
      else return;
      event.preventDefault();
      event.stopPropagation();
      this.settle();
    }

    /* One step: out of a tie, or into the next one. */
    step(letter, direction) {
      const place = this.placeOf(letter) - 1;
      if (place < 0) { this.append(letter); return; }
      const group = this.groups[place];
      const at = direction < 0 ? place : place + 1;
      if (group.length > 1) {
        this.groups[place] = group.filter((one) => one !== letter);
        this.groups.splice(at, 0, [letter]);
      } else if (this.groups[place + direction]) {
        this.groups[place + direction].push(letter);
        this.groups.splice(place, 1);
      }
    }

    /* target: {letter, side: before | onto | after}, "end", or nothing where it was dropped outside. */
    dropped(letter, target) {
      if (!target) this.takeOut(letter);
      else if (target === "end") { this.nextIsEqual = false; this.append(letter); }
      else {
        this.without(letter);
        const place = this.placeOf(target.letter) - 1;
        if (target.side === "onto") this.groups[place].push(letter);
        else this.groups.splice(target.side === "before" ? place : place + 1, 0, [letter]);
        this.way = "";
      }
      this.settle();
      this.field.focus({ preventScroll: true });
    }

    draw() {
      if (!this.strip) return;
      const focus = this.strip.contains(document.activeElement) ? { ...document.activeElement.dataset } : null;
      const parts = [];
      this.groups.forEach((group, place) => group.forEach((letter, within) => {
        if (place || within) parts.push(this.sign(letter, within > 0));
        parts.push(this.token(letter, `Response ${letter}, ${IN_WORDS[place]}. Arrows move it, Delete takes it out.`, true));
      }));
      if (parts.length && this.unplaced.length) parts.push(this.sign("next", this.nextIsEqual));
      for (const letter of this.unplaced) parts.push(this.token(letter, `Response ${letter}, no place yet. Make it ${this.nextInWords()}.`, false));
      this.strip.replaceChildren(...parts);
      this.strip.classList.toggle("is-set-aside", Boolean(this.way));
      if (focus?.token) this.strip.querySelector(`[data-token="${focus.token}"]`)?.focus({ preventScroll: true });
      if (focus?.sign) (this.strip.querySelector(`[data-sign="${focus.sign}"]`) ?? this.strip.querySelector("button"))?.focus({ preventScroll: true });
    }

    token(letter, name, isSet) {
      const token = document.createElement("button");
      token.type = "button";
      token.className = isSet ? "ranking__token is-set" : "ranking__token";
      token.dataset.token = letter;
      token.textContent = letter;
      token.setAttribute("aria-label", name);
      return token;
    }

    sign(letter, isEqual) {
      const sign = document.createElement("button");
      sign.type = "button";
      sign.className = "ranking__sign";
      sign.dataset.sign = letter;
      sign.textContent = isEqual ? "=" : "›";
      const next = letter === "next" ? "the next one" : letter;
      sign.setAttribute("aria-label", isEqual ? `${next} is equal to the one before; make it worse` : `${next} is worse than the one before; make it equal`);
      return sign;
    }

    // --- In words ---------------------------------------------------------------------------------------------------

    show() {
      super.show();
      this.draw();
    }

    nextPlace() {
      return this.nextIsEqual ? Math.max(this.groups.length, 1) : this.groups.length + 1;
    }

    nextInWords() {
      return this.nextIsEqual ? `equal to ${this.placed.at(-1)}` : IN_WORDS[this.nextPlace() - 1];
    }

    /* A name begins with the words that one sees, for those who say what they press. */
    labelOf(letter) {
      const place = this.placeOf(letter);
      if (!place) {
        const words = `make ${this.nextIsEqual ? "=" : ""}${PLACES[this.nextPlace() - 1]}`;
        return { words, name: `${words}: response ${letter}${this.nextIsEqual ? `, ${this.nextInWords()}` : ""}`, isSet: false, isFirst: false };
      }
      const isTie = this.groups[place - 1].length > 1;
      const words = `${isTie ? "=" : ""}${PLACES[place - 1]}`;
      return { words, name: `${words}: response ${letter}. Take it out`, isSet: true, isFirst: place === 1 };
    }

    missing() {
      if (this.way || !this.unplaced.length) return "";
      if (!this.placed.length) return "required" in this.dataset ? "Nothing has a place yet" : "";
      return `${listed(this.unplaced)} ${this.unplaced.length === 1 ? "has" : "have"} no place yet`;
    }

    inWords() {
      if (this.way === "all_bad") return "All are bad.";
      if (this.way) return "You cannot judge this one.";
      if (!this.placed.length) return "Nothing has a place.";
      const places = this.groups.map((group) => `${listed(group)}${group.length > 1 ? " equal" : ""}`);
      const missing = this.missing();
      return `Best first: ${places.join(", then ")}.${missing ? ` ${missing}.` : ""}`;
    }
  });
})();
