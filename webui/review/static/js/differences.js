/* <word-differences> around a button: marks the words in which responses differ, and leaves the page as it is.

   Of two responses both are marked. Of more, each press takes the next one as what the others are compared with.
   Needs worddiff.js, and a browser that can mark ranges; elsewhere the button stays hidden. */
"use strict";

(() => {
  const MARK = "differs";
  const MAX_MARKS = 5000; // in one response

  /* Every word of the texts in an element, with where it stands. */
  function wordsOf(element) {
    const words = [];
    // What is hidden is the same text once more, formatted, where passages are marked.
    const isShown = (node) => (node.parentElement.closest("[hidden], .markmenu") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
    const walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT, isShown);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      let start = 0;
      for (const piece of window.hitlWordDiff.pieces(node.data)) {
        if (/\S/.test(piece)) words.push({ text: piece, node, start, end: start + piece.length });
        start += piece.length;
      }
    }
    return words;
  }

  /* Words that stand side by side become one range. */
  function rangesOf(words, runs, kind) {
    const ranges = [];
    for (const run of runs.filter((one) => one.kind === kind)) {
      for (const { node, start, end } of words.slice(run.from, run.to)) {
        const last = ranges.at(-1);
        if (last?.endContainer === node && start - last.endOffset <= 1) last.setEnd(node, end);
        else if (ranges.length < MAX_MARKS) {
          const range = new Range();
          range.setStart(node, start);
          range.setEnd(node, end);
          ranges.push(range);
        }
      }
    }
    return ranges;
  }

  customElements.define("word-differences", class extends HTMLElement {
    connectedCallback() {
      this.button = this.querySelector("button");
      if (!this.button || !window.CSS?.highlights || !window.hitlWordDiff) return;
      this.hidden = false;
      this.base = -1; // the response that the others are compared with; -1: nothing is marked
      this.listeners = new AbortController();
      const { signal } = this.listeners;
      this.button.addEventListener("click", (event) => this.pressed(event), { signal });
      document.addEventListener("words:shown", () => this.mark(), { signal });
    }

    disconnectedCallback() {
      this.listeners?.abort();
      window.CSS?.highlights?.delete(MARK);
    }

    get candidates() {
      return [...this.closest(".work__item").querySelectorAll("[data-candidate]")];
    }

    pressed(event) {
      this.next();
      if (event.detail) this.button.blur(); // with the mouse: Enter should submit, not press it again
    }

    next() {
      const count = this.candidates.length;
      this.base = this.base + 1 < (count === 2 ? 1 : count) ? this.base + 1 : -1;
      this.button.setAttribute("aria-pressed", String(this.base >= 0));
      const isNamed = this.base >= 0 && count > 2;
      this.querySelector("[data-differences-words]").textContent = isNamed ? `Differences from ${this.candidates[this.base].dataset.candidate}` : "Differences";
      this.mark();
    }

    mark() {
      CSS.highlights.delete(MARK);
      if (this.base < 0) return;
      const all = this.candidates.map((candidate) => wordsOf(candidate.querySelector(".candidate__text")));
      const before = all[this.base];
      const ranges = all.flatMap((after, place) => {
        if (place === this.base) return [];
        const runs = window.hitlWordDiff.compare(before.map((word) => word.text), after.map((word) => word.text));
        return [...(all.length === 2 ? rangesOf(before, runs, "out") : []), ...rangesOf(after, runs, "in")];
      });
      CSS.highlights.set(MARK, new Highlight(...ranges));
    }
  });
})();
