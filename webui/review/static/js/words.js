/* <marked-words>: a text as it was written, in which passages are marked; it takes the place of the formatted one.
   <words-view> around a button: shows all such texts formatted, to read, or as they were written, to mark.

   data-pieces   the text, see plain_pieces in webui/base/captured_text.py
   data-hash     the SHA-256 of the text, which marks of it carry

   Places in it are places of the JavaScript string `text`; points(place) and place(points) turn them into Unicode code
   points, by which marks are kept, and back. Marks stand in the text as it was written alone: what starts marking, or
   leads to a mark, brings it back. The event `words:shown` says that another view of the texts is shown. */
"use strict";

(() => {
  const LANES = 4;
  const SEAM = 2000; // characters

  const FORMAT = "strong, em, code, ul, ol, table, blockquote, a, hr, h3, h4, h5, h6"; // that Markdown makes of a text

  function isHighSurrogate(text, place) {
    const unit = text.charCodeAt(place);
    return unit >= 0xd800 && unit <= 0xdbff;
  }

  /* The lines below overlapping passages stand apart: each takes the first lane that is free where it starts. */
  function inLanes(marks) {
    const ends = [];
    for (const mark of marks) {
      const free = ends.findIndex((end) => end <= mark.start);
      mark.lane = (free < 0 ? ends.length : free) % LANES;
      ends[free < 0 ? ends.length : free] = mark.end;
    }
  }

  customElements.define("marked-words", class extends HTMLElement {
    connectedCallback() {
      this.pieces = JSON.parse(this.dataset.pieces);
      this.text = this.pieces.map(([characters]) => characters).join("");
      this.measure();
      this.formatted = this.parentElement.querySelectorAll(":scope > .message__text");
      this.makeBody();
      this.draw([]);
      this.show(false);
    }

    get hasFormat() {
      return [...this.formatted].some((part) => part.querySelector(FORMAT));
    }

    get isAstral() {
      return this.starts !== null;
    }

    /* Where each code point starts in the string; null where that is its own number. */
    measure() {
      this.starts = null;
      if (!/[\ud800-\udbff]/.test(this.text)) return;
      const starts = [];
      for (let place = 0; place < this.text.length; place += isHighSurrogate(this.text, place) ? 2 : 1) starts.push(place);
      this.starts = starts;
    }

    place(points) {
      if (!this.isAstral) return points;
      return points >= this.starts.length ? this.text.length : this.starts[points];
    }

    points(place) {
      if (!this.isAstral) return place;
      let [low, high] = [0, this.starts.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (this.starts[middle] < place) low = middle + 1;
        else high = middle;
      }
      return low;
    }

    get pointCount() {
      return this.isAstral ? this.starts.length : this.text.length;
    }

    show(isFormatted) {
      for (const part of this.formatted) part.hidden = !isFormatted;
      this.hidden = isFormatted;
    }

    // --- Drawing ------------------------------------------------------------------------------------------------------

    /* marks: sorted, each with start and end; they get a number and a lane. Only what differs is drawn anew, for a browser
       lays out a long text slowly. */
    draw(marks) {
      this.marks = marks;
      marks.forEach((mark, index) => { mark.number = index + 1; });
      inLanes(marks);
      const segments = this.segments(marks);
      const kept = new Set(segments.map(({ element }) => element));
      for (const element of [...this.body.children]) if (!kept.has(element)) element.remove();
      let next = this.body.firstChild;
      for (const { element } of segments) {
        if (element === next) next = next.nextSibling;
        else this.body.insertBefore(element, next);
      }
      this.drawn = new Map(segments.map((segment) => [segment.key, segment]));
      this.leaves = segments.flatMap(({ leaves }) => leaves);
    }

    makeBody() {
      this.drawn = new Map();
      this.body = document.createElement("div");
      this.body.className = "words__text message__text";
      this.body.dir = "auto";
      this.body.tabIndex = 0;
      this.body.setAttribute("role", "textbox");
      this.body.setAttribute("aria-readonly", "true");
      this.body.setAttribute("aria-multiline", "true");
      this.body.setAttribute("aria-label", "Words to mark");
      this.prepend(this.body);
    }

    /* Where the text is cut for drawing, marked or not: after a blank, about every so many characters. */
    seams() {
      const seams = [0];
      while (this.text.length - seams.at(-1) > 2 * SEAM) {
        const blank = this.text.indexOf(" ", seams.at(-1) + SEAM);
        if (blank < 0 || blank - seams.at(-1) > 2 * SEAM) break;
        seams.push(blank + 1);
      }
      return [...seams, this.text.length];
    }

    /* The text, cut at the seams and wherever a mark starts or ends. */
    segments(marks) {
      const cuts = [...new Set([...this.seams(), ...marks.flatMap((mark) => [mark.start, mark.end])])].sort((a, b) => a - b);
      const segments = [];
      let here = [];
      let next = 0;
      for (let index = 0; index + 1 < cuts.length; index += 1) {
        const [start, end] = [cuts[index], cuts[index + 1]];
        here = here.filter((mark) => mark.end > start);
        while (next < marks.length && marks[next].start <= start) here.push(marks[next++]);
        segments.push(this.segment(start, end, here));
      }
      return segments;
    }

    segment(start, end, here) {
      const key = `${start} ${end} ${here.length > 0}`;
      const known = this.drawn.get(key);
      const segment = known ?? { key, leaves: [], element: document.createElement(here.length ? "mark" : "span") };
      if (!known) segment.element.append(this.passage(start, end, segment.leaves));
      if (here.length) this.tell(segment.element, here, start);
      return segment;
    }

    tell(element, here, start) {
      element.className = ["marked", ...new Set(here.map((mark) => `lane-${mark.lane + 1}`))].join(" ");
      element.dataset.numbers = here.map((mark) => mark.number).join(" ");
      const starting = here.filter((mark) => mark.start === start);
      if (starting.length) element.dataset.starts = starting.map((mark) => mark.number).join(" ");
      else delete element.dataset.starts;
      element.title = here.map((mark) => `${mark.number} ${mark.words}`).join("\n");
    }

    /* A passage as one reads it: what hides is shown by its name. leaves, where given, learn which text stands where. */
    passage(start, end, leaves = []) {
      const whole = document.createDocumentFragment();
      let at = 0;
      for (const [characters, shown, name] of this.pieces) {
        const [from, to] = [Math.max(start, at), Math.min(end, at + characters.length)];
        if (from < to) {
          const node = document.createTextNode(shown ?? characters.slice(from - at, to - at));
          leaves.push({ node, start: from, end: to, isWhole: shown !== undefined });
          whole.append(name ? this.named(node, name) : node);
        }
        at += characters.length;
        if (at >= end) break;
      }
      return whole;
    }

    named(node, name) {
      const element = document.createElement("span");
      element.className = "hidden-char";
      element.title = name;
      element.append(node);
      return element;
    }

    // --- Choosing -----------------------------------------------------------------------------------------------------

    /* Where a point of the document is in the text; null outside it. */
    placeOf(node, offset) {
      if (!this.body.contains(node)) return null;
      if (node.nodeType === Node.TEXT_NODE) {
        const leaf = this.leaves.find((one) => one.node === node);
        if (!leaf) return null;
        if (leaf.isWhole) return offset > 0 ? leaf.end : leaf.start;
        return leaf.start + offset;
      }
      const after = node.childNodes[offset];
      if (after) return (this.leaves.find((leaf) => after === leaf.node || after.contains(leaf.node)) ?? { start: this.text.length }).start;
      const inside = this.leaves.filter((leaf) => node.contains(leaf.node));
      return inside.length ? inside.at(-1).end : 0;
    }

    /* What is selected in this text: without blanks at its ends, and no half of a character. Null if that is nothing. */
    selected() {
      const selection = getSelection();
      if (!selection.rangeCount) return null;
      const range = selection.getRangeAt(0);
      if (!range.intersectsNode(this.body)) return null;
      const isAround = range.compareBoundaryPoints(Range.START_TO_START, this.wholeRange()) < 0;
      const goesOn = range.compareBoundaryPoints(Range.END_TO_END, this.wholeRange()) > 0;
      let start = isAround ? 0 : this.placeOf(range.startContainer, range.startOffset);
      let end = goesOn ? this.text.length : this.placeOf(range.endContainer, range.endOffset);
      if (start === null || end === null) return null;
      if (start > 0 && isHighSurrogate(this.text, start - 1)) start -= 1;
      if (end > 0 && end < this.text.length && isHighSurrogate(this.text, end - 1)) end += 1;
      while (start < end && /\s/.test(this.text[start])) start += 1;
      while (end > start && /\s/.test(this.text[end - 1])) end -= 1;
      return start < end ? { start, end } : null;
    }

    wholeRange() {
      const range = new Range();
      range.selectNodeContents(this.body);
      return range;
    }

    /* Where the caret, or the moving end of the selection, stands; null outside. */
    get caret() {
      const selection = getSelection();
      return selection.focusNode ? this.placeOf(selection.focusNode, selection.focusOffset) : null;
    }

    point(place) {
      const leaf = this.leaves.find((one) => place < one.end) ?? this.leaves.at(-1);
      if (leaf.isWhole) return [leaf.node, place > leaf.start ? leaf.node.length : 0];
      return [leaf.node, Math.min(place, leaf.end) - leaf.start];
    }

    select(start, end = start) {
      getSelection().setBaseAndExtent(...this.point(start), ...this.point(end));
    }

    range(start, end) {
      const range = new Range();
      range.setStart(...this.point(start));
      range.setEnd(...this.point(end));
      return range;
    }

    /* Brings a mark into view and lets it stand out. */
    reveal(mark) {
      for (const part of this.body.querySelectorAll("mark.marked")) {
        part.classList.toggle("is-shown", Boolean(mark) && part.dataset.numbers.split(" ").includes(String(mark.number)));
      }
    }

    marksAt(place) {
      return this.marks.filter((mark) => mark.start <= place && place <= mark.end).sort((a, b) => (a.end - a.start) - (b.end - b.start));
    }
  });

  window.hitlShowFormatted = (isFormatted) => {
    const toggle = document.querySelector("words-view button");
    if ((toggle?.getAttribute("aria-pressed") === "true") === isFormatted) return;
    toggle?.setAttribute("aria-pressed", String(isFormatted));
    for (const view of document.querySelectorAll("marked-words")) view.show(isFormatted);
    document.dispatchEvent(new CustomEvent("words:shown", { detail: { isFormatted } }));
  };

  customElements.define("words-view", class extends HTMLElement {
    connectedCallback() {
      const button = this.querySelector("button");
      button.addEventListener("click", (event) => {
        window.hitlShowFormatted(button.getAttribute("aria-pressed") !== "true");
        if (event.detail) button.blur(); // with the mouse: Enter should submit, not press it again
      });
      // The texts come later in the page.
      queueMicrotask(() => { this.hidden = ![...document.querySelectorAll("marked-words")].some((view) => view.hasFormat); });
    }
  });
})();
