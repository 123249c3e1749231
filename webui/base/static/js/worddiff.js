/* <word-diff>: shows below an editor which words leave and which come, as one types.

   data-diff-text      the editor             data-diff-view     where the changes are shown
   data-diff-original  the text before        data-diff-count    "6 words out, 22 in"
   data-diff-restore   the button that puts the original back

   Texts are hostile: they reach the page as text nodes only. */
"use strict";

(() => {
  const WAIT_MS = 120;
  const MAX_SHOWN = 4000; // pieces of text; a longer diff is counted but shown in part
  /* Scripts that put no spaces between words need a dictionary, which browsers have. */
  const UNSPACED = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
  const SEGMENTED_AT_MOST = 20000; // characters; the dictionary is slow, and a longer text stays in larger pieces
  const dictionary = window.Intl?.Segmenter ? new Intl.Segmenter(undefined, { granularity: "word" }) : null;

  /* Words with their marks, and the spaces between them, each a piece. Joined they are the text again. */
  function pieces(text) {
    const spaced = text.match(/\s+|\S+/g) ?? [];
    if (!dictionary || text.length > SEGMENTED_AT_MOST || !UNSPACED.test(text)) return spaced;
    return spaced.flatMap((piece) => UNSPACED.test(piece) ? Array.from(dictionary.segment(piece), (part) => part.segment) : [piece]);
  }

  function isWord(piece) {
    return /[\p{L}\p{N}]/u.test(piece);
  }

  /* E. W. Myers (1986), "An O(ND) Difference Algorithm and Its Variations", on numbers that stand for the pieces.
     Past `budget` steps the rest counts as changed as a whole: right, if not the shortest. */
  function compare(before, after, budget = 1500) {
    const ids = new Map();
    const numbered = (list) => list.map((piece) => ids.get(piece) ?? (ids.set(piece, ids.size), ids.size - 1));
    const a = numbered(before);
    const b = numbered(after);
    let start = 0;
    while (start < a.length && start < b.length && a[start] === b[start]) start++;
    let end = 0;
    while (end < a.length - start && end < b.length - start && a[a.length - 1 - end] === b[b.length - 1 - end]) end++;
    const middle = myers(a.slice(start, a.length - end), b.slice(start, b.length - end), budget);
    return [
      { kind: "same", from: 0, to: start },
      ...middle.map((run) => ({ ...run, from: run.from + start, to: run.to + start })),
      { kind: "same", from: a.length - end, to: a.length },
    ].filter((run) => run.to > run.from);
  }

  /* Runs of same and out (places in a) and in (places in b), in order. */
  function myers(a, b, budget) {
    const n = a.length;
    const m = b.length;
    if (!n && !m) return [];
    const most = Math.min(n + m, budget);
    const frontier = new Int32Array(2 * most + 3);
    const middle = most + 1;
    const trace = [];
    for (let d = 0; d <= most; d++) {
      trace.push(frontier.slice(middle - d - 1, middle + d + 2));
      for (let k = -d; k <= d; k += 2) {
        const down = k === -d || (k !== d && frontier[middle + k - 1] < frontier[middle + k + 1]);
        let x = down ? frontier[middle + k + 1] : frontier[middle + k - 1] + 1;
        let y = x - k;
        while (x < n && y < m && a[x] === b[y]) { x++; y++; }
        frontier[middle + k] = x;
        if (x >= n && y >= m) return walkBack(trace, n, m);
      }
    }
    return [{ kind: "out", from: 0, to: n }, { kind: "in", from: 0, to: m }].filter((run) => run.to > run.from);
  }

  function walkBack(trace, n, m) {
    const runs = [];
    const add = (kind, at) => {
      const last = runs[runs.length - 1];
      if (last && last.kind === kind && last.from === at + 1) last.from = at;
      else runs.push({ kind, from: at, to: at + 1 });
    };
    let x = n;
    let y = m;
    for (let d = trace.length - 1; d >= 0; d--) {
      const row = trace[d];
      const at = (k) => row[k + d + 1];
      const k = x - y;
      const down = k === -d || (k !== d && at(k - 1) < at(k + 1));
      const previousK = down ? k + 1 : k - 1;
      const previousX = d === 0 ? 0 : at(previousK);
      const previousY = d === 0 ? 0 : previousX - previousK;
      while (x > previousX && y > previousY) { x--; y--; add("same", x); }
      if (d === 0) break;
      if (down) { y--; add("in", y); } else { x--; add("out", x); }
    }
    return runs.reverse();
  }

  /* Words that go together read better as one change: spaces alone do not keep two changes apart. */
  function changes(before, after) {
    const runs = compare(before, after);
    const shown = [];
    let out = "";
    let into = "";
    const flush = () => {
      if (out) shown.push({ kind: "out", text: out });
      if (into) shown.push({ kind: "in", text: into });
      out = into = "";
    };
    runs.forEach((run, place) => {
      const text = (run.kind === "in" ? after : before).slice(run.from, run.to).join("");
      if (run.kind === "out") out += text;
      else if (run.kind === "in") into += text;
      else if ((out || into) && place < runs.length - 1 && !/\S/.test(text) && !text.includes("\n")) { out += text; into += text; }
      else { flush(); shown.push({ kind: "same", text }); }
    });
    flush();
    return shown;
  }

  function countWords(runs, list, kind) {
    return runs.filter((run) => run.kind === kind)
      .reduce((total, run) => total + list.slice(run.from, run.to).filter(isWord).length, 0);
  }

  customElements.define("word-diff", class extends HTMLElement {
    connectedCallback() {
      this.text = this.querySelector("[data-diff-text]");
      this.view = this.querySelector("[data-diff-view]");
      this.count = this.querySelector("[data-diff-count]");
      this.restore = this.querySelector("[data-diff-restore]");
      if (!this.text || !this.view) return;
      this.hint = this.count?.textContent ?? "";
      this.original = this.querySelector("[data-diff-original]")?.value ?? "";
      this.text.addEventListener("input", () => this.later());
      this.restore?.addEventListener("click", () => this.putBack());
      this.show();
    }

    later() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.show(), WAIT_MS);
    }

    putBack() {
      this.text.value = this.original;
      this.text.dispatchEvent(new Event("input", { bubbles: true }));
      this.text.focus();
      this.show();
    }

    show() {
      const isChanged = this.text.value !== this.original;
      this.view.hidden = !isChanged;
      if (this.restore) this.restore.hidden = !isChanged;
      if (!isChanged) {
        this.view.replaceChildren();
        if (this.count) this.count.textContent = this.hint;
        return;
      }
      const before = pieces(this.original);
      const after = pieces(this.text.value);
      const runs = compare(before, after);
      const out = countWords(runs, before, "out");
      const into = countWords(runs, after, "in");
      if (this.count) this.count.textContent = this.inWords(out, into);
      this.draw(changes(before, after));
    }

    inWords(out, into) {
      if (!out && !into) return "only spaces and marks change";
      return `${out} word${out === 1 ? "" : "s"} out, ${into} in`;
    }

    draw(list) {
      const nodes = list.slice(0, MAX_SHOWN).map(({ kind, text }) => {
        if (kind === "same") return document.createTextNode(text);
        const node = document.createElement(kind === "in" ? "ins" : "del");
        node.textContent = text;
        return node;
      });
      if (list.length > MAX_SHOWN) nodes.push(document.createTextNode(" … (more changes than are shown here)"));
      this.view.replaceChildren(...nodes);
    }
  });

  window.hitlWordDiff = { compare, pieces, changes };
})();
