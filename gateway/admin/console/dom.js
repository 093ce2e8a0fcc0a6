// Makes and changes elements. All text goes in as text: names come from tenants.

const svgNames = new Set(['svg', 'g', 'path', 'line', 'text', 'circle', 'rect', 'polygon', 'title']);

// el makes an element with attributes, listeners (on: {...}) and children.
export function el(name, attributes = {}, ...children) {
  const e = svgNames.has(name) ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'on') for (const [event, listener] of Object.entries(value)) e.addEventListener(event, listener);
    else attr(e, key, value);
  }
  e.append(...children.filter((c) => c !== null && c !== undefined));
  return e;
}

// attr sets an attribute if it differs; null, undefined and false remove it.
export function attr(e, name, value) {
  if (value === null || value === undefined || value === false) {
    if (e.hasAttribute(name)) e.removeAttribute(name);
    return;
  }
  const text = value === true ? '' : String(value);
  if (e.getAttribute(name) !== text) e.setAttribute(name, text);
}

// text sets an element's text if it differs.
export function text(e, value) {
  const t = String(value);
  if (e.textContent !== t) e.textContent = t;
}

// width sets how much of its box a bar fills, from 0 to 1.
export function width(e, part) {
  const w = `${(100 * Math.max(0, Math.min(1, part))).toFixed(1)}%`;
  if (e.style.width !== w) e.style.width = w;
}

// bar fills a cell with a bar and words; what it returns sets how much of it is filled and where its
// mark is, from 0 to 1 or null for none.
export function bar(td) {
  const fill = el('span', { class: 'fill' });
  const mark = el('span', { class: 'due' });
  const value = el('span', { class: 'value' });
  td.append(el('span', { class: 'share' }, el('span', { class: 'meter', 'aria-hidden': 'true' }, fill, mark), value));
  return (part, at, words) => {
    width(fill, part);
    mark.hidden = at === null;
    const left = `${(100 * Math.min(1, at ?? 0)).toFixed(1)}%`;
    if (mark.style.left !== left) mark.style.left = left;
    text(value, words);
  };
}

// keyed keeps a parent's children in step with a list: one child for each key, made once
// and then changed. While the pointer or the focus is among them, none changes its place
// or goes: what is under the cursor stays there.
export class Keyed {
  constructor(parent, make) {
    this.parent = parent;
    this.make = make;
    this.rows = new Map();
  }

  update(items, keyOf, force = false) {
    const busy = !force && (this.parent.matches(':hover') || this.parent.contains(document.activeElement));
    const seen = new Set();
    let last = null;
    for (const item of items) {
      const key = keyOf(item);
      seen.add(key);
      let row = this.rows.get(key);
      const fresh = !row;
      if (fresh) {
        row = this.make(item);
        this.rows.set(key, row);
        if (busy) this.parent.append(row.root);
      }
      row.update(item);
      attr(row.root, 'data-gone', null);
      if (!busy) {
        const next = last ? last.nextSibling : this.parent.firstChild;
        if (next !== row.root) this.parent.insertBefore(row.root, next);
        last = row.root;
      }
    }
    for (const [key, row] of this.rows) {
      if (seen.has(key)) continue;
      if (busy) attr(row.root, 'data-gone', true);
      else {
        row.root.remove();
        this.rows.delete(key);
      }
    }
  }
}

// table makes a table of columns {key, label, sort, number, wide, cell(item) or fill(td, item)};
// those played are flow control's doing, and in shadow only as that is played.
export function table(caption, columns, options = {}) {
  const head = el('tr');
  const body = el('tbody');
  const sorters = new Map();
  for (const c of columns) {
    const th = el('th', { scope: 'col', class: [c.number && 'number', c.minor && 'minor'].filter(Boolean).join(' ') || null, 'data-column': c.key });
    if (c.sort && options.onSort) {
      const button = el('button', { type: 'button', class: 'sort', on: { click: () => options.onSort(c) } }, el('span', { class: c.played ? 'played' : null }, c.label));
      sorters.set(c.sort, th);
      th.append(button);
    } else th.append(c.label);
    head.append(th);
  }
  const make = (item) => {
    const cells = columns.map((c, i) => el(i === 0 ? 'th' : 'td', {
      scope: i === 0 ? 'row' : null, class: [c.number && 'number', c.wide && 'wide', c.minor && 'minor', c.played && 'played'].filter(Boolean).join(' ') || null, 'data-label': c.label, 'data-column': c.key,
    }));
    const fills = columns.map((c, i) => (c.make ? c.make(cells[i], item) : (now) => text(cells[i], c.cell(now))));
    return { root: el('tr', {}, ...cells), update: (now) => fills.forEach((f) => f(now)) };
  };
  const rows = new Keyed(body, make);
  const root = el('div', { class: 'table' }, el('table', {}, el('caption', {}, caption), el('thead', {}, head), body));
  return {
    root,
    update: (items, keyOf, force) => rows.update(items, keyOf, force),
    sorted(order) {
      const down = order.startsWith('-');
      for (const [name, th] of sorters) {
        attr(th, 'aria-sort', name === order.replace('-', '') ? (down ? 'descending' : 'ascending') : null);
      }
    },
  };
}

// card makes a titled section.
export function card(title, ...children) {
  const heading = el('h2', {}, title);
  return el('section', { class: 'card' }, heading, ...children);
}

// pill makes a state with a word and a colour, which says the same.
export function pill() {
  const root = el('span', { class: 'pill' });
  return { root, set(word, tone) { text(root, word); attr(root, 'data-tone', tone); } };
}
