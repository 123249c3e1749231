/* <paired-responses>: says which of two responses is better, and by how much.

   a and b choose the side, again for much; e or = says equal, x both bad, Backspace takes it back. The answer lies in
   radios: input[data-side][data-strength], or input[data-letter] for what the keys e and x say. */
"use strict";

customElements.define("paired-responses", class extends window.HitlOrder {
  get chosen() {
    return this.field.querySelector("input:checked");
  }

  /* The radios are the state. */
  read() {}

  letter(letter) {
    const isSlightly = this.chosen?.dataset.side === letter && this.chosen.dataset.strength === "slightly";
    this.choose(`[data-side="${letter}"][data-strength="${isSlightly ? "much" : "slightly"}"]`);
  }

  command(key) {
    if (key === "Backspace") this.clear();
    else if (key === "e" || key === "=" || key === "x") this.choose(`[data-letter="${key === "=" ? "e" : key}"]`);
    else return false;
    return true;
  }

  choose(selector) {
    const input = this.field.querySelector(selector);
    if (!input || input.checked) return;
    input.checked = true;
    this.changed();
  }

  clear() {
    if (!this.chosen) return;
    this.chosen.checked = false;
    this.changed();
  }

  labelOf(letter) {
    const { side, strength } = this.chosen?.dataset ?? {};
    if (side !== letter) return { words: "is better", name: `Response ${letter} is better`, isSet: false, isFirst: false };
    const again = strength === "much" ? "slightly" : "much";
    return { words: `${strength} better`, name: `Response ${letter} is ${strength} better. Make it ${again} better`, isSet: true, isFirst: true };
  }

  missing() {
    return this.chosen || !("required" in this.dataset) ? "" : "Nothing is chosen yet";
  }

  inWords() {
    const { side, strength } = this.chosen?.dataset ?? {};
    if (side) return `Response ${side} is ${strength} better.`;
    return { equal: "Both are equal.", both_bad: "Both are bad.", unsure: "You cannot judge this one." }[this.chosen?.value] ?? "Nothing is chosen.";
  }
});
